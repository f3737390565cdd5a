"""The map: principal components, and pictures that are alike lie close."""

import numpy as np
import pytest

from index.search.faiss_store import FaissStore
from indexer.map.positions import draw_map


def unit_rows(n, dim, seed=0):
    """Return random unit rows, each direction with a tenth less variance than the one before."""
    rows = np.random.default_rng(seed).standard_normal((n, dim)) * 0.9 ** (np.arange(dim) / 2)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("n", [1, 2, 5, 20, 90])
def test_a_map_fills_the_square_and_comes_out_the_same_again(n):
    """Whatever the number of pictures; drawn twice it is bit for bit the same."""
    store = FaissStore.from_vectors(unit_rows(n, 16))
    points = draw_map(store).xy
    assert (points.shape, points.dtype) == ((n, 2), np.float32)
    assert ((points >= 0) & (points <= 1)).all()
    extents = np.ptp(points, axis=0)
    assert extents.max() == pytest.approx(1.0 if n > 1 else 0.0, abs=1e-6)
    np.testing.assert_array_equal(points, draw_map(store).xy)


def test_equal_pictures_are_no_hindrance():
    """All vectors may be one; the map is a point, or close to it, and finite."""
    vectors = np.tile(np.eye(1, 8, dtype=np.float32), (30, 1))
    assert np.isfinite(draw_map(FaissStore.from_vectors(vectors)).xy).all()


def test_pictures_that_are_alike_lie_close():
    """Three kinds of pictures are three heaps: each one's nearest on the map is of its kind."""
    kinds = np.repeat(np.arange(3), 40)
    centres = unit_rows(3, 32, seed=5)
    noise = np.random.default_rng(1).standard_normal((120, 32)) * 0.05
    rows = centres[kinds] + noise
    store = FaissStore.from_vectors(
        (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    )
    points = draw_map(store).xy
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (kinds[distances.argmin(axis=1)] == kinds).all()
