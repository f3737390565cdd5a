"""Search with a picture that may be a piece of a larger one.

Such a query has several vectors: that of the whole picture, and those of its framings, which say
what a larger picture would look like that it is a piece of (`models.encoder.encode_framings`). A
row's score is the cosine with the first or, if that is more, the best one with the others less
`FRAMING_COST`. docs/decisions/0066-framings.md says why.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.store import Rows, Scores, Vectors, VectorStore, best_first

FRAMING_COST = 0.03
_ROUGH = 1e-4  # float32 sums of 4096 products are closer than this to the score


def best_scores(scores: NDArray[np.float32]) -> Scores:
    """Return the scores of rows from their cosines with each vector of a query.

    Parameters
    ----------
    scores : ndarray of shape (1 + m, n), float32
        Cosines with the whole picture, then with its framings, if any.

    Returns
    -------
    ndarray of shape (n,), float32
    """
    whole, framed = scores[0], scores[1:]
    if len(framed) == 0:
        return whole
    return np.maximum(whole, framed.max(axis=0) - np.float32(FRAMING_COST))


def exact_scores(store: VectorStore, vectors: Vectors, rows: Rows) -> Scores:
    """Return the scores of given rows, (n,) float32, each summed in float64 and rounded once."""
    return best_scores(store.scores(vectors, np.tile(rows, (len(vectors), 1))))


def rough_scores(store: VectorStore, vectors: Vectors, rows: Rows) -> Scores:
    """Return scores that differ by less than 1e-4 from the exact ones, and are had much faster."""
    return best_scores(vectors @ store.vectors(rows).T)


def search_framed(store: VectorStore, vectors: Vectors, k: int) -> tuple[Scores, Rows]:
    """Return the k best-scoring rows of one query, best first.

    Parameters
    ----------
    store : VectorStore
    vectors : ndarray of shape (1 + m, dim), float32
        Unit rows: of the whole picture, then of its framings, if any.
    k : int
        1 <= k <= len(store).

    Returns
    -------
    scores : ndarray of shape (k,), float32
    rows : ndarray of shape (k,), int64
        Equal scores come lower row first; a tie at rank k may fall either way.

    Raises
    ------
    DimensionMismatch, InvalidK
        As `VectorStore.search`.

    Notes
    -----
    Exact: a row that is not among the k best of any vector has k rows before it in each.
    """
    if len(vectors) == 1:
        scores, rows = store.search(vectors, k)
        return scores[0], rows[0]
    rows = np.unique(store.candidates(vectors, k))
    rough = rough_scores(store, vectors, rows)
    least = np.partition(rough, len(rough) - k)[len(rough) - k]
    rows = rows[rough >= least - 2 * _ROUGH]
    best, rows = best_first(exact_scores(store, vectors, rows), rows)
    return best[:k], rows[:k]
