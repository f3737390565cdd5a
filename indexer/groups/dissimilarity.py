"""How unlike pictures are: blocks of unit vectors to dissimilarities and to nearest medoids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from index.arrays import Rows, Vectors
from index.progress import QUIET, Progress
from indexer.errors import IndexerError

BLOCK = 1024  # vectors at a time: 16 MiB of 4096 numbers each
_ZERO = 1e-6  # 1 - cosine of two copies is not 0 but up to some 1e-7, by rounding


class BadVectors(IndexerError, ValueError):
    """Vectors that are not finite, or not of unit length, cannot be compared by their cosine."""


class VectorRows(Protocol):
    """Unit vectors by row; every VectorStore is one, and `as_vector_rows` makes one of an array."""

    dim: int

    def __len__(self) -> int:
        """Return the number of vectors."""

    def vectors(self, rows: Rows) -> Vectors:
        """Return the vectors of some rows, (len(rows), dim) float32."""


class ArrayRows:
    """Unit vectors in an array, which may be mapped from disk."""

    def __init__(self, array: Vectors) -> None:
        self._array = array
        self.dim = int(array.shape[1])

    def __len__(self) -> int:
        return len(self._array)

    def vectors(self, rows: Rows) -> Vectors:
        """Return the vectors of some rows, (len(rows), dim) float32, as a copy."""
        return self._array[rows]


def as_vector_rows(vectors: VectorRows | Vectors) -> VectorRows:
    """Return vectors as something that gives them by row.

    Raises
    ------
    BadVectors
        If an array is not of shape (n, dim) with n >= 1.
    """
    if isinstance(vectors, np.ndarray):
        if vectors.ndim != 2 or not vectors.size:
            raise BadVectors(f"vectors have shape {vectors.shape}: (n, dim) with n >= 1 is needed")
        return ArrayRows(vectors)
    return vectors


def blocks(n: int) -> Iterator[slice]:
    """Cut positions 0 to n - 1 into slices of at most 1024."""
    for start in range(0, n, BLOCK):
        yield slice(start, min(start + BLOCK, n))


def from_scores(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn cosines into dissimilarities in place: 1 - score, and exactly 0 below 1e-6.

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
) -> NDArray[np.float32]:
    """Compare pictures with each other.

    Parameters
    ----------
    vectors : VectorRows
        Unit rows.
    rows : ndarray of shape (m,), int64, optional
        Those to compare; all by default.
    progress : callable
        tqdm-compatible factory.

    Returns
    -------
    ndarray of shape (m, m), float32
        1 - cosine, symmetric, >= 0, zero on the diagonal and between copies.

    Raises
    ------
    BadVectors
        If a vector is not finite or not of unit length.

    Notes
    -----
    Memory: 4 * m^2 bytes for the result, and two blocks of 1024 vectors. Each pair of blocks is
    multiplied once, and written twice.
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
    _mend_diagonal_blocks(diss)
    return diss


@dataclass(frozen=True, eq=False)
class Assignment:
    """The nearest medoids of every picture.

    Attributes
    ----------
    labels : ndarray of shape (n,), int32
        Position of the nearest medoid; a medoid's label is its own position.
    scores : ndarray of shape (n,), float32
        Cosine with it.
    next_scores : ndarray of shape (n,), float32
        Cosine with the nearest of the other medoids; NaN with one medoid.
    """

    labels: NDArray[np.int32]
    scores: NDArray[np.float32]
    next_scores: NDArray[np.float32]

    @property
    def loss(self) -> float:
        """Sum of dissimilarities to the own medoid."""
        return float(from_scores(self.scores.copy()).sum(dtype=np.float64))


def assign(vectors: VectorRows, medoids: Rows, progress: Progress = QUIET) -> Assignment:
    """Find the nearest medoids of every picture, exactly.

    Parameters
    ----------
    vectors : VectorRows
        n unit rows.
    medoids : ndarray of shape (n_clusters,), int64
        Rows.
    progress : callable
        tqdm-compatible factory.

    Raises
    ------
    BadVectors
        If a vector is not finite or not of unit length.

    Notes
    -----
    One pass over all vectors; memory for one block, the medoids' vectors, and 12 bytes a picture.
    """
    n = len(vectors)
    found = Assignment(np.empty(n, np.int32), np.empty(n, np.float32), np.full(n, np.nan, "f4"))
    to = vectors.vectors(medoids).T
    with progress(total=n, desc="assigning", unit="image") as bar:
        for part in blocks(n):
            scores = _unit_rows(vectors, np.arange(part.start, part.stop)) @ to
            _own_medoid_first(scores, medoids, part)
            _take_two_best(scores, part, found)
            bar.update(len(scores))
    return found


def _own_medoid_first(scores: NDArray[np.float32], medoids: Rows, part: slice) -> None:
    """Keep a medoid in its own group, though a copy of it may score a rounding error more."""
    positions = np.flatnonzero((medoids >= part.start) & (medoids < part.stop))
    lines = medoids[positions] - part.start
    np.clip(scores, -1, 1, out=scores)
    scores[lines, positions] = 2  # more than any other; put back to 1 when it has been chosen


def _take_two_best(scores: NDArray[np.float32], part: slice, into: Assignment) -> None:
    lines = np.arange(len(scores))
    into.labels[part] = scores.argmax(axis=1)
    into.scores[part] = np.minimum(scores[lines, into.labels[part]], 1)
    if scores.shape[1] > 1:
        scores[lines, into.labels[part]] = -2
        into.next_scores[part] = scores.max(axis=1)


def _mend_diagonal_blocks(diss: NDArray[np.float32]) -> None:
    """Make the products of a block with itself symmetric to the last bit, and the diagonal 0."""
    for part in blocks(len(diss)):
        block = diss[part, part]
        np.minimum(block, block.T.copy(), out=block)
    np.fill_diagonal(diss, 0)


def _unit_rows(vectors: VectorRows, rows: Rows) -> Vectors:
    block = np.ascontiguousarray(vectors.vectors(rows), dtype=np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))  # NaN is wrong as well
    if len(wrong):
        raise BadVectors(
            f"vector {rows[wrong[0]]} has length {lengths[wrong[0]]:.6g}, and {len(wrong)} of "
            f"{len(rows)} are not of unit length. Build the collection again."
        )
    return block
