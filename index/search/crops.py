"""Crop search: search with a picture that may be a crop of a larger one.

Such a query has several vectors: the vector of the whole picture, and its crop vectors. Each crop
vector predicts the vector of a larger picture that the query would be a crop of
(`models.encoder.encode_crops`). The score of a row is its cosine with the first vector, or its best
cosine with a crop vector minus `CROP_COST`, whichever is larger. docs/decisions/0066-crop-search.md
gives the reasons.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from index.arrays import Mask, Rows, Scores, Vectors
from index.search.store import VectorStore, best_first

CROP_COST = 0.03
ROUGH = 1e-4  # upper bound of the error of a float32 sum of 4096 products
BLOCK = 1024  # rows; 16 MB of vectors


def best_scores(cosines: Scores) -> Scores:
    """Return the scores of rows from their cosines with each vector of a query.

    Parameters
    ----------
    cosines : ndarray of shape (1 + m, n), float32
        With the whole picture, then with its crop vectors, if any.

    Returns
    -------
    ndarray of shape (n,), float32
    """
    best: Scores = _minus_costs(cosines).max(axis=0)
    return best


def exact_scores(store: VectorStore, vectors: Vectors, rows: Rows) -> Scores:
    """Return the scores of some rows, (n,) float32, each summed in float64 and rounded once."""
    if len(vectors) == 1:
        only: Scores = store.scores(vectors, rows[np.newaxis])[0]
        return only
    scores = np.full(len(rows), -np.inf, np.float32)
    for block, cosines in _rough_cosines(store, vectors, rows):
        candidates = _minus_costs(cosines)  # (1 + m, b)
        may_be_best = candidates >= candidates.max(axis=0) - 2 * ROUGH
        for i, mask in enumerate(may_be_best):
            positions = block.start + np.flatnonzero(mask)
            exact = store.scores(vectors[i : i + 1], rows[np.newaxis, positions])[0]
            scores[positions] = np.maximum(scores[positions], exact - _cost(i))
    return scores


def rough_scores(store: VectorStore, vectors: Vectors, rows: Rows) -> Scores:
    """Return scores within `ROUGH` of the exact ones, (n,) float32; faster than exact scores."""
    scores = np.empty(len(rows), np.float32)
    for block, cosines in _rough_cosines(store, vectors, rows):
        scores[block] = best_scores(cosines)
    return scores


def search_with_crops(store: VectorStore, vectors: Vectors, k: int) -> tuple[Scores, Rows]:
    """Return the k best-scoring rows of one query, best first.

    Parameters
    ----------
    store : VectorStore
    vectors : ndarray of shape (1 + m, dim), float32
        Unit rows: the vector of the whole picture, then its crop vectors, if any.
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
    Exact. Each of the k best rows is among the k best of at least one vector: the vector that gives
    the row its score.
    """
    if len(vectors) == 1:
        scores, rows = store.search(vectors, k)
        return scores[0], rows[0]
    vectors = store.checked(vectors, k)
    nearly_all = len(vectors) * k >= len(store)  # searches would return nearly all rows
    rows = np.arange(len(store)) if nearly_all else np.unique(store.candidates(vectors, k))
    rows = rows[may_be_among(rough_scores(store, vectors, rows), k)]
    best, rows = best_first(exact_scores(store, vectors, rows), rows)
    return best[:k], rows[:k]


def may_be_among(rough: Scores, k: int) -> Mask:
    """Return whether each row's exact score may be among the k best, (n,) bool."""
    if k >= len(rough):
        return np.ones(len(rough), bool)
    least = np.partition(rough, len(rough) - k)[len(rough) - k]
    return np.asarray(rough >= least - 2 * ROUGH)


def _rough_cosines(
    store: VectorStore, vectors: Vectors, rows: Rows
) -> Iterator[tuple[slice, Scores]]:
    """Yield the cosines of one block of rows after the other, (1 + m, b), in bounded memory."""
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        yield block, vectors @ store.vectors(rows[block]).T


def _minus_costs(cosines: Scores) -> Scores:
    """Subtract the cost from the cosines with crop vectors, which are all but the first."""
    costs = np.array([_cost(i) for i in range(len(cosines))])  # (1 + m,)
    reduced: Scores = cosines - costs[:, np.newaxis]
    return reduced


def _cost(i: int) -> np.float32:
    """Return the cost of vector i of a query. Vector 0 is the picture's own."""
    return np.float32(CROP_COST if i else 0)
