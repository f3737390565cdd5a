"""Fit of an encoder: how well its vectors reconstruct the pictures of a collection.

A build stores the reconstruction errors of a sample. If new pictures have clearly larger errors, a
re-index recommends training a new encoder.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from index.arrays import Rows
from index.layout import DECODER_FILE, FIT_FILE
from index.search.store import VectorStore
from index.snapshot import Snapshot
from indexer.folder.dataset import Pixels, PixelSource
from models.decoder import Decoder
from models.preprocess import shrink

_SAMPLE = 128
_MIN_NEW = 10  # the error of fewer pictures means little
_SIDE_PX = 64  # removes the finest detail, which no decoder reconstructs


@dataclass(frozen=True)
class Fit:
    """How well pictures are reconstructed from their vectors.

    Attributes
    ----------
    n_pictures : int
    median_error, p90_error : float
        Median and 90th percentile of the mean absolute difference between a picture and its
        reconstruction, both scaled to 64 x 64, in grey levels from 0 to 255.
    """

    n_pictures: int
    median_error: float
    p90_error: float

    @classmethod
    def of(cls, errors: NDArray[np.float64]) -> Self:
        """Summarise the errors of some pictures, (m,)."""
        return cls(len(errors), float(np.median(errors)), float(np.percentile(errors, 90)))

    def save(self, folder: Path) -> None:
        """Write fit.json."""
        text = json.dumps(asdict(self), indent=1) + "\n"
        (folder / FIT_FILE).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read fit.json."""
        return cls(**json.loads(path.read_bytes()))


def measure_fit(
    decoder_folder: Path,
    source: PixelSource,
    source_rows: Rows,
    store: VectorStore,
    rows: Rows,
) -> Fit | None:
    """Measure the fit on a sample of some pictures.

    Parameters
    ----------
    decoder_folder : Path
        Folder of decoder.tflite.
    source : PixelSource
    source_rows : ndarray of shape (m,), int64
        Rows of the pictures in the source.
    store : VectorStore
    rows : ndarray of shape (m,), int64
        Rows of their vectors in the store.

    Returns
    -------
    Fit or None
        None without pictures or without a decoder.
    """
    path = decoder_folder / DECODER_FILE
    if not path.exists() or len(rows) == 0:
        return None
    chosen = np.unique(np.linspace(0, len(rows) - 1, _SAMPLE).astype(np.int64))
    reconstructed = Decoder.open(path).decode_vectors(store.vectors(rows[chosen]))
    return Fit.of(reconstruction_errors(source.read(source_rows[chosen]), reconstructed))


def reconstruction_errors(pictures: Pixels, reconstructed: Pixels) -> NDArray[np.float64]:
    """Return the mean absolute difference of each pair at 64 x 64, (m,), in grey levels.

    Parameters
    ----------
    pictures, reconstructed : ndarrays of shape (m, side, side, 3), uint8
        The sides may differ.
    """
    differences = np.abs(shrink(pictures, _SIDE_PX) - shrink(reconstructed, _SIDE_PX))
    return np.asarray(differences.mean(axis=(1, 2, 3), dtype=np.float64))


def warning_of_new(live: Snapshot, new: Fit | None) -> str | None:
    """Return a warning if the errors of new pictures are clearly larger than those of the build."""
    path = live.file(FIT_FILE)
    if path is None or new is None or new.n_pictures < _MIN_NEW:
        return None
    old = Fit.load(path)
    if new.median_error <= old.p90_error:
        return None
    return (
        f"The new pictures differ from those that the encoder was trained on (reconstruction error "
        f"{new.median_error:.1f} instead of {old.median_error:.1f} grey levels). Train a new "
        "encoder with `bin/lookalike reindex --retrain`."
    )
