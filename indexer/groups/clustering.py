"""Grouping of a collection: elbow, k-medoids, and sampling of large collections.

Up to 20,000 pictures, all pairs are compared. The matrix of a larger collection would not fit in
memory, so its groups come from samples, as in CLARA: L. Kaufman, P. J. Rousseeuw, "Clustering Large
Data Sets", 1986, doi:10.1016/B978-0-444-87877-9.50039-X. Each sample is grouped, and the other
pictures are assigned to the nearest medoids. The medoids with the lowest loss over the whole
collection are used. Each sample after the first includes the best medoids so far.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from index.arrays import Rows, Vectors
from index.artefacts.clusters import FIXED, Clusters
from index.progress import QUIET, Progress
from indexer.groups.dissimilarity import (
    Assignment,
    VectorRows,
    as_vector_rows,
    assign,
    dissimilarities,
)
from indexer.groups.elbow import CLEAR_KNEE, RULE, Elbow, find_elbow
from indexer.groups.error_curves import Curve, kmeans_curve, kmedoids_curve, pyclustering_curve
from indexer.groups.fasterpam import Diss, KMedoidsResult, check_n_clusters, fasterpam
from indexer.groups.grouping import (
    ALGORITHMS,
    FASTERPAM,
    KMEANS,
    PYCLUSTERING,
    Grouping,
    UnknownMethod,
)
from indexer.groups.pyclustering_kmedoids import (
    PyclusteringTooSlow,
    check_core,
    estimate_seconds,
    pyclustering_kmedoids,
)
from indexer.groups.scores import agreement, medoid_silhouette

N_SAMPLES = 5  # the number that Kaufman and Rousseeuw use
_SAMPLE_STARTS = 2


@dataclass(frozen=True)
class _Choice:
    """The number of groups, and how it was chosen."""

    n_clusters: int
    rule: str
    curve: Curve = field(default_factory=Curve)
    method: str | None = None
    elbow: Elbow | None = None

    @property
    def medoids(self) -> Rows | None:
        """Medoids of the sweep for this number of groups; None if it has none."""
        return self.curve.medoids.get(self.n_clusters)


def cluster(
    diss: Diss,
    n_clusters: int,
    algorithm: str = FASTERPAM,
    seed: int = 0,
    *,
    medoids: Rows | None = None,
    n_starts: int | None = None,
) -> KMedoidsResult:
    """Group pictures around medoids with either algorithm.

    Parameters
    ----------
    diss : ndarray of shape (n, n), float32
        Symmetric, >= 0, zero on the diagonal. Not modified.
    n_clusters : int
        1 to n.
    algorithm : str
        "fasterpam" or "pyclustering".
    seed : int
        Seed of random starts.
    medoids : ndarray of shape (n_clusters,), int64, optional
        First start of `fasterpam`. pyclustering always starts from random medoids.
    n_starts : int, optional
        Number of starts of `fasterpam`. The best result is returned.

    Returns
    -------
    KMedoidsResult

    Raises
    ------
    InvalidNumberOfClusters, InvalidDissimilarities, PyclusteringTooSlow, UnknownMethod
    """
    if algorithm == PYCLUSTERING:
        return pyclustering_kmedoids(diss, n_clusters, seed)
    if algorithm != FASTERPAM:
        raise UnknownMethod(f"unknown algorithm {algorithm!r}: use one of {ALGORITHMS}")
    return fasterpam(diss, n_clusters, medoids=medoids, seed=seed, n_starts=n_starts)


def group_images(
    vectors: VectorRows | Vectors,
    how: Grouping | None = None,
    *,
    classes: Sequence[str | None] | None = None,
    progress: Progress = QUIET,
    say: Callable[[str], None] = lambda line: None,
) -> Clusters:
    """Find the groups of a collection.

    Parameters
    ----------
    vectors : VectorRows, or ndarray of shape (n, dim), float32
        Unit rows, may be memory-mapped; n >= 1.
    how : Grouping, optional
        Default: FasterPAM, with an elbow over 2 to 100 groups.
    classes : sequence of str or None, of length n, optional
        Known class of each picture, None if unknown. If given, the groups are compared with the
        classes.
    progress : callable
        tqdm-compatible factory.
    say : callable
        Called with a message for the user before long work, and if something is unusual.

    Returns
    -------
    Clusters
        The same for the same vectors and options on one machine.

    Raises
    ------
    InvalidNumberOfClusters
        If there are fewer pictures than groups, or than `min_clusters`.
    BadVectors
        If a vector is not finite or does not have unit length.
    TooLittleMemory
        If `matrix_bytes` is too small for the number of groups.
    PyclusteringTooSlow
        If pyclustering would take days.
    NoClasses
        If `classes` are given but no class is known.

    Notes
    -----
    Pictures that are all equal form one group, unless the number of groups is given.
    """
    start = time.monotonic()
    how = how or Grouping()
    rows = as_vector_rows(vectors)
    _check_feasible(how, len(rows))
    size = how.sample_size(len(rows))
    find = _group_all if size == len(rows) else _group_by_samples
    choice, medoids, found = find(rows, how, progress, say)
    return Clusters.numbered(
        found.labels,
        medoids,
        found.scores,
        loss=found.loss,
        algorithm=how.algorithm,
        seed=how.seed,
        seconds=time.monotonic() - start,
        wce=tuple(choice.curve.wce.items()),
        wce_method=choice.method,
        rule=choice.rule,
        elbow_clear=None if choice.elbow is None else choice.elbow.is_clear,
        knee_strength=None if choice.elbow is None else choice.elbow.knee_strength,
        n_sampled=None if size == len(rows) else size,
        quality=_quality(found, classes),
    )


def _check_feasible(how: Grouping, n: int) -> None:
    """Raise the errors of impossible options before any long work begins."""
    if how.n_clusters is not None:
        check_n_clusters(how.n_clusters, n)
    elif n > 1:
        check_n_clusters(how.min_clusters, n)
    if PYCLUSTERING in (how.algorithm, how.elbow):
        if how.sample_size(n) < n:
            raise PyclusteringTooSlow(
                f"pyclustering would need days for {n} pictures. Use fasterpam, which groups "
                "samples of a large collection."
            )
        check_core(n)


def _group_all(
    rows: VectorRows,
    how: Grouping,
    progress: Progress,
    say: Callable[[str], None],
) -> tuple[_Choice, Rows, Assignment]:
    """Group a collection by the dissimilarities of all pairs."""
    diss = dissimilarities(rows, progress=progress)
    choice = _choose_number(rows, np.arange(len(rows)), diss, how, progress, say)
    if how.algorithm == PYCLUSTERING:
        _report_estimate(diss, range(choice.n_clusters, choice.n_clusters + 1), say)
    medoids = cluster(
        diss, choice.n_clusters, how.algorithm, how.seed, medoids=choice.medoids
    ).medoids
    return choice, medoids, assign(rows, medoids, progress)


def _group_by_samples(
    rows: VectorRows,
    how: Grouping,
    progress: Progress,
    say: Callable[[str], None],
) -> tuple[_Choice, Rows, Assignment]:
    """Group samples, and keep the medoids with the lowest loss over the whole collection."""
    n, size = len(rows), how.sample_size(len(rows))
    say(
        f"{n} pictures are too many to compare all pairs. Grouping {N_SAMPLES} samples of {size} "
        "and assigning the rest to the nearest medoids."
    )
    rng = np.random.default_rng(how.seed)
    choice, medoids = _group_first_sample(rows, _draw_sample(rng, n, size), how, progress, say)
    best = assign(rows, medoids, progress)
    for _ in range(N_SAMPLES - 1):
        sample = _draw_sample(rng, n, size, medoids)
        candidates = _group_next_sample(rows, sample, medoids, how.seed, progress)
        found = assign(rows, candidates, progress)
        if found.loss < best.loss:
            medoids, best = candidates, found
    return choice, medoids, best


# Each of these two functions frees the matrix of its sample, so there is only one at a time.


def _group_first_sample(
    rows: VectorRows,
    sample: Rows,
    how: Grouping,
    progress: Progress,
    say: Callable[[str], None],
) -> tuple[_Choice, Rows]:
    diss = dissimilarities(rows, sample, progress)
    choice = _choose_number(rows, sample, diss, how, progress, say)
    found = fasterpam(diss, choice.n_clusters, medoids=choice.medoids, seed=how.seed)
    return choice, sample[found.medoids]


def _group_next_sample(
    rows: VectorRows, sample: Rows, medoids: Rows, seed: int, progress: Progress
) -> Rows:
    diss = dissimilarities(rows, sample, progress)
    start = np.searchsorted(sample, medoids)
    return sample[fasterpam(diss, medoids=start, seed=seed, n_starts=_SAMPLE_STARTS).medoids]


def _draw_sample(rng: np.random.Generator, n: int, size: int, keep: Rows | None = None) -> Rows:
    """Draw random rows in rising order, always including the rows in `keep`."""
    drawn = rng.choice(n, size, replace=False)
    if keep is None:
        return np.sort(drawn)
    others = drawn[~np.isin(drawn, keep)]
    return np.sort(np.concatenate([keep, others[: size - len(keep)]]))


def _choose_number(
    rows: VectorRows,
    compared: Rows,
    diss: Diss,
    how: Grouping,
    progress: Progress,
    say: Callable[[str], None],
) -> _Choice:
    """Choose the number of groups."""
    if how.n_clusters is not None:
        return _Choice(how.n_clusters, FIXED)
    if not diss.any():
        return _Choice(1, "a single picture" if len(diss) == 1 else "all pictures are equal")
    numbers = range(how.min_clusters, min(how.max_clusters, len(diss)) + 1)
    curve = _error_curve(rows, compared, diss, how, numbers, progress, say)
    elbow = find_elbow(curve.wce)
    if not elbow.is_clear:
        say(
            f"No clear elbow (knee strength {elbow.knee_strength:.2f}; {CLEAR_KNEE} or more is "
            f"clear). Using {elbow.n_clusters} groups."
        )
    return _Choice(elbow.n_clusters, RULE, curve, how.elbow, elbow)


def _error_curve(
    rows: VectorRows,
    compared: Rows,
    diss: Diss,
    how: Grouping,
    numbers: range,
    progress: Progress,
    say: Callable[[str], None],
) -> Curve:
    low, high = numbers[0], numbers[-1]
    if how.elbow == KMEANS:
        return kmeans_curve(rows, low, high, rows=compared, seed=how.seed, progress=progress)
    if how.elbow == PYCLUSTERING:
        _report_estimate(diss, numbers, say)
        return pyclustering_curve(diss, low, high, how.seed, progress)
    return kmedoids_curve(diss, low, high, how.seed, progress)


def _report_estimate(diss: Diss, numbers: range, say: Callable[[str], None]) -> None:
    seconds = estimate_seconds(diss, numbers)
    groups = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"
    say(f"pyclustering will take about {duration(seconds)} for {groups} groups")


def duration(seconds: float) -> str:
    """Return a duration in a suitable unit, such as "45 s", "12 min" or "2.3 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _quality(found: Assignment, classes: Sequence[str | None] | None) -> dict[str, float | None]:
    quality = {"medoid_silhouette": medoid_silhouette(found)}
    return quality if classes is None else quality | agreement(found.labels, classes)
