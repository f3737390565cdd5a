"""Reconstruct pictures from encodings with a tflite file."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelMismatch
from models.runtime.litert import LiteModel, batches, read_fields, read_model, write_fields

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class DecoderInfo:
    """What `decoder.json` says about the `decoder.tflite` beside it.

    Attributes
    ----------
    encoder_fingerprint : str
        The encoder that it was trained with.
    dim : int
        Length of an encoding.
    output_side_px : int
        Side of the square that it gives.
    encoding_norm : float
        Usual norm of an encoding. A unit vector has lost its own.
    sha256 : str
        Of the tflite file.
    schema_version : int
    """

    encoder_fingerprint: str
    dim: int
    output_side_px: int
    encoding_norm: float
    sha256: str
    schema_version: int = SCHEMA_VERSION

    def save(self, path: Path) -> None:
        """Write the fields as JSON."""
        write_fields(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> "DecoderInfo":
        """Read what `save` wrote.

        Raises
        ------
        ModelMismatch
            If the file is missing, broken or of another schema.
        """
        names = {field.name for field in fields(cls)}
        return cls(**read_fields(path, names, SCHEMA_VERSION))


class Decoder:
    """Reconstructs pictures from encodings. Safe in threads.

    Attributes
    ----------
    info : DecoderInfo
    """

    def __init__(self, model: LiteModel, info: DecoderInfo) -> None:
        self._model = model
        self.info = info

    @classmethod
    def open(cls, tflite_path: Path, n_threads: int = 1) -> "Decoder":
        """Open a decoder and the `.json` of the same name beside it.

        Raises
        ------
        ModelMismatch
            If the files cannot be read or do not belong together.
        """
        info = DecoderInfo.load(tflite_path.with_suffix(".json"))
        model = LiteModel(read_model(tflite_path, info.sha256), n_threads)
        side = info.output_side_px
        if (model.input_shape, model.output_shape) != ((info.dim,), (side, side, 3)):
            raise ModelMismatch(
                f"decoder.tflite maps {model.input_shape} to {model.output_shape}, but "
                f"decoder.json says ({info.dim},) to {(side, side, 3)}: copy both files from the "
                "same export"
            )
        return cls(model, info)

    def decode(self, encodings: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Reconstruct pictures from encodings.

        Parameters
        ----------
        encodings : ndarray of shape (n, dim), float32
            As `Encoder.encodings` gives them. Not modified.

        Returns
        -------
        ndarray of shape (n, side, side, 3), uint8
            RGB; side is 256 for the classic network.

        Raises
        ------
        ModelMismatch
            If the encodings have the wrong length.
        """
        if encodings.ndim != 2 or encodings.shape[1] != self.info.dim:
            raise ModelMismatch(
                f"encodings have shape {encodings.shape}, but the decoder expects "
                f"(n, {self.info.dim}): use the encoder that it was trained with"
            )
        side = self.info.output_side_px
        images = np.empty((len(encodings), side, side, 3), np.uint8)  # (n, side, side, 3)
        for rows in batches(len(encodings)):
            batch = np.ascontiguousarray(encodings[rows], np.float32)
            images[rows] = _to_bytes(self._model.run(batch))
        return images

    def decode_vectors(self, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Reconstruct pictures from unit vectors, as if all encodings had the same norm.

        Parameters and results as `decode`.
        """
        return self.decode(vectors * np.float32(self.info.encoding_norm))


def _to_bytes(shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Turn 0..1 into 0..255, rounded."""
    return np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
