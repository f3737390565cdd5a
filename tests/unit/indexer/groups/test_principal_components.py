"""The leading principal components of vectors."""

import numpy as np
import pytest

from indexer.groups.dissimilarity import as_vector_rows
from indexer.groups.principal_components import principal_components


def unit_rows(n, dim, seed=0):
    """Return random unit rows, each direction with a tenth less variance than the one before."""
    rows = np.random.default_rng(seed).standard_normal((n, dim)) * 0.9 ** (np.arange(dim) / 2)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def components(vectors, n, **options):
    """Return the components of an array."""
    return principal_components(as_vector_rows(vectors), n, **options)


def decomposed(vectors, n):
    """Return the components by NumPy."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    return left[:, :n] * sizes[:n]


@pytest.mark.parametrize(
    ("n", "dim", "allowed"), [(300, 64, 1e-3), (300, 2000, 1e-3), (2500, 40, 2e-2)]
)
def test_components_are_those_of_a_full_decomposition(n, dim, allowed):
    """Up to sign, they are NumPy's; of more than 2,048 rows, nearly."""
    vectors = unit_rows(n, dim)

    found, wanted = components(vectors, 3), decomposed(vectors, 3)

    assert (found.shape, found.dtype) == ((n, 3), np.float32)
    cosines = np.abs((found * wanted).sum(axis=0)) / np.square(wanted).sum(axis=0)
    np.testing.assert_allclose(cosines, 1, atol=allowed)


def test_missing_directions_are_zero():
    """Two vectors have one direction between them; one has none."""
    two = components(np.eye(2, 4, dtype=np.float32), 2)

    np.testing.assert_allclose(np.abs(two[:, 0]), [np.sqrt(0.5)] * 2, atol=1e-6)
    np.testing.assert_array_equal(two[:, 1], 0)
    np.testing.assert_array_equal(components(np.eye(1, 4, dtype=np.float32), 2), 0)


def test_equal_vectors_are_at_one_point():
    """They have no variance."""
    np.testing.assert_allclose(components(np.tile(unit_rows(1, 8), (30, 1)), 3), 0, atol=1e-6)


def test_given_rows_alone_are_used():
    """Rows left out take no part."""
    vectors = unit_rows(60, 10)
    rows = np.arange(0, 60, 2)

    some = components(vectors, 4, rows=rows)

    np.testing.assert_array_equal(some, components(vectors[rows], 4))


def test_components_are_the_same_with_the_same_seed():
    """Bit for bit."""
    vectors = unit_rows(2200, 64)

    first, second = (components(vectors, 5, seed=3) for _ in range(2))

    np.testing.assert_array_equal(first, second)
