"""TopKTable: the nearest neighbours of every picture, computed once and memory-mapped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from index.arrays import Mask, Rows, Scores, StoredRows, blocks
from index.errors import CorruptSnapshot
from index.layout import TOPK_ROWS_FILE, TOPK_SCORES_FILE
from index.progress import QUIET, Progress
from index.search.store import VectorStore, best_first

DEFAULT_K = 100
_BLOCK = 256  # queries searched together: 4 MB of queries, and up to (256, n) scores in FAISS


@dataclass(frozen=True)
class TopKTable:
    """Nearest neighbours of every row, with the row itself first.

    Attributes
    ----------
    rows : ndarray of shape (n, k), int32
        The row itself, then the others, best first. Equal scores come lower row first.
    scores : ndarray of shape (n, k), float32
        Their cosine similarity, [-1, 1], descending.
    """

    rows: StoredRows
    scores: Scores

    @property
    def k(self) -> int:
        """Neighbours per row, including the row itself."""
        return int(self.rows.shape[1])

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def compute(
        cls,
        store: VectorStore,
        k: int = DEFAULT_K,
        progress: Progress = QUIET,
    ) -> Self:
        """Search with every stored vector.

        Parameters
        ----------
        store : VectorStore
            n vectors, n >= 1.
        k : int
            Neighbours per row. The table has n if the store has fewer than k vectors.
        progress : callable
            tqdm-compatible factory.

        Returns
        -------
        TopKTable

        Notes
        -----
        O(n^2 * dim) time. Uses memory for the (n, k) result and one block of 256 queries.
        """
        n = len(store)
        k = min(k, n)
        rows = np.empty((n, k), np.int32)
        scores = np.empty((n, k), np.float32)
        with progress(total=n, desc="neighbours", unit="image") as bar:
            for block in blocks(np.arange(n), _BLOCK):
                found = store.search(store.vectors(block), k)
                scores[block], rows[block] = itself_first(*found, block)
                bar.update(len(block))
        return cls(rows, scores)

    def updated(
        self,
        store: VectorStore,
        old_rows: Rows,
        k: int = DEFAULT_K,
        progress: Progress = QUIET,
    ) -> TopKTable:
        """Return the table of a changed collection, reusing the rows that have not changed.

        Parameters
        ----------
        store : VectorStore
            The n vectors of the changed collection.
        old_rows : ndarray of shape (n,), int64
            For each row of the changed collection, the row of this table with the same vector, or
            -1 for a new picture.
        k : int
            As in `compute`.
        progress : callable
            tqdm-compatible factory.

        Returns
        -------
        TopKTable
            Equal to `compute(store, k)`; a tie at rank k may fall either way.

        Notes
        -----
        New rows and rows that lost a neighbour are searched among all vectors. The other rows are
        compared with the new pictures only.
        """
        n = len(store)
        if self.k != min(k, n):
            return type(self).compute(store, k, progress)
        rows, scores, is_complete = self._kept_lines(old_rows)
        with progress(total=n, desc="neighbours", unit="image") as bar:
            for block in blocks(np.flatnonzero(~is_complete), _BLOCK):
                found = store.search(store.vectors(block), self.k)
                scores[block], rows[block] = itself_first(*found, block)
                bar.update(len(block))
            new = np.flatnonzero(old_rows < 0)
            for block in blocks(np.flatnonzero(is_complete), _BLOCK):
                scores[block], rows[block] = _merged_with_new(
                    store, scores[block], rows[block], block, new
                )
                bar.update(len(block))
        return type(self)(rows, scores)

    def _kept_lines(self, old_rows: Rows) -> tuple[StoredRows, Scores, Mask]:
        """Return the lines of kept rows with new row numbers, and which lost no neighbour."""
        kept = np.flatnonzero(old_rows >= 0)
        new_of_old = np.full(len(self), -1, np.int32)
        new_of_old[old_rows[kept]] = kept
        rows = np.full((len(old_rows), self.k), -1, np.int32)
        scores = np.zeros(rows.shape, np.float32)
        rows[kept] = new_of_old[self.rows[old_rows[kept]]]
        scores[kept] = self.scores[old_rows[kept]]
        return rows, scores, np.all(rows >= 0, axis=1, keepdims=False)

    def save(self, folder: Path) -> None:
        """Write topk_rows.npy and topk_scores.npy into a folder that has neither."""
        for name, array in ((TOPK_ROWS_FILE, self.rows), (TOPK_SCORES_FILE, self.scores)):
            with (folder / name).open("xb") as file:
                np.save(file, array)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map both files read-only.

        Raises
        ------
        CorruptSnapshot
            If one is missing, unreadable, or their shapes differ.
        """
        try:
            rows = np.load(folder / TOPK_ROWS_FILE, mmap_mode="r", allow_pickle=False)
            scores = np.load(folder / TOPK_SCORES_FILE, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise CorruptSnapshot(f"the top-k table cannot be read: {error}") from error
        if rows.shape != scores.shape or rows.dtype != np.int32 or scores.dtype != np.float32:
            raise CorruptSnapshot(
                f"{TOPK_ROWS_FILE} {rows.shape} {rows.dtype} does not match "
                f"{TOPK_SCORES_FILE} {scores.shape} {scores.dtype}"
            )
        return cls(rows, scores)


def _merged_with_new(
    store: VectorStore,
    scores: Scores,
    rows: StoredRows,
    own: Rows,
    new: Rows,
) -> tuple[Scores, Rows]:
    """Merge new pictures into the lines of the rows `own`; `scores` and `rows` are (m, k)."""
    vectors, k = store.vectors(own), rows.shape[1]
    scores, wide_rows = scores.copy(), rows.astype(np.int64)
    for some_new in blocks(new, _BLOCK):
        rough = vectors @ store.vectors(some_new).T  # (m, n_new)
        # The margin is larger than the rounding error of float32 sums. The exact score decides.
        for line in np.flatnonzero((rough > scores[:, -1:] - 1e-5).any(axis=1)):
            candidates = some_new[rough[line] > scores[line, -1] - 1e-5][None]
            exact = store.scores(vectors[line : line + 1], candidates)
            merged = best_first(
                np.hstack([scores[line : line + 1], exact]),
                np.hstack([wide_rows[line : line + 1], candidates]),
            )
            scores[line], wide_rows[line] = merged[0][0, :k], merged[1][0, :k]
    return itself_first(*best_first(scores, wide_rows), own)


def itself_first(scores: Scores, rows: Rows, own: Rows) -> tuple[Scores, Rows]:
    """Move each query's own row to the front, and keep the order of the others.

    Parameters
    ----------
    scores, rows : ndarrays of shape (n_queries, k)
        As `VectorStore.search` returns them.
    own : ndarray of shape (n_queries,), int64
        Row of each query itself.

    Returns
    -------
    scores, rows : ndarrays of shape (n_queries, k)
        Copies. The score of the own row is the largest of its line. If more than k copies of a
        picture tie, its own row may be missing from the input. It then replaces the last row.
    """
    scores, rows = scores.copy(), rows.copy()
    for line, row in enumerate(own):
        found = np.flatnonzero(rows[line] == row)
        rank = int(found[0]) if len(found) else rows.shape[1] - 1
        rows[line, 1 : rank + 1] = rows[line, :rank]
        scores[line, 1 : rank + 1] = scores[line, :rank]
        rows[line, 0] = row
        # Vectors have unit length only up to rounding, so another score may be slightly larger.
        scores[line, 0] = scores[line].max()
    return scores, rows
