"""Vectors and dissimilarities for tests, and the slow and certain way to group them."""

from __future__ import annotations

from itertools import combinations

import numpy as np

# Worked out by hand. One group: rows sum to 17, 15, 19, 22, 33. Two: row 4 by itself and row 1 for
# the others (1 + 2 + 4 = 7). Three: row 3 by itself as well (1 + 2 = 3).
FIVE = np.array(
    [
        [0, 1, 4, 3, 9],
        [1, 0, 2, 4, 8],
        [4, 2, 0, 6, 7],
        [3, 4, 6, 0, 9],
        [9, 8, 7, 9, 0],
    ],
    np.float32,
)
FIVE_BEST = {1: ([1], 15), 2: ([1, 4], 7), 3: ([1, 3, 4], 3)}


def loss_of(diss, medoids) -> float:
    """Sum over all rows of the least dissimilarity to a medoid."""
    return float(diss[:, list(medoids)].min(axis=1).sum(dtype=np.float64))


def best_medoids(diss, n_clusters) -> tuple[list[int], float]:
    """Try every set of medoids; return the best one and its loss."""
    sets = combinations(range(len(diss)), n_clusters)
    best = min(sets, key=lambda medoids: loss_of(diss, medoids))
    return list(best), loss_of(diss, best)


def random_diss(n, seed, n_values=None) -> np.ndarray:
    """Return a symmetric matrix of random numbers, whole ones below n_values if it is given."""
    rng = np.random.default_rng(seed)
    values = rng.random((n, n)) if n_values is None else rng.integers(1, n_values, (n, n))
    diss = np.triu(values, 1).astype(np.float32)
    return diss + diss.T


def unit(vectors) -> np.ndarray:
    """Return rows scaled to unit length, float32."""
    vectors = np.asarray(vectors, np.float64)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def at_angles(*degrees) -> np.ndarray:
    """Return unit vectors in the plane at some angles, in degrees."""
    angles = np.radians(np.array(degrees, np.float64))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def blobs(n, n_groups, noise=0.3, dim=32, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors around random directions, and the group of each."""
    rng = np.random.default_rng(seed)
    centres = unit(rng.standard_normal((n_groups, dim)))
    groups = np.arange(n) % n_groups
    noise = noise * rng.standard_normal((n, dim)) / np.sqrt(dim)
    return unit(centres[groups] + noise), groups


def random_unit(n, dim, seed=0) -> np.ndarray:
    """Return unit vectors spread evenly in all directions."""
    return unit(np.random.default_rng(seed).standard_normal((n, dim)))


def same_groups(labels, others) -> bool:
    """Say whether two labellings put the same rows together."""
    pairs = set(zip(np.asarray(labels).tolist(), np.asarray(others).tolist(), strict=True))
    return len(pairs) == len(set(labels)) == len(set(others))
