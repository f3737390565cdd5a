"""Fixtures for every ring: a leak detector, and small vectors."""

from __future__ import annotations

import numpy as np
import pytest

from index import snapshot


@pytest.fixture(autouse=True)
def no_snapshot_left_open():
    """Fail a test that leaves a snapshot open."""
    before = set(snapshot.open_snapshots)
    yield
    left = set(snapshot.open_snapshots) - before
    for one in left:
        one.close()
    assert not left, f"left open: {[one.id for one in left]}"


@pytest.fixture
def rng():
    """Give a seeded random generator."""
    return np.random.default_rng(0)


@pytest.fixture
def unit_vectors():
    """Give a function (n, dim, seed) -> random unit rows, float32."""

    def make(n, dim=16, seed=0):
        vectors = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return make
