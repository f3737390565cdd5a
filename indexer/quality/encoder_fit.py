"""Whether the encoder still fits: it paints what it has learnt, and blurs what it has not.

At a build the reconstruction error of a sample is stored; at a re-indexing new pictures that are
painted clearly worse are a sign to train anew.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from index.layout import DECODER_FILE, FIT_FILE
from index.search.store import VectorStore
from index.snapshot import Snapshot
from indexer.dataset import PixelSource
from models.decoder import Decoder
from models.preprocess import shrink

_SAMPLE = 128
_MIN_NEW = 10  # fewer say little about a collection
_SIDE_PX = 64  # errors are compared without the finest detail, which no decoder paints


@dataclass(frozen=True)
class Fit:
    """How well pictures are painted from their vectors.

    Attributes
    ----------
    n_pictures : int
    median_error, p90_error : float
        Of the mean absolute difference between a picture and its reconstruction, both shrunk to
        64 x 64, in grey levels of 255.
    """

    n_pictures: int
    median_error: float
    p90_error: float

    @classmethod
    def of(cls, errors: NDArray[np.float64]) -> Self:
        """Sum up the errors of some pictures, (m,)."""
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
    places: NDArray[np.int64],
    store: VectorStore,
    rows: NDArray[np.int64],
) -> Fit | None:
    """Measure a sample of some pictures.

    Parameters
    ----------
    decoder_folder : Path
        Folder of decoder.tflite; without one there is nothing to measure.
    source : PixelSource
    places : ndarray of shape (m,), int64
        Where the source has the pictures.
    store : VectorStore
    rows : ndarray of shape (m,), int64
        Where the store has their vectors.

    Returns
    -------
    Fit or None
    """
    path = decoder_folder / DECODER_FILE
    if not path.exists() or len(rows) == 0:
        return None
    chosen = np.unique(np.linspace(0, len(rows) - 1, _SAMPLE).astype(np.int64))
    painted = Decoder.open(path).decode_vectors(store.vectors(rows[chosen]))
    return Fit.of(reconstruction_errors(source.read(places[chosen]), painted))


def reconstruction_errors(
    pictures: NDArray[np.uint8], painted: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Return the mean absolute difference of each pair, (m,), in grey levels, shrunk to 64 x 64.

    Parameters
    ----------
    pictures, painted : ndarrays of shape (m, side, side, 3), uint8
        The sides may differ.
    """
    differences = np.abs(shrink(pictures, _SIDE_PX) - shrink(painted, _SIDE_PX))
    return differences.mean(axis=(1, 2, 3), dtype=np.float64)


def warning_of_new(live: Snapshot, new: Fit | None) -> str | None:
    """Return a sentence if new pictures are painted clearly worse than those of the build."""
    path = live.file(FIT_FILE)
    if path is None or new is None or new.n_pictures < _MIN_NEW:
        return None
    old = Fit.load(path)
    if new.median_error <= old.p90_error:
        return None
    return (
        f"the new pictures are unlike those that the encoder has learnt (reconstruction error "
        f"{new.median_error:.1f} against {old.median_error:.1f} grey levels): train anew with "
        "`reindex --retrain`"
    )
