"""Curves of within-cluster error against the number of groups, for the elbow.

Three of them: k-medoids by our own FasterPAM (the default), k-medoids by pyclustering, and
Euclidean k-means, from which the original solution read its number of groups.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from index.arrays import Rows, Vectors
from index.progress import QUIET, Progress
from indexer.groups.dissimilarity import VectorRows, blocks
from indexer.groups.fasterpam import (
    Diss,
    SwapSearch,
    check_dissimilarities,
    check_n_clusters,
    one_thread,
)
from indexer.groups.pyclustering_kmedoids import pyclustering_kmedoids

_MANY_CLUSTERS, _MANY_IMAGES, _MAX_OTHER_STARTS = 12, 4000, 16  # see _try_other_starts
_N_COMPONENTS = 128
_N_SAMPLED = 1024  # rows behind the principal components
_N_RUNS = 2
_N_THREADS = min(4, os.cpu_count() or 1)  # NumPy lets go of the interpreter's lock
_MAX_STEPS = 50


@dataclass(frozen=True)
class Curve:
    """Within-cluster error by number of groups.

    Attributes
    ----------
    wce : dict of int to float
        Rising numbers without gaps.
    medoids : dict of int to ndarray of shape (n_clusters,), int64
        The medoids of each, as positions in what was grouped; empty for k-means.
    """

    wce: dict[int, float] = field(default_factory=dict)
    medoids: dict[int, Rows] = field(default_factory=dict)


def kmedoids_curve(
    diss: Diss,
    min_clusters: int,
    max_clusters: int,
    seed: int = 0,
    progress: Progress = QUIET,
) -> Curve:
    """Group with FasterPAM for each number of groups, each from the last one's medoids.

    Parameters
    ----------
    diss : ndarray of shape (n, n), float32
        Symmetric, >= 0, zero on the diagonal.
    min_clusters, max_clusters : int
        1 <= min_clusters <= max_clusters <= n.
    seed : int
        Of a few random starts for few groups of few pictures, where going on from the last
        medoids leads astray most easily.
    progress : callable
        tqdm-compatible factory.

    Returns
    -------
    Curve
        Errors are losses: sums of dissimilarities to the nearest medoid. They never rise.

    Notes
    -----
    The picture that helps most becomes the next medoid, then swaps follow until none gains
    anything. On thousands of pictures each error is within 0.1 % of the best of several random
    starts; on 200 random vectors within 2 %.
    """
    check_dissimilarities(diss)
    check_n_clusters(max_clusters, len(diss))
    curve = Curve()
    with one_thread(), progress(total=max_clusters, desc="elbow", unit="K") as bar:
        search = SwapSearch(diss, max_clusters)
        search.start(search.best_single())
        for n_clusters in range(1, max_clusters + 1):
            if n_clusters > 1:
                search.add()
                search.converge()
                _try_other_starts(search, seed)
            if n_clusters >= min_clusters:
                curve.wce[n_clusters] = search.loss
                curve.medoids[n_clusters] = search.medoids
            bar.update(1)
    return curve


def _try_other_starts(search: SwapSearch, seed: int) -> None:
    """Go on from a random start's result, where that is better than the present medoids."""
    n_clusters = len(search.medoids)
    if n_clusters > _MANY_CLUSTERS:
        return
    rng = np.random.default_rng([seed, n_clusters])
    for _ in range(min(_MAX_OTHER_STARTS, _MANY_IMAGES // search.n)):
        medoids, loss = search.medoids, search.loss
        search.start(rng.choice(search.n, n_clusters, replace=False))
        search.converge()
        if search.loss >= loss:
            search.start(medoids)


def pyclustering_curve(
    diss: Diss,
    min_clusters: int,
    max_clusters: int,
    seed: int = 0,
    progress: Progress = QUIET,
) -> Curve:
    """Group with pyclustering for each number of groups; see `kmedoids_curve`.

    Every number starts anew from random medoids, as in the original: hours for thousands of
    pictures (`pyclustering_kmedoids.estimate_seconds`), and the errors may rise a little.
    """
    curve = Curve()
    numbers = range(min_clusters, max_clusters + 1)
    with progress(total=len(numbers), desc="elbow", unit="K") as bar:
        for n_clusters in numbers:
            found = pyclustering_kmedoids(diss, n_clusters, seed)
            curve.wce[n_clusters], curve.medoids[n_clusters] = found.loss, found.medoids
            bar.update(1)
    return curve


def kmeans_curve(
    vectors: VectorRows,
    min_clusters: int,
    max_clusters: int,
    *,
    rows: Rows | None = None,
    seed: int = 0,
    progress: Progress = QUIET,
) -> Curve:
    """Run Euclidean k-means for each number of groups, each from new centres.

    Parameters
    ----------
    vectors : VectorRows
        Unit rows.
    min_clusters, max_clusters : int
        1 <= min_clusters <= max_clusters <= number of rows.
    rows : ndarray of int64, optional
        Those to group; all by default.
    seed : int
        Of the sample behind the principal components, and of the first centres.
    progress : callable
        tqdm-compatible factory.

    Returns
    -------
    Curve
        Errors are sums of squared Euclidean distances to the mean of the own cluster, over all
        dimensions. The clusters are those found along the 128 leading principal components (of at
        most 1,024 rows): to look in all 4,096 dimensions takes many times as long, and gave no
        better clusters.

    Notes
    -----
    Greedy k-means++ (D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding",
    SODA 2007; as the original's elbow), then at most 50 of Lloyd's steps; the better of two runs.
    Starting from the last number's centres would save time, but in many dimensions a single
    picture that is made a centre wins few others from means, so errors came out 3 % higher.
    """
    rows = np.arange(len(vectors)) if rows is None else rows
    check_n_clusters(max_clusters, len(rows))
    numbers = range(min_clusters, max_clusters + 1)
    labels = []
    with (
        one_thread(),
        ThreadPoolExecutor(_N_THREADS) as threads,
        progress(total=len(numbers), desc="elbow", unit="K") as bar,
    ):
        points = _principal_components(vectors, rows, np.random.default_rng(seed))
        for found in threads.map(functools.partial(_kmeans, points, seed), numbers):
            labels.append(found)
            bar.update(1)
    errors = _errors(vectors, rows, labels)
    return Curve(dict(zip(numbers, errors, strict=True)))


def _principal_components(vectors: VectorRows, rows: Rows, rng: np.random.Generator) -> Vectors:
    """Return the coordinates of rows along the leading principal directions of some of them."""
    some = np.sort(rng.permutation(rows)[:_N_SAMPLED])
    sample = vectors.vectors(some)
    mean = sample.mean(axis=0)
    sample = sample - mean
    # The eigenvectors of the small Gram matrix give those of the (dim, dim) covariance.
    eigenvalues, eigenvectors = np.linalg.eigh(sample @ sample.T)
    leading = [i for i in range(len(some))[::-1][:_N_COMPONENTS] if eigenvalues[i] > 1e-5]
    if not leading:
        return np.zeros((len(rows), 1), np.float32)  # all vectors are equal
    directions = sample.T @ (eigenvectors[:, leading] / np.sqrt(eigenvalues[leading]))
    parts = [(vectors.vectors(rows[part]) - mean) @ directions for part in blocks(len(rows))]
    return np.vstack(parts)


def _squared_distances(points: Vectors, others: Vectors) -> NDArray[np.float32]:
    """Return the squared Euclidean distances, (len(points), len(others)) float32."""
    found = points @ (-2 * others.T)
    found += np.einsum("ij,ij->i", points, points)[:, None]
    found += np.einsum("ij,ij->i", others, others)
    return np.maximum(found, 0, out=found)


def _kmeans(points: Vectors, seed: int, n_clusters: int) -> NDArray[np.int64]:
    rng = np.random.default_rng([seed, n_clusters])  # the same whatever thread comes first
    runs = [_lloyd(points, _first_centres(points, n_clusters, rng)) for _ in range(_N_RUNS)]
    return min(runs, key=lambda run: run[1])[0]


def _first_centres(points: Vectors, n_clusters: int, rng: np.random.Generator) -> Vectors:
    """Draw points as centres, far ones more likely; of a few drawn each time, the best (greedy)."""
    n_drawn = 2 + int(np.log(n_clusters))
    chosen = [int(rng.integers(len(points)))]
    nearest = _squared_distances(points, points[chosen])[:, 0]
    while len(chosen) < n_clusters:
        # Points at distance 0 have no chance, unless all are.
        reach = np.cumsum(nearest + 1e-12, dtype=np.float64)
        drawn = np.searchsorted(reach, rng.random(n_drawn) * reach[-1])
        to_drawn = np.minimum(_squared_distances(points, points[drawn]), nearest[:, None])
        best = int(to_drawn.sum(axis=0).argmin())
        chosen.append(int(drawn[best]))
        nearest = to_drawn[:, best]
    return points[chosen]


def _lloyd(points: Vectors, centres: Vectors) -> tuple[NDArray[np.int64], float]:
    """Move centres to the means of their points until no point changes; labels and error."""
    labels = np.full(len(points), -1)
    for _ in range(_MAX_STEPS):
        distances = _squared_distances(points, centres)
        before, labels = labels, distances.argmin(axis=1)
        if np.array_equal(labels, before):
            break
        sums, counts = _sums_by_label(points, labels, len(centres))
        # A centre without points stays where it is.
        centres = np.where(counts > 0, sums / np.maximum(counts, 1), centres)
    return labels, float(distances.min(axis=1).sum(dtype=np.float64))


def _sums_by_label(
    points: Vectors, labels: NDArray[np.int64], n_clusters: int
) -> tuple[Vectors, NDArray[np.float32]]:
    indicator = (labels == np.arange(n_clusters)[:, None]).astype(np.float32)
    return indicator @ points, indicator.sum(axis=1, keepdims=True)


def _errors(vectors: VectorRows, rows: Rows, labels: Sequence[NDArray[np.int64]]) -> list[float]:
    """Return each clustering's sum of squared distances to the means, in one pass over the rows.

    A cluster's error is the sum of its squared lengths, less its size times the squared length of
    its mean.
    """
    n_clusters = [int(of.max()) + 1 for of in labels]
    sums = [np.zeros((n, vectors.dim), np.float32) for n in n_clusters]
    lengths = 0.0
    for part in blocks(len(rows)):
        block = vectors.vectors(rows[part])
        lengths += float(np.square(block).sum(dtype=np.float64))
        for of, n, total in zip(labels, n_clusters, sums, strict=True):
            total += _sums_by_label(block, of[part], n)[0]
    explained = [_explained(total, np.bincount(of)) for of, total in zip(labels, sums, strict=True)]
    return [max(lengths - part, 0.0) for part in explained]


def _explained(sums: Vectors, counts: NDArray[np.int64]) -> float:
    squares = np.einsum("ij,ij->i", sums, sums, dtype=np.float64)
    return float((squares / np.maximum(counts, 1)).sum())
