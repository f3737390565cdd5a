"""Comparing vectors in blocks, and assigning them to medoids, against doing it at once."""

from __future__ import annotations

import numpy as np
import pytest

from indexer.groups import dissimilarity
from indexer.groups.dissimilarity import BadVectors, as_vector_rows, assign, dissimilarities
from tests.helpers.matrices import random_unit


@pytest.fixture(params=[1, 7, 1024], ids=lambda size: f"blocks of {size}")
def _block(request, monkeypatch):
    """Cut the work into blocks of several sizes."""
    monkeypatch.setattr(dissimilarity, "BLOCK", request.param)


def test_dissimilarities_by_hand():
    """Equal, perpendicular and opposite vectors are at 0, 1 and 2."""
    vectors = np.array([[1, 0], [0, 1], [-1, 0], [1, 0]], np.float32)

    diss = dissimilarities(as_vector_rows(vectors))

    assert diss.tolist() == [[0, 1, 2, 0], [1, 0, 1, 1], [2, 1, 0, 2], [0, 1, 2, 0]]


@pytest.mark.usefixtures("_block")
def test_blocks_equal_the_whole():
    """In blocks of any size the matrix is 1 - cosine, symmetric to the last bit, diagonal 0."""
    vectors = random_unit(20, 12)

    diss = dissimilarities(as_vector_rows(vectors))

    np.testing.assert_allclose(diss, 1 - vectors.astype(float) @ vectors.T, atol=1e-6)
    np.testing.assert_array_equal(diss, diss.T)
    assert not diss.diagonal().any()


@pytest.mark.usefixtures("_block")
def test_some_rows():
    """Given rows are compared in their order."""
    vectors, rows = random_unit(30, 5), np.array([20, 3, 11])

    diss = dissimilarities(as_vector_rows(vectors), rows)

    np.testing.assert_array_equal(diss, dissimilarities(as_vector_rows(vectors[rows])))


def test_copies_are_at_zero():
    """Copies of a vector are at exactly 0, whatever rounding does to their cosine."""
    vectors = np.repeat(random_unit(40, 4096), 2, axis=0)

    diss = dissimilarities(as_vector_rows(vectors))

    assert not diss[np.arange(0, 80, 2), np.arange(1, 80, 2)].any()
    assert (diss >= 0).all()


@pytest.mark.usefixtures("_block")
def test_assignment_equals_all_scores():
    """Nearest and next medoid and their cosines are those of the whole table of scores."""
    vectors, medoids = random_unit(40, 6), np.array([5, 17, 30])

    found = assign(as_vector_rows(vectors), medoids)

    scores = np.sort(vectors @ vectors[medoids].T, axis=1)
    np.testing.assert_array_equal(found.labels, (vectors @ vectors[medoids].T).argmax(axis=1))
    np.testing.assert_allclose(found.scores, scores[:, -1], atol=1e-6)
    np.testing.assert_allclose(found.next_scores, scores[:, -2], atol=1e-6)
    assert found.loss == pytest.approx((1 - scores[:, -1]).sum(), abs=1e-4)


@pytest.mark.usefixtures("_block")
def test_medoids_stay_in_their_own_groups():
    """A medoid that has a copy among the medoids is in its own group, at a cosine of at most 1."""
    vectors = np.repeat(random_unit(4, 300), 3, axis=0)

    found = assign(as_vector_rows(vectors), np.arange(12))

    assert found.labels.tolist() == list(range(12))
    assert found.scores.max() <= 1
    assert found.loss == 0


def test_one_medoid_has_no_next():
    """With one group there is no other medoid to compare with."""
    found = assign(as_vector_rows(random_unit(3, 4)), np.array([1]))

    assert found.labels.tolist() == [0, 0, 0]
    assert np.isnan(found.next_scores).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 5.0])
def test_vectors_that_cannot_be_compared(value):
    """NaN, infinite, zero or long vectors are refused, naming the first such row."""
    vectors = random_unit(5, 3)
    vectors[3] = value

    with np.errstate(all="ignore"), pytest.raises(BadVectors, match=r"1 of 5 vectors .* row 3 "):
        dissimilarities(as_vector_rows(vectors))
    with np.errstate(all="ignore"), pytest.raises(BadVectors, match="row 3 "):
        assign(as_vector_rows(vectors), np.array([0]))


@pytest.mark.parametrize("shape", [(3,), (0, 4), (2, 2, 2)])
def test_arrays_of_another_shape(shape):
    """Only rows of vectors, at least one, can be grouped."""
    with pytest.raises(BadVectors, match=r"\(n, dim\) with n >= 1"):
        as_vector_rows(np.zeros(shape, np.float32))
