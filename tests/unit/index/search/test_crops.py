"""A query of several vectors is answered as brute force would."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.errors import DimensionMismatch, InvalidK
from index.search.crops import (
    CROP_COST,
    best_scores,
    exact_scores,
    rough_scores,
    search_with_crops,
)
from index.search.faiss_store import FaissStore
from tests.helpers.compare import assert_same_neighbours

SQUARE = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6]], np.float32)


def brute_force(vectors, queries):
    """Return the score of every row, in float64."""
    cosines = np.clip(queries.astype(np.float64) @ vectors.astype(np.float64).T, -1, 1)
    return np.maximum(cosines[0], (cosines[1:] - CROP_COST).max(axis=0, initial=-9))


def test_best_scores_by_hand():
    """A crop counts 0.03 less; the whole picture counts fully."""
    cosines = np.array([[0.5, 0.9, -0.2], [0.6, 0.91, -0.5], [0.2, 0.1, -0.1]], np.float32)
    np.testing.assert_allclose(best_scores(cosines), [0.57, 0.9, -0.13], atol=1e-7)


def test_without_crops_it_is_a_plain_search(unit_vectors):
    """One vector: the same bits as the store gives."""
    store = FaissStore.from_vectors(unit_vectors(50, 8))
    query = unit_vectors(50, 8)[:1]
    scores, rows = search_with_crops(store, query, 7)
    wanted_scores, wanted_rows = store.search(query, 7)
    np.testing.assert_array_equal(scores, wanted_scores[0])
    np.testing.assert_array_equal(rows, wanted_rows[0])


def test_crop_search_by_hand():
    """(1, 0) framed as (0, 1): 1 and 0.97 for the axes, 0.8 - 0.03 beats 0.6 for (0.6, 0.8)."""
    store = FaissStore.from_vectors(SQUARE)
    scores, rows = search_with_crops(store, SQUARE[:2], 4)
    assert rows.tolist() == [0, 1, 3, 2]
    np.testing.assert_allclose(scores, [1, 0.97, 0.8, 0.77], atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 60),
    m=st.integers(0, 9),
    k=st.integers(1, 60),
    seed=st.integers(0, 2**32 - 1),
    copies=st.booleans(),
)
def test_crop_search_is_brute_force(n, m, k, seed, copies):
    """Any number of crops, of rows, and of copies among them."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, 5))
    if copies:
        vectors = vectors[rng.integers(0, n, n)]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    queries = rng.standard_normal((1 + m, 5))
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    k, wanted = min(k, n), brute_force(vectors, queries)
    scores, rows = search_with_crops(FaissStore.from_vectors(vectors), queries, k)
    order = np.lexsort((np.arange(n), -wanted.astype(np.float32)))[:k]
    assert_same_neighbours(
        scores[None], rows[None], wanted[order].astype(np.float32)[None], order[None]
    )
    assert len(set(rows.tolist())) == k


def test_rough_scores_are_near_the_exact_ones(unit_vectors):
    """So near that the rows which may be among the best are known by them."""
    vectors = unit_vectors(300, 512)
    store, rows = FaissStore.from_vectors(vectors), np.arange(0, 300, 3)
    exact = exact_scores(store, vectors[:10], rows)
    np.testing.assert_allclose(exact, brute_force(vectors[rows], vectors[:10]), atol=1e-6)
    assert np.abs(rough_scores(store, vectors[:10], rows) - exact).max() < 1e-5


def test_crop_search_refuses_what_a_search_refuses(unit_vectors):
    """Another dimension, and more answers than rows."""
    store = FaissStore.from_vectors(unit_vectors(5, 8))
    with pytest.raises(DimensionMismatch):
        search_with_crops(store, unit_vectors(3, 4), 1)
    with pytest.raises(InvalidK):
        search_with_crops(store, unit_vectors(3, 8), 6)
