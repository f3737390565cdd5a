"""k-medoids with pyclustering, the library of the original solution.

It runs PAM (L. Kaufman, P. J. Rousseeuw, "Partitioning around medoids", 1987) from random medoids.
It finds the same kind of optimum as `fasterpam`, about a hundred times more slowly. Only this
module imports pyclustering.
"""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Iterable

import numpy as np

from index.arrays import Rows
from indexer.errors import IndexerError
from indexer.groups.fasterpam import (
    Diss,
    KMedoidsResult,
    check_dissimilarities,
    check_n_clusters,
    fasterpam,
)

MAX_IMAGES_WITHOUT_CORE = 1_000
_MAX_SWAPS = 1_000  # pyclustering's default of 200 stops too early with 100 groups or more
_TRIAL_IMAGES = {True: 500, False: 60}  # with and without the core
_TRIAL_CLUSTERS = (5, 20)


class PyclusteringTooSlow(IndexerError, ValueError):
    """pyclustering would take days for so many pictures."""


class NoCore(UserWarning):
    """pyclustering runs without its C++ core, about a hundred times more slowly."""


def has_core() -> bool:
    """Return whether pyclustering's C++ core works here. It exists only for x86."""
    from pyclustering.core.wrapper import ccore_library

    return bool(ccore_library.workable())


def check_core(n: int) -> None:
    """Warn if there is no C++ core.

    Raises
    ------
    PyclusteringTooSlow
        If there is no core and n is above 1,000.
    """
    if has_core():
        return
    if n > MAX_IMAGES_WITHOUT_CORE:
        raise PyclusteringTooSlow(
            f"pyclustering has no C++ core on this machine and would need days for {n} pictures "
            f"(the limit is {MAX_IMAGES_WITHOUT_CORE}). Use --algorithm fasterpam."
        )
    warnings.warn(
        "pyclustering has no C++ core on this machine and is about a hundred times slower. "
        "--algorithm fasterpam finds groups of the same quality.",
        NoCore,
        stacklevel=2,
    )


def pyclustering_kmedoids(diss: Diss, n_clusters: int, seed: int = 0) -> KMedoidsResult:
    """Group rows around medoids with pyclustering, from random medoids as in the original.

    Parameters
    ----------
    diss : ndarray of shape (n, n), float32
        Symmetric, >= 0, zero on the diagonal. Not modified.
    n_clusters : int
        1 to n.
    seed : int
        Seed of the first medoids.

    Returns
    -------
    KMedoidsResult
        `n_swaps` is None.

    Raises
    ------
    InvalidNumberOfClusters
        If n_clusters is less than 1 or larger than n.
    InvalidDissimilarities
        If the matrix is not square or has NaN, infinite or negative values.
    PyclusteringTooSlow
        If pyclustering has no C++ core and n is above 1,000.

    Notes
    -----
    Copies the matrix twice, to 16 * n^2 bytes. Warns with `NoCore` if there is no core.

    pyclustering 0.10.1.2 makes one swap too many at the end: it makes the swap with the smallest
    increase of the loss, and then stops. `fasterpam`, started from the final medoids, undoes it.
    """
    check_dissimilarities(diss)
    check_n_clusters(n_clusters, len(diss))
    check_core(len(diss))
    start = np.random.default_rng(seed).choice(len(diss), n_clusters, replace=False)
    medoids = _filled_up(diss, _run(diss, start.tolist()), n_clusters)
    result = fasterpam(diss, medoids=medoids, n_starts=1)
    return dataclasses.replace(result, n_swaps=None)


def estimate_seconds(diss: Diss, n_clusters: Iterable[int], n: int | None = None) -> float:
    """Estimate the time that pyclustering needs, from two short trials.

    Parameters
    ----------
    diss : ndarray of shape (m, m), float32
        Dissimilarities of the pictures, or of some of them.
    n_clusters : iterable of int
        Each number of groups that will be computed.
    n : int, optional
        Number of pictures that will be grouped. Default: m.

    Returns
    -------
    float
        Seconds on this machine under its present load, correct within a factor of about 3.

    Notes
    -----
    The time is proportional to n^2 and to a power of the number of groups. The trials determine
    the exponent.
    """
    size = min(len(diss), _TRIAL_IMAGES[has_core()])
    trial = diss[:size, :size]
    few, many = (min(size, n_clusters) for n_clusters in _TRIAL_CLUSTERS)
    _timed_run(trial, few)  # the first run loads the library
    few_s, many_s = _timed_run(trial, few), _timed_run(trial, many)
    power = np.log(max(many_s / few_s, 1)) / np.log(many / few) if many > few else 2.0
    growth = ((len(diss) if n is None else n) / size) ** 2
    return float(sum(growth * few_s * (number / few) ** power for number in n_clusters))


def _timed_run(diss: Diss, n_clusters: int) -> float:
    start = time.monotonic()
    _run(diss, np.random.default_rng(0).choice(len(diss), n_clusters, replace=False).tolist())
    return time.monotonic() - start


def _run(diss: Diss, medoids: list[int]) -> list[int]:
    from pyclustering.cluster.kmedoids import kmedoids

    job = kmedoids(diss, medoids, data_type="distance_matrix", itermax=_MAX_SWAPS)
    return [int(row) for row in job.process().get_medoids()]


def _filled_up(diss: Diss, medoids: list[int], n_clusters: int) -> Rows:
    """Return n_clusters distinct medoids.

    pyclustering drops a medoid if all pictures of its group have dissimilarity 0 to another medoid.
    The pictures farthest from their medoids replace dropped ones.
    """
    kept = np.unique(medoids)
    while len(kept) < n_clusters:
        to_nearest = diss[kept].min(axis=0)
        to_nearest[kept] = -1
        kept = np.append(kept, to_nearest.argmax())
    return kept.astype(np.int64)
