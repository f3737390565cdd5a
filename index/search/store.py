"""VectorStore: the contract that every vector engine keeps.

`faiss_store` is the embedded default, `reference` the yardstick of the tests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from index.arrays import RoundedScores, Rows, Scores, Vectors
from index.errors import DimensionMismatch, InvalidK

TIE = 1e-6  # scores closer than this count as equal: float32 sums of 4096 products differ so
_SCORED_AT_ONCE = 1024  # rows; 32 MB of float64 at 4096 numbers each

AnyScores = TypeVar("AnyScores", Scores, RoundedScores)


class VectorStore(ABC):
    """Unit vectors by row, and an exact search among them.

    Attributes
    ----------
    dim : int
        Length of each vector.
    """

    dim: int

    @classmethod
    @abstractmethod
    def from_vectors(cls, vectors: Vectors) -> Self:
        """Return a store that holds a copy of unit rows, (n, dim) float32, as rows 0 to n - 1."""

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
        """Write the store to one file, replacing none: `path` must not exist."""

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
        Exact, O(n_queries * n * dim) time. Safe to call from several threads. A score depends on
        its two vectors alone, not on what else was asked or is stored: see `scores`.
        """
        rows = self.candidates(queries, k)
        return best_first(self.scores(queries, rows), rows)

    def candidates(self, queries: Vectors, k: int) -> Rows:
        """Return the rows that `search` scores, (n_queries, k) int64, in any order.

        Parameters and errors as `search`.
        """
        return self._nearest(self.checked(queries, k), k)

    def scores(self, queries: Vectors, rows: Rows) -> Scores:
        """Return the scores of given rows, summed in float64 and rounded once.

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
        Engines sum float32 in an order that depends on the batch, which lets equal pictures differ
        in the last digit and answers change their order from call to call. These scores do not.
        """
        scores = np.empty(rows.shape, np.float32)
        for line, query in enumerate(queries.astype(np.float64)):
            for start in range(0, rows.shape[1], _SCORED_AT_ONCE):
                part = slice(start, start + _SCORED_AT_ONCE)
                scores[line, part] = self.vectors(rows[line, part]).astype(np.float64) @ query
        return np.clip(scores, -1.0, 1.0)

    def checked(self, queries: Vectors, k: int) -> Vectors:
        """Return queries as contiguous float32; errors as `search`."""
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise DimensionMismatch(
                f"queries have shape {queries.shape}, the index expects (n, {self.dim}): "
                "encode them with the encoder of the same snapshot"
            )
        if not 1 <= k <= len(self):
            raise InvalidK(
                f"k = {k}, but the index holds {len(self)} vectors: use 1 to {len(self)}"
            )
        return queries


def best_first(scores: AnyScores, rows: Rows) -> tuple[AnyScores, Rows]:
    """Order each line by falling score, equal scores by rising row.

    Parameters
    ----------
    scores : ndarray of shape (..., k), float32 or float64
    rows : ndarray of shape (..., k), int64
    """
    order = np.lexsort((rows, -scores), axis=-1)
    return np.take_along_axis(scores, order, -1), np.take_along_axis(rows, order, -1)
