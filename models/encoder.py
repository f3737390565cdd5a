"""Turn pixels into unit vectors with a tflite file; used by indexer and service alike."""

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import EncoderError, ModelMismatch
from models.files import CROP_ENCODER_FILE
from models.preprocess import SIDE_PX, shrink
from models.runtime.litert import LiteModel, batches, read_fields, read_model, write_fields
from models.schema1 import crop_encoder_in, upgraded

SCHEMA_VERSION = 2
FINGERPRINT_LENGTH = 16  # hex digits
_OPTIONAL_FIELDS = frozenset({"input_offset", "crops_sha256"})  # older files lack them
Levels = float | tuple[float, float, float]  # of all channels, or of red, green and blue


@dataclass(frozen=True)
class EncoderInfo:
    """What `encoder.json` says about the `encoder.tflite` beside it.

    Attributes
    ----------
    architecture : str
        Name in `models.autoencoder.ARCHITECTURES`. For an external encoder: "keras:" and its name
        in keras.applications, or the name of its file.
    input_side_px : int
        Side of the square that the file expects; pictures are resized to it from 256 px.
    input_scale : float or tuple of 3 float
        Factor of the pixels 0..255, for all channels or for red, green and blue.
    dim : int
        Length of a vector.
    code_shape : tuple of int
        Height, width and channels of the encoding before it was flattened; their product is `dim`.
        (dim,) if the encoding has no spatial grid.
    fingerprint : str
        16 hex digits of `sha256`; for an external encoder, of `sha256` and the scaling. Encoders
        with equal fingerprints give comparable vectors.
    sha256 : str
        Of the tflite file.
    n_steps, seed : int
        They repeat the training; 0 for an external encoder.
    created_by : dict
        Library versions.
    schema_version : int
    input_offset : float or tuple of 3 float
        Added after the multiplication.
    crops_sha256 : str or None
        Of the crops.tflite beside it; None if the encoder has no crop search.
    """

    architecture: str
    input_side_px: int
    input_scale: Levels
    dim: int
    code_shape: tuple[int, ...]
    fingerprint: str
    sha256: str
    n_steps: int
    seed: int
    created_by: dict[str, str]
    schema_version: int = SCHEMA_VERSION
    input_offset: Levels = 0.0
    crops_sha256: str | None = None

    def save(self, path: Path) -> None:
        """Write the fields as JSON."""
        write_fields(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> "EncoderInfo":
        """Read what `save` wrote.

        Raises
        ------
        ModelMismatch
            If the file is missing, broken or of another schema.
        """
        names = {field.name for field in fields(cls)}
        values = read_fields(
            path, names, SCHEMA_VERSION, optional=_OPTIONAL_FIELDS, upgrade=upgraded
        )
        return cls(**{name: _hashable(value) for name, value in values.items()})


def _hashable(value: Any) -> Any:
    """Turn a list from JSON back into a tuple."""
    return tuple(value) if isinstance(value, list) else value


class Encoder:
    """Turns pictures into unit vectors. Safe in threads.

    Attributes
    ----------
    info : EncoderInfo
    """

    def __init__(self, model: LiteModel, info: EncoderInfo, crops: LiteModel | None = None) -> None:
        self._model = model
        self._crops = crops
        self.info = info

    @classmethod
    def open(cls, tflite_path: Path, n_threads: int = 1, with_crops: bool = True) -> "Encoder":
        """Open an encoder, the `.json` of the same name beside it, and its crop encoder if any.

        Parameters
        ----------
        tflite_path : Path
            Read once; may be deleted afterwards.
        n_threads : int
            Threads that one `encode` uses. The vectors do not depend on it.
        with_crops : bool
            False: do not open the crop encoder, so `encode_crops` gives no vectors.

        Raises
        ------
        ModelMismatch
            If the files cannot be read or do not belong together.
        """
        info = EncoderInfo.load(tflite_path.with_suffix(".json"))
        model = LiteModel(read_model(tflite_path, info.sha256), n_threads)
        _check_shapes(model, info)
        if info.crops_sha256 is None or not with_crops:
            return cls(model, info)
        path = crop_encoder_in(tflite_path.parent)
        crops = LiteModel(read_model(path, info.crops_sha256), n_threads)
        _check_crop_encoder(crops, model)
        return cls(model, info, crops)

    @property
    def dim(self) -> int:
        """Return the length of a vector."""
        return self.info.dim

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of this encoder: 16 hex digits."""
        return self.info.fingerprint

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the unit vectors of pictures.

        Parameters
        ----------
        images : ndarray of shape (n, 256, 256, 3), uint8
            As `preprocess.to_pixels` gives them. Not modified.

        Returns
        -------
        vectors : ndarray of shape (n, dim), float32
            Rows of length 1, C-contiguous. Equal pictures give equal rows, bit for bit, in any
            batch or thread. A zero encoding becomes `constant_vector(dim)`.

        Raises
        ------
        EncoderError
            If an encoding is not finite.
        """
        return unit_rows(self.encodings(images))

    def encode_crops(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return crop vectors: those of the larger pictures that each picture may be a crop of.

        Parameters
        ----------
        images : ndarray of shape (n, 256, 256, 3), uint8
            Not modified.

        Returns
        -------
        vectors : ndarray of shape (n, m, dim), float32
            Unit rows. m is 9 for the deep network, and 0 for an encoder without crop search.
            `index.search.crops` searches with them.

        Raises
        ------
        EncoderError
            If an encoding is not finite.
        """
        if self._crops is None:
            _check_images(images)
            return np.empty((len(images), 0, self.dim), np.float32)
        encodings = self._run(self._crops, images)  # (n, m, dim)
        return unit_rows(encodings.reshape(-1, self.dim)).reshape(encodings.shape)

    def encode_query(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the vectors to search with for one picture.

        Parameters
        ----------
        pixels : ndarray of shape (256, 256, 3), uint8

        Returns
        -------
        vectors : ndarray of shape (1 + m, dim), float32
            The vector of `encode`, then those of `encode_crops`.
        """
        images = pixels[np.newaxis]
        return np.concatenate([self.encode(images), self.encode_crops(images)[0]])

    def encodings(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the encodings before normalisation; else as `encode`."""
        return self._run(self._model, images).reshape(len(images), self.dim)

    def _run(self, model: LiteModel, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the outputs of a model for pictures, (n, *output_shape)."""
        _check_images(images)
        outputs = np.empty((len(images), *model.output_shape), np.float32)
        for rows in batches(len(images)):
            squares = to_side(images[rows], self.info.input_side_px)  # (b, side, side, 3)
            outputs[rows] = model.run(self._scaled(squares))
        return outputs

    def _scaled(self, squares: NDArray[np.float32]) -> NDArray[np.float32] | NDArray[np.uint8]:
        """Return pixels 0..255 in the range that the file expects; bytes stay as they are."""
        if self._model.input_dtype == np.uint8:
            return np.rint(squares).astype(np.uint8)
        scaled = squares * np.asarray(self.info.input_scale, np.float32)
        return scaled + np.asarray(self.info.input_offset, np.float32)


def unit_rows(encodings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to length 1. A zero row becomes the constant vector.

    Parameters
    ----------
    encodings : ndarray of shape (n, dim), float32
        Not modified.

    Returns
    -------
    ndarray of shape (n, dim), float32

    Raises
    ------
    EncoderError
        If a value is NaN or infinite.
    """
    wide = np.asarray(encodings, np.float64)  # squares of small numbers do not vanish
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))  # (n,)
    if not np.isfinite(norms).all():
        bad = np.flatnonzero(~np.isfinite(norms))
        raise EncoderError(
            f"{len(bad)} of {len(norms)} encodings are not finite (first: row {bad[0]}): "
            "the encoder is broken, train it again"
        )
    vectors = (wide / np.where(norms > 0, norms, 1.0)[:, None]).astype(np.float32)
    vectors[norms == 0] = constant_vector(encodings.shape[1])
    return vectors


def constant_vector(dim: int) -> NDArray[np.float32]:
    """Return the unit vector of equal numbers, which replaces a zero encoding.

    Parameters
    ----------
    dim : int

    Returns
    -------
    ndarray of shape (dim,), float32
    """
    return np.full(dim, dim**-0.5, np.float32)


def count_zero_encodings(vectors: NDArray[np.float32]) -> int:
    """Count the rows that are `constant_vector`, because their encoding was zero.

    Parameters
    ----------
    vectors : ndarray of shape (n, dim), float32

    Returns
    -------
    int
    """
    return int((vectors == constant_vector(vectors.shape[1])).all(axis=1).sum())


def to_side(images: NDArray[np.uint8], side_px: int) -> NDArray[np.float32]:
    """Resize pictures: by means of whole blocks if the side divides 256, else bilinearly.

    Parameters
    ----------
    images : ndarray of shape (n, 256, 256, 3), uint8
        Not modified.
    side_px : int
        Any; 224 is usual for networks trained on ImageNet.

    Returns
    -------
    ndarray of shape (n, side_px, side_px, 3), float32
        0..255; whole numbers if the side does not divide 256.
    """
    if SIDE_PX % side_px == 0:
        return shrink(images, side_px)
    size = (side_px, side_px)
    squares = np.empty((len(images), *size, 3), np.float32)  # (n, side, side, 3)
    for square, image in zip(squares, images, strict=True):
        square[:] = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    return squares


def _check_shapes(model: LiteModel, info: EncoderInfo) -> None:
    side = info.input_side_px
    expected = ((side, side, 3), (info.dim,))
    found = (model.input_shape, (math.prod(model.output_shape),))
    if found != expected:
        raise ModelMismatch(
            f"encoder.tflite maps {found[0]} to {found[1]}, but encoder.json says {expected[0]} to "
            f"{expected[1]}: copy both files from the same export"
        )


def _check_crop_encoder(crops: LiteModel, model: LiteModel) -> None:
    is_of_one_picture = crops.input_shape == model.input_shape
    if not is_of_one_picture or crops.output_shape[1:] != model.output_shape:
        raise ModelMismatch(
            f"{CROP_ENCODER_FILE} maps {crops.input_shape} to {crops.output_shape}, "
            f"but encoder.tflite {model.input_shape} to {model.output_shape}: copy both files from "
            "the same export"
        )


def _check_images(images: NDArray[np.uint8]) -> None:
    if images.dtype != np.uint8 or images.shape[1:] != (SIDE_PX, SIDE_PX, 3):
        raise ValueError(
            f"images are {images.dtype} of shape {images.shape}, not uint8 of shape "
            f"(n, {SIDE_PX}, {SIDE_PX}, 3): make them with preprocess.to_pixels"
        )
