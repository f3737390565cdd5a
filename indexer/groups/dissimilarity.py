"""Dissimilarities between pictures, and the nearest medoids of every picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from index.arrays import Labels, Rows, Scores, Vectors
from index.progress import QUIET, Progress
from indexer.errors import IndexerError
from indexer.groups.fasterpam import Diss

BLOCK = 1024  # vectors per block: 16 MiB at length 4096
_ZERO = 1e-6  # 1 - cosine of two copies is up to about 1e-7 because of rounding


class BadVectors(IndexerError, ValueError):
    """Vectors are not finite or do not have unit length."""


class VectorRows(Protocol):
    """Unit vectors by row. Every VectorStore has this interface; for arrays see `ArrayRows`."""

    dim: int

    def __len__(self) -> int:
        """Return the number of vectors."""

    def vectors(self, rows: Rows) -> Vectors:
        """Return the vectors of some rows, (len(rows), dim) float32."""


class ArrayRows:
    """Unit vectors in an array, which may be memory-mapped."""

    def __init__(self, array: Vectors) -> None:
        self._array = array
        self.dim = int(array.shape[1])

    def __len__(self) -> int:
        return len(self._array)

    def vectors(self, rows: Rows) -> Vectors:
        """Return the vectors of some rows, (len(rows), dim) float32, as a copy."""
        return self._array[rows]


def as_vector_rows(vectors: VectorRows | Vectors) -> VectorRows:
    """Return an array of vectors as `ArrayRows`; return any other `VectorRows` as it is.

    Raises
    ------
    BadVectors
        If an array is not of shape (n, dim) with n >= 1.
    """
    if isinstance(vectors, np.ndarray):
        if vectors.ndim != 2 or not vectors.size:
            raise BadVectors(f"vectors have shape {vectors.shape}: pass (n, dim) with n >= 1")
        return ArrayRows(vectors)
    return vectors


def blocks(n: int) -> Iterator[slice]:
    """Yield consecutive slices of at most 1024 positions that cover 0 to n - 1."""
    for start in range(0, n, BLOCK):
        yield slice(start, min(start + BLOCK, n))


def from_scores(scores: Scores) -> Diss:
    """Convert cosines to dissimilarities in place: 1 - score, and exactly 0 below 1e-6.

    Returns
    -------
    ndarray, float32
        The same array, in [0, 2] up to rounding.
    """
    np.subtract(1, scores, out=scores)
    scores[scores < _ZERO] = 0
    return scores


def dissimilarities(
    vectors: VectorRows, rows: Rows | None = None, progress: Progress = QUIET
) -> Diss:
    """Return the dissimilarities of all pairs of pictures.

    Parameters
    ----------
    vectors : VectorRows
        Unit rows.
    rows : ndarray of shape (m,), int64, optional
        Rows to compare. Default: all.
    progress : callable
        tqdm-compatible factory.

    Returns
    -------
    ndarray of shape (m, m), float32
        1 - cosine, symmetric, >= 0, zero on the diagonal and between copies.

    Raises
    ------
    BadVectors
        If a vector is not finite or does not have unit length.

    Notes
    -----
    Memory: 4 * m^2 bytes for the result, and two blocks of 1024 vectors. Each pair of blocks is
    multiplied once and written twice.
    """
    rows = np.arange(len(vectors)) if rows is None else rows
    diss = np.empty((len(rows), len(rows)), np.float32)
    with progress(total=len(rows), desc="comparing", unit="image") as bar:
        for part in blocks(len(rows)):
            block = _unit_rows(vectors, rows[part])
            for other in blocks(part.stop):
                second = block if other == part else vectors.vectors(rows[other])
                found = from_scores(block @ second.T)
                diss[part, other] = found
                diss[other, part] = found.T
            bar.update(part.stop - part.start)
    _make_exactly_symmetric(diss)
    return diss


@dataclass(frozen=True, eq=False)
class Assignment:
    """The nearest medoids of every picture.

    Attributes
    ----------
    labels : ndarray of shape (n,), int32
        Position of the nearest medoid. The label of a medoid is its own position.
    scores : ndarray of shape (n,), float32
        Cosine with the nearest medoid.
    next_scores : ndarray of shape (n,), float32
        Cosine with the second nearest medoid. NaN if there is only one medoid.
    """

    labels: Labels
    scores: Scores
    next_scores: Scores

    @property
    def loss(self) -> float:
        """Sum of the dissimilarities to the nearest medoid."""
        return float(from_scores(self.scores.copy()).sum(dtype=np.float64))


def assign(vectors: VectorRows, medoids: Rows, progress: Progress = QUIET) -> Assignment:
    """Find the two nearest medoids of every picture, exactly.

    Parameters
    ----------
    vectors : VectorRows
        n unit rows.
    medoids : ndarray of shape (n_clusters,), int64
        Rows of the medoids.
    progress : callable
        tqdm-compatible factory.

    Returns
    -------
    Assignment

    Raises
    ------
    BadVectors
        If a vector is not finite or does not have unit length.

    Notes
    -----
    Reads all vectors once. Uses memory for one block, the vectors of the medoids, and 12 bytes for
    each picture.
    """
    n = len(vectors)
    found = Assignment(np.empty(n, np.int32), np.empty(n, np.float32), np.full(n, np.nan, "f4"))
    medoid_vectors = vectors.vectors(medoids)
    with progress(total=n, desc="assigning", unit="image") as bar:
        for part in blocks(n):
            scores = _unit_rows(vectors, np.arange(part.start, part.stop)) @ medoid_vectors.T
            _put_own_medoid_first(scores, medoids, part)
            _store_two_best(scores, part, found)
            bar.update(len(scores))
    return found


def _put_own_medoid_first(scores: Scores, medoids: Rows, part: slice) -> None:
    """Give each medoid the best score with itself. By rounding, a copy may have a better one."""
    positions = np.flatnonzero((medoids >= part.start) & (medoids < part.stop))
    lines = medoids[positions] - part.start
    np.clip(scores, -1, 1, out=scores)
    scores[lines, positions] = 2  # larger than any score; `_store_two_best` sets it back to 1


def _store_two_best(scores: Scores, part: slice, into: Assignment) -> None:
    lines = np.arange(len(scores))
    into.labels[part] = scores.argmax(axis=1)
    into.scores[part] = np.minimum(scores[lines, into.labels[part]], 1)
    if scores.shape[1] > 1:
        scores[lines, into.labels[part]] = -2
        into.next_scores[part] = scores.max(axis=1)


def _make_exactly_symmetric(diss: Diss) -> None:
    """Set the diagonal to 0, and remove rounding differences between the two halves."""
    for part in blocks(len(diss)):
        block = diss[part, part]
        np.minimum(block, block.T.copy(), out=block)
    np.fill_diagonal(diss, 0)


def _unit_rows(vectors: VectorRows, rows: Rows) -> Vectors:
    block = np.ascontiguousarray(vectors.vectors(rows), dtype=np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))  # also true for NaN
    if len(wrong):
        raise BadVectors(
            f"{len(wrong)} of {len(rows)} vectors do not have unit length, such as row "
            f"{rows[wrong[0]]} with length {lengths[wrong[0]]:.6g}. Build the collection again."
        )
    return block
