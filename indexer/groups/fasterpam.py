"""FasterPAM: k-medoids by fast swaps, in NumPy.

Source: E. Schubert, P. J. Rousseeuw, "Fast and eager k-medoids clustering: O(k) runtime
improvement of the PAM, CLARA, and CLARANS algorithms", Information Systems 101 (2021) 101804,
doi:10.1016/j.is.2021.101804.

A swap replaces medoid m by picture c. The paper splits the change of the loss into two terms: one
depends only on c, the other is a sum over the pictures in the group of m. One pass over the
pictures therefore evaluates the swaps of c with every medoid. This module stores both terms for all
candidates c. After a swap, it updates only the contributions of those pictures whose two nearest
medoids changed, about 3 n / n_clusters of them. It makes the best swap first, as PAM does, and is
still cheaper than the paper's eager order. Both end when no single swap lowers the loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from index.arrays import Labels, Rows
from indexer.errors import IndexerError

Diss = NDArray[np.float32]  # dissimilarities

_MIN_STARTS, _MAX_STARTS = 4, 32
_STARTS_TIMES_IMAGES = 20_000  # small collections get more starts
_BLOCK = 64  # pictures per block: 3 arrays of (64, n) float32 fit the processor's cache
_TOLERANCE = 1e-6  # of the loss; a smaller gain is within the rounding error of the sums
REFRESH = 50  # recompute all sums after updating this many times n pictures


class InvalidNumberOfClusters(IndexerError, ValueError):
    """The number of groups is less than 1 or larger than the number of pictures."""


class InvalidDissimilarities(IndexerError, ValueError):
    """The matrix is not square, or has values that are not finite or are negative."""


@dataclass(frozen=True, eq=False)
class KMedoidsResult:
    """Groups found on a dissimilarity matrix.

    Attributes
    ----------
    labels : ndarray of shape (n,), int32
        Position in `medoids` of the medoid of each row. The label of a medoid is its own position.
    medoids : ndarray of shape (n_clusters,), int64
        Rows of the medoids.
    loss : float
        Sum of the dissimilarities to the medoid of the group.
    n_swaps : int or None
        Number of swaps; None if the algorithm does not report it.
    """

    labels: Labels
    medoids: Rows
    loss: float
    n_swaps: int | None

    @classmethod
    def from_medoids(cls, diss: Diss, medoids: Rows, n_swaps: int | None = None) -> KMedoidsResult:
        """Return the groups around given medoids: each row belongs to its nearest medoid.

        If several medoids are equally near, the first one counts. A medoid always belongs to its
        own group.
        """
        to_medoids = diss[medoids]
        labels = to_medoids.argmin(axis=0).astype(np.int32)
        labels[medoids] = np.arange(len(medoids))
        loss = float(to_medoids.min(axis=0).sum(dtype=np.float64))
        return cls(labels, medoids, loss, n_swaps)


def fasterpam(
    diss: Diss,
    n_clusters: int | None = None,
    *,
    medoids: Rows | None = None,
    seed: int = 0,
    n_starts: int | None = None,
) -> KMedoidsResult:
    """Group rows around medoids so that no single swap of a medoid lowers the loss.

    Parameters
    ----------
    diss : ndarray of shape (n, n), float32
        Symmetric, >= 0, zero on the diagonal. Not modified.
    n_clusters : int, optional
        1 to n. Optional if medoids are given.
    medoids : ndarray of shape (n_clusters,), int64, optional
        Distinct rows for the first start. Default: a greedy start.
    seed : int
        Seed of the random starts.
    n_starts : int, optional
        Number of starts. The best result is returned. The first start is `medoids` or greedy (PAM's
        BUILD), the others are random rows. Default: 4 for thousands of rows, where the losses of
        single starts differ by less than 0.1 %, and up to 32 for fewer rows, where they differ
        more.

    Returns
    -------
    KMedoidsResult
        A local optimum: no swap gains more than a millionth of the loss. It is not always the
        global optimum, which is NP-hard to find. With one group it is.

    Raises
    ------
    InvalidNumberOfClusters
        If n_clusters is less than 1 or larger than n, or the medoids are not distinct.
    InvalidDissimilarities
        If the matrix is not square or has NaN, infinite or negative values.

    Notes
    -----
    Memory: the matrix, and 8 * n * n_clusters bytes. Time: O(n^2) for the start, and about
    O(n^2 / n_clusters) for each swap.
    """
    check_dissimilarities(diss)
    n_clusters = _checked_number(len(diss), n_clusters, medoids)
    if n_starts is None:
        n_starts = min(max(_STARTS_TIMES_IMAGES // len(diss), _MIN_STARTS), _MAX_STARTS)
    search = SwapSearch(diss, n_clusters)
    found = []
    with one_thread():
        for start in _starts(search, n_clusters, medoids, seed, n_starts):
            search.start(start)
            n_swaps = search.converge()
            found.append(KMedoidsResult.from_medoids(diss, search.medoids, n_swaps))
    return min(found, key=lambda result: result.loss)


def one_thread() -> threadpool_limits:
    """Return a context in which matrix products run on one thread.

    The products of `SwapSearch` are small. On an idle machine a second thread gains nothing. On a
    busy machine the threads wait for each other, and the products take eight times as long.
    """
    return threadpool_limits(limits=1, user_api="blas")


def check_dissimilarities(diss: Diss) -> None:
    """Raise InvalidDissimilarities unless a matrix is square, finite and >= 0."""
    if diss.ndim != 2 or diss.shape[0] != diss.shape[1] or not len(diss):
        raise InvalidDissimilarities(
            f"dissimilarities have shape {diss.shape}: pass a square matrix with one row for each "
            "picture"
        )
    # min and max propagate NaN, so these two passes find every invalid value without a copy.
    low, high = float(diss.min()), float(diss.max())
    if not (low >= 0 and np.isfinite(high)):
        raise InvalidDissimilarities(
            f"dissimilarities range from {low} to {high}, but must be finite and >= 0: "
            "check the vectors for NaN"
        )


def check_n_clusters(n_clusters: int, n: int) -> None:
    """Raise InvalidNumberOfClusters unless 1 <= n_clusters <= n."""
    if not 1 <= n_clusters <= n:
        raise InvalidNumberOfClusters(
            f"{n_clusters} groups of {n} pictures are impossible: choose 1 to {n}"
        )


def _checked_number(n: int, n_clusters: int | None, medoids: Rows | None) -> int:
    if medoids is not None:
        n_clusters = len(medoids) if n_clusters is None else n_clusters
        if len(np.unique(medoids)) != n_clusters:
            raise InvalidNumberOfClusters(
                f"{n_clusters} groups need {n_clusters} distinct medoids, not {medoids.tolist()}"
            )
    if n_clusters is None:
        raise InvalidNumberOfClusters("pass the number of groups, or the medoids to start from")
    check_n_clusters(n_clusters, n)
    return n_clusters


def _starts(
    search: SwapSearch, n_clusters: int, medoids: Rows | None, seed: int, n_starts: int
) -> Iterator[Rows]:
    yield search.greedy(n_clusters) if medoids is None else np.asarray(medoids, np.int64)
    rng = np.random.default_rng(seed)
    for _ in range(n_starts - 1):
        yield rng.choice(search.n, n_clusters, replace=False).astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Nearest:
    """The two nearest medoids of some rows."""

    label: Labels  # position of the nearest medoid
    first: Diss  # dissimilarity to the nearest medoid
    second: Diss  # dissimilarity to the next medoid, infinite if there is none

    def __getitem__(self, which: Any) -> _Nearest:
        return _Nearest(self.label[which], self.first[which], self.second[which])


class SwapSearch:
    """Medoids of a dissimilarity matrix, and the gain of every possible swap.

    Parameters
    ----------
    diss : ndarray of shape (n, n), float32
        Symmetric, checked. Not modified.
    max_clusters : int
        Maximum number of medoids.

    Attributes
    ----------
    medoids : ndarray of shape (n_clusters,), int64
    loss : float
        Sum of dissimilarities to the nearest medoid.
    """

    def __init__(self, diss: Diss, max_clusters: int) -> None:
        self.n = len(diss)
        self._diss = diss
        self.medoids: Rows = np.empty(0, np.int64)
        self._near = _Nearest(
            np.zeros(self.n, np.int32), np.zeros(self.n, np.float32), np.zeros(self.n, np.float32)
        )
        # Change of the loss if row c becomes a medoid, [c], and the further change if medoid m is
        # then removed, [m, c].
        self._added = np.zeros(self.n)
        self._removed = np.zeros((max_clusters, self.n))
        self._n_updated = 0
        # Buffers: to allocate arrays for each block would cost more than the work (page faults).
        self._buffers = np.empty((3, min(_BLOCK, self.n), self.n), np.float32)

    @property
    def loss(self) -> float:
        """Sum of dissimilarities to the nearest medoid."""
        return float(self._near.first.sum(dtype=np.float64))

    def start(self, medoids: Rows) -> None:
        """Replace all medoids by the given ones."""
        self.medoids = np.array(medoids, np.int64)
        self._near = self._two_nearest(np.arange(self.n))
        self._refresh()

    def greedy(self, n_clusters: int) -> Rows:
        """Start with the best single medoid, and add the best further ones one by one (BUILD)."""
        self.start(self.best_single())
        while len(self.medoids) < n_clusters:
            self.add()
        return self.medoids

    def best_single(self) -> Rows:
        """Return the row with the smallest sum of dissimilarities, as an array of length 1."""
        return np.array([self._diss.sum(axis=1, dtype=np.float64).argmin()])

    def add(self) -> None:
        """Add the medoid that lowers the loss most. Among equal rows it is the lowest."""
        changes = self._added.copy()
        changes[self.medoids] = np.inf
        row = int(changes.argmin())
        # The row itself is always among these, even if a copy of it is already a medoid.
        affected = np.flatnonzero(self._diss[row] < self._near.second)
        self._set_medoids(np.append(self.medoids, row), affected)

    def converge(self) -> int:
        """Make the best swap until none lowers the loss. Return the number of swaps."""
        n_swaps = 0
        before = np.inf
        # Stop if a swap did not lower the loss because of rounding, or the search could cycle.
        while self.loss < before and (best := self._best_swap()) is not None:
            before = self.loss
            self._swap(*best)
            n_swaps += 1
        return n_swaps

    def _best_swap(self) -> tuple[int, int] | None:
        change = self._removed[: len(self.medoids)] + self._added
        position, row = divmod(int(change.argmin()), self.n)
        return (position, row) if change[position, row] < -_TOLERANCE * self.loss else None

    def _swap(self, position: int, row: int) -> None:
        medoids = self.medoids.copy()
        old, medoids[position] = medoids[position], row
        # Pictures that had the old medoid, or will have the new one, among their two nearest.
        affected = (self._diss[row] < self._near.second) | (self._diss[old] <= self._near.second)
        self._set_medoids(medoids, np.flatnonzero(affected))

    def _set_medoids(self, medoids: Rows, affected: Rows) -> None:
        """Set new medoids, and update the contributions of the affected pictures."""
        self.medoids = medoids
        before = self._near[affected]
        after = self._two_nearest(affected)
        self._add_contributions(affected, (-1, before), (+1, after))
        self._near.label[affected] = after.label
        self._near.first[affected] = after.first
        self._near.second[affected] = after.second
        if self._n_updated > REFRESH * self.n:
            self._refresh()

    def _two_nearest(self, rows: Rows) -> _Nearest:
        to_medoids = self._diss[self.medoids[:, None], rows]
        columns = np.arange(len(rows))
        label = to_medoids.argmin(axis=0).astype(np.int32)
        first = to_medoids[label, columns]
        to_medoids[label, columns] = np.inf
        return _Nearest(label, first, to_medoids.min(axis=0))

    def _refresh(self) -> None:
        """Compute all sums again, so that rounding errors do not accumulate."""
        self._added[:] = 0
        self._removed[:] = 0
        self._add_contributions(np.arange(self.n), (+1, self._near))
        self._n_updated = 0

    def _add_contributions(self, rows: Rows, *terms: tuple[int, _Nearest]) -> None:
        """Add (sign 1) or subtract (-1) the contributions of some pictures to all changes.

        A picture with dissimilarity d to candidate c contributes min(d, first) - first if c is
        added, and a further min(d, second) - min(d, first) if the picture's own medoid is removed.
        """
        self._n_updated += len(rows)
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            block = rows[part]
            diss = self._diss.take(block, axis=0, out=self._buffers[0, : len(block)], mode="clip")
            for sign, near in terms:
                self._add_block(diss, sign, near[part])

    def _add_block(self, diss: Diss, sign: int, near: _Nearest) -> None:
        with_medoid = _minimum(diss, near.first, out=self._buffers[1, : len(diss)])
        further = _minimum(diss, near.second, out=self._buffers[2, : len(diss)])
        further -= with_medoid
        # Products with indicator matrices sum rows several times as fast as NumPy's sums.
        signs = np.full(len(diss), sign, np.float32)
        self._added += signs @ with_medoid - sign * near.first.sum(dtype=np.float64)
        labels, member_of = np.unique(near.label, return_inverse=True)
        indicator = (member_of == np.arange(len(labels))[:, None]) * signs
        self._removed[labels] += indicator @ further


def _minimum(block: Diss, limits: Diss, out: Diss) -> Diss:
    """Write the minimum of each row of a block and the row's limit to `out`."""
    # NumPy is three times as fast with two full arrays as with an array and a column.
    np.copyto(out, limits[:, None])
    return np.minimum(block, out, out=out)
