"""VectorStore: the interface of every vector engine.

`faiss_store` is the default. Tests compare it with `reference`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from index.arrays import RoundedScores, Rows, Scores, Vectors
from index.errors import DimensionMismatch, InvalidK

TIE = 1e-6  # scores that differ by less are ties: float32 sums of 4096 products vary by this much
_BLOCK = 1024  # rows scored together; 32 MB as float64 vectors of length 4096

AnyScores = TypeVar("AnyScores", Scores, RoundedScores)


class VectorStore(ABC):
    """Unit vectors by row, with exact search.

    Attributes
    ----------
    dim : int
        Length of each vector.
    """

    dim: int

    @classmethod
    @abstractmethod
    def from_vectors(cls, vectors: Vectors) -> Self:
        """Return a store with a copy of unit rows, (n, dim) float32, as rows 0 to n - 1."""

    @classmethod
    @abstractmethod
    def open(cls, path: Path) -> Self:
        """Open a saved store read-only.

        Raises
        ------
        CorruptSnapshot
            If the file cannot be read as a store.
        """

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the store to one file. `path` must not exist."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def vectors(self, rows: Rows) -> Vectors:
        """Return the stored vectors of some rows, (len(rows), dim) float32, as a copy."""

    @abstractmethod
    def _nearest(self, queries: Vectors, k: int) -> Rows:
        """Return the rows of the k best scores of checked queries, (n_queries, k), in any order."""

    def search(self, queries: Vectors, k: int) -> tuple[Scores, Rows]:
        """Return the k best-scoring rows for each query, best first.

        Parameters
        ----------
        queries : ndarray of shape (n_queries, dim), float32
            Unit-length rows. Not modified.
        k : int
            Neighbours per query, 1 <= k <= len(self).

        Returns
        -------
        scores : ndarray of shape (n_queries, k), float32
            Cosine similarity, no unit, clipped to [-1, 1], descending.
        rows : ndarray of shape (n_queries, k), int64
            Equal scores come lower row first; a tie at rank k may fall either way.

        Raises
        ------
        DimensionMismatch
            If queries.shape[1] != self.dim.
        InvalidK
            If k is outside its range.

        Notes
        -----
        Exact, O(n_queries * n * dim) time. Thread-safe. A score depends only on its two vectors,
        not on the other queries or rows; see `scores`.
        """
        rows = self.candidates(queries, k)
        return best_first(self.scores(queries, rows), rows)

    def candidates(self, queries: Vectors, k: int) -> Rows:
        """Return the rows that `search` scores, (n_queries, k) int64, in any order.

        Parameters and errors are those of `search`.
        """
        return self._nearest(self.checked(queries, k), k)

    def scores(self, queries: Vectors, rows: Rows) -> Scores:
        """Return the scores of some rows, each summed in float64 and rounded once.

        Parameters
        ----------
        queries : ndarray of shape (n_queries, dim), float32
        rows : ndarray of shape (n_queries, k), int64
            Rows to score against each query.

        Returns
        -------
        scores : ndarray of shape (n_queries, k), float32

        Notes
        -----
        Engines sum float32 in an order that depends on the batch. Scores of equal pictures would
        differ in the last digit, and the order of results would change from call to call. These
        scores do not depend on the batch.
        """
        scores = np.empty(rows.shape, np.float32)
        for i, query in enumerate(queries.astype(np.float64)):
            for start in range(0, rows.shape[1], _BLOCK):
                block = slice(start, start + _BLOCK)
                scores[i, block] = self.vectors(rows[i, block]).astype(np.float64) @ query
        return np.clip(scores, -1.0, 1.0)

    def checked(self, queries: Vectors, k: int) -> Vectors:
        """Check queries and k, and return the queries as contiguous float32; errors as `search`."""
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise DimensionMismatch(
                f"queries have shape {queries.shape}, but the index expects (n, {self.dim}): "
                "encode them with the encoder of the same snapshot"
            )
        if not 1 <= k <= len(self):
            raise InvalidK(f"k is {k}, but the index has {len(self)} vectors: use 1 to {len(self)}")
        return queries


def best_first(scores: AnyScores, rows: Rows) -> tuple[AnyScores, Rows]:
    """Sort each line by falling score, and equal scores by rising row.

    Parameters
    ----------
    scores : ndarray of shape (..., k), float32 or float64
    rows : ndarray of shape (..., k), int64

    Returns
    -------
    scores, rows : ndarrays of shape (..., k)
        Sorted copies.
    """
    order = np.lexsort((rows, -scores), axis=-1)
    return np.take_along_axis(scores, order, -1), np.take_along_axis(rows, order, -1)
