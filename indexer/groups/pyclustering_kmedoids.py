"""k-medoids by pyclustering, the library that the original solution used.

It runs PAM (L. Kaufman, P. J. Rousseeuw, "Partitioning around medoids", 1987) from random medoids:
the same kind of optimum as `fasterpam` finds, some hundred times as slowly. The only module that
knows pyclustering.
"""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Iterable

import numpy as np

from indexer.errors import IndexerError
from indexer.groups.fasterpam import (
    Diss,
    KMedoidsResult,
    check_dissimilarities,
    check_n_clusters,
    fasterpam,
)

MAX_IMAGES_WITHOUT_CORE = 1_000
_MAX_SWAPS = 1_000  # pyclustering's own 200 would end it early from about 100 groups on
_PILOT_IMAGES = {True: 500, False: 60}  # with and without the core
_PILOT_CLUSTERS = (5, 20)


class PyclusteringTooSlow(IndexerError, ValueError):
    """pyclustering would need days for this number of pictures."""


class NoCore(UserWarning):
    """pyclustering runs without its C++ core, about a hundred times slower."""


def has_core() -> bool:
    """Return whether pyclustering's C++ core, which exists for x86 only, works here."""
    from pyclustering.core.wrapper import ccore_library

    return bool(ccore_library.workable())


def check_core(n: int) -> None:
    """Warn if there is no C++ core, and refuse if grouping would take days.

    Raises
    ------
    PyclusteringTooSlow
        Above 1,000 pictures without the core.
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
        Of the first medoids.

    Returns
    -------
    KMedoidsResult
        `n_swaps` is None.

    Raises
    ------
    InvalidNumberOfClusters
        If there are fewer rows than groups, or no group is asked for.
    InvalidDissimilarities
        If the matrix is not square or holds NaN, infinite or negative numbers.
    PyclusteringTooSlow
        Above 1,000 pictures where pyclustering has no C++ core.

    Notes
    -----
    Copies the matrix twice, to 16 * n^2 bytes. The warning `NoCore` says that there is no core.

    pyclustering 0.10.1.2 ends with a swap too many: it takes the least bad one, sees the loss
    rise, and stops there. From the medoids on which it ends, `fasterpam` takes that swap back.
    """
    check_dissimilarities(diss)
    check_n_clusters(n_clusters, len(diss))
    check_core(len(diss))
    start = np.random.default_rng(seed).choice(len(diss), n_clusters, replace=False)
    medoids = _different(diss, _run(diss, start.tolist()), n_clusters)
    repaired = fasterpam(diss, medoids=medoids, n_starts=1)
    return dataclasses.replace(repaired, n_swaps=None)


def estimate_seconds(diss: Diss, n_clusters: Iterable[int], n: int | None = None) -> float:
    """Estimate how long pyclustering will take for some numbers of groups, by two short trials.

    Parameters
    ----------
    diss : ndarray of shape (m, m), float32
        Dissimilarities of the pictures, or of some of them.
    n_clusters : iterable of int
        Each number of groups that will be made.
    n : int, optional
        Pictures that will be grouped; m by default.

    Returns
    -------
    float
        Seconds on this machine as busy as it is now; right within a factor of about 3.

    Notes
    -----
    Time grows with n^2, and with a power of the number of groups that the trials tell.
    """
    size = min(len(diss), _PILOT_IMAGES[has_core()])
    pilot = diss[:size, :size]
    few, many = (min(size, n_clusters) for n_clusters in _PILOT_CLUSTERS)
    _timed_run(pilot, few)  # the first run loads the library
    few_s, many_s = _timed_run(pilot, few), _timed_run(pilot, many)
    power = np.log(max(many_s / few_s, 1)) / np.log(many / few) if many > few else 2.0
    growth = ((len(diss) if n is None else n) / size) ** 2
    return float(sum(growth * few_s * (wanted / few) ** power for wanted in n_clusters))


def _timed_run(diss: Diss, n_clusters: int) -> float:
    start = time.monotonic()
    _run(diss, np.random.default_rng(0).choice(len(diss), n_clusters, replace=False).tolist())
    return time.monotonic() - start


def _run(diss: Diss, medoids: list[int]) -> list[int]:
    from pyclustering.cluster.kmedoids import kmedoids

    job = kmedoids(diss, medoids, data_type="distance_matrix", itermax=_MAX_SWAPS)
    return [int(row) for row in job.process().get_medoids()]


def _different(diss: Diss, medoids: list[int], n_clusters: int) -> np.ndarray:
    """Return as many different medoids as were asked for.

    pyclustering drops a medoid whose pictures all lie at 0 from another one; the pictures farthest
    from their medoids take the free places.
    """
    kept = np.unique(medoids)
    while len(kept) < n_clusters:
        to_nearest = diss[kept].min(axis=0)
        to_nearest[kept] = -1
        kept = np.append(kept, to_nearest.argmax())
    return kept.astype(np.int64)
