"""k-medoids by FasterPAM's swaps, in NumPy.

Source: E. Schubert, P. J. Rousseeuw, "Fast and eager k-medoids clustering: O(k) runtime
improvement of the PAM, CLARA, and CLARANS algorithms", Information Systems 101 (2021) 101804,
doi:10.1016/j.is.2021.101804.

The paper splits what a swap (take medoid m away, make picture c a medoid) changes into two parts:
one that depends on c alone, and one that is summed by the group that each picture is in. So one
look at c judges its swap with every medoid. Here both parts are held for all candidates at once,
and after a swap only the shares of those pictures are renewed whose two nearest medoids changed
(about 3 n / n_clusters of them). Swaps are then taken best first, as PAM does, at less than the
cost of the paper's eager order; the end is the same: no single swap lowers the loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from index.arrays import Rows
from indexer.errors import IndexerError

Diss = NDArray[np.float32]

_MIN_STARTS, _MAX_STARTS = 4, 32
_STARTED_IMAGES = 20_000  # starts times pictures: small collections have room for more starts
_BLOCK = 64  # pictures at a time: 3 arrays of (64, n) float32 stay near the processor
_TOLERANCE = 1e-6  # of the loss: a smaller gain is within the rounding of the sums
REFRESH = 50  # renew the sums from scratch after this many times n changed pictures


class InvalidNumberOfClusters(IndexerError, ValueError):
    """The number of groups is not between 1 and the number of pictures."""


class InvalidDissimilarities(IndexerError, ValueError):
    """The matrix is not square, or holds something other than finite numbers >= 0."""


@dataclass(frozen=True, eq=False)
class KMedoidsResult:
    """Groups found on a dissimilarity matrix.

    Attributes
    ----------
    labels : ndarray of shape (n,), int32
        Position in `medoids` of every row's medoid; a medoid's label is its own position.
    medoids : ndarray of shape (n_clusters,), int64
        Rows that stand for the groups.
    loss : float
        Sum of dissimilarities to the own medoid.
    n_swaps : int or None
        Exchanges of a medoid on the way; None where the algorithm does not tell.
    """

    labels: NDArray[np.int32]
    medoids: Rows
    loss: float
    n_swaps: int | None

    @classmethod
    def from_medoids(cls, diss: Diss, medoids: Rows, n_swaps: int | None = None) -> KMedoidsResult:
        """Return the groups that given medoids make: every row goes to its nearest one.

        Equally near medoids: the first one, but a medoid belongs to its own group.
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
        1 to n; may be left out where medoids are given.
    medoids : ndarray of shape (n_clusters,), int64, optional
        Different rows to start from, instead of a greedy start.
    seed : int
        Of the random starts.
    n_starts : int, optional
        Starts to try, the best result wins: the first from `medoids` or greedy (PAM's BUILD),
        the others from random rows. By default 4 for thousands of rows, where the losses of
        single starts differ by less than 0.1 %, and up to 32 for fewer, where they differ by more.

    Returns
    -------
    KMedoidsResult
        A local optimum: a swap would gain less than a millionth of the loss. The best possible
        medoids are not promised (finding them is NP-hard), but for one group they are found.

    Raises
    ------
    InvalidNumberOfClusters
        If there are fewer rows than groups, or no group is asked for.
    InvalidDissimilarities
        If the matrix is not square or holds NaN, infinite or negative numbers.

    Notes
    -----
    Memory: the matrix, and 8 * n * n_clusters bytes. Time: O(n^2) for the start and about
    O(n^2 / n_clusters) for a swap.
    """
    check_dissimilarities(diss)
    n_clusters = _wanted(len(diss), n_clusters, medoids)
    if n_starts is None:
        n_starts = min(max(_STARTED_IMAGES // len(diss), _MIN_STARTS), _MAX_STARTS)
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

    `SwapSearch` makes many small ones: on two threads they gain nothing on an idle machine, and
    wait for each other eight times as long on a busy one.
    """
    return threadpool_limits(limits=1, user_api="blas")


def check_dissimilarities(diss: Diss) -> None:
    """Raise InvalidDissimilarities unless a matrix is square, finite and >= 0."""
    if diss.ndim != 2 or diss.shape[0] != diss.shape[1] or not len(diss):
        raise InvalidDissimilarities(
            f"dissimilarities have shape {diss.shape}: a square matrix with one row for each "
            "picture is needed"
        )
    # NaN passes through min and max, so two passes without a copy see everything.
    low, high = float(diss.min()), float(diss.max())
    if not (low >= 0 and np.isfinite(high)):
        raise InvalidDissimilarities(
            f"dissimilarities go from {low} to {high}: finite numbers >= 0 are needed; "
            "look for NaN among the vectors"
        )


def check_n_clusters(n_clusters: int, n: int) -> None:
    """Raise InvalidNumberOfClusters unless 1 <= n_clusters <= n."""
    if not 1 <= n_clusters <= n:
        raise InvalidNumberOfClusters(
            f"{n_clusters} groups of {n} pictures are impossible: choose 1 to {n}"
        )


def _wanted(n: int, n_clusters: int | None, medoids: Rows | None) -> int:
    if medoids is not None:
        n_clusters = len(medoids) if n_clusters is None else n_clusters
        if len(np.unique(medoids)) != n_clusters:
            raise InvalidNumberOfClusters(
                f"{n_clusters} groups need {n_clusters} different medoids to start from, "
                f"not {medoids.tolist()}"
            )
    if n_clusters is None:
        raise InvalidNumberOfClusters("give the number of groups, or the medoids to start from")
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

    label: NDArray[np.int32]  # position of the nearest medoid
    first: NDArray[np.float32]  # dissimilarity to it
    second: NDArray[np.float32]  # and to the next one, infinite if there is none

    def of(self, which: Any) -> _Nearest:
        return _Nearest(self.label[which], self.first[which], self.second[which])


class SwapSearch:
    """Medoids of a dissimilarity matrix, and what every possible change of them would gain.

    Parameters
    ----------
    diss : ndarray of shape (n, n), float32
        Symmetric, checked. Not modified.
    max_clusters : int
        The most medoids that there will be.

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
        # What making row c a medoid changes: [c] with all others kept, and then on top of it
        # [m, c] with medoid m taken away.
        self._added = np.zeros(self.n)
        self._removed = np.zeros((max_clusters, self.n))
        self._n_renewed = 0
        # Arrays made anew for each block would cost more than the work on them (page faults).
        self._room = np.empty((3, min(_BLOCK, self.n), self.n), np.float32)

    @property
    def loss(self) -> float:
        """Sum of dissimilarities to the nearest medoid."""
        return float(self._near.first.sum(dtype=np.float64))

    def start(self, medoids: Rows) -> None:
        """Take given medoids, forgetting those before."""
        self.medoids = np.array(medoids, np.int64)
        self._near = self._two_nearest(np.arange(self.n))
        self._refresh()

    def greedy(self, n_clusters: int) -> Rows:
        """Start with the best single medoid, add the one that helps most, and so on (BUILD)."""
        self.start(self.best_single())
        while len(self.medoids) < n_clusters:
            self.add()
        return self.medoids

    def best_single(self) -> Rows:
        """Return the one row with the least sum of dissimilarities, as an array of length 1."""
        return np.array([self._diss.sum(axis=1, dtype=np.float64).argmin()])

    def add(self) -> None:
        """Make that row a medoid which lowers the loss most; the lowest row among equals."""
        gains = self._added.copy()
        gains[self.medoids] = np.inf
        row = int(gains.argmin())
        nearer = np.flatnonzero(self._diss[row] < self._near.second)
        # The new medoid itself is always looked at, even where a copy of it is a medoid already.
        self._change(np.append(self.medoids, row), nearer)

    def converge(self) -> int:
        """Swap, best swap first, until none gains anything; return the number of swaps."""
        n_swaps = 0
        before = np.inf
        # A swap that gains nothing after all is rounding, and going on could run in circles.
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
        gone, medoids[position] = medoids[position], row
        # Only where the old medoid was, or the new one will be, among the two nearest.
        touched = (self._diss[row] < self._near.second) | (self._diss[gone] <= self._near.second)
        self._change(medoids, np.flatnonzero(touched))

    def _change(self, medoids: Rows, touched: Rows) -> None:
        """Take new medoids, renewing the shares of those pictures that may be touched by it."""
        self.medoids = medoids
        before = self._near.of(touched)
        after = self._two_nearest(touched)
        self._count(touched, (-1, before), (+1, after))
        self._near.label[touched] = after.label
        self._near.first[touched] = after.first
        self._near.second[touched] = after.second
        if self._n_renewed > REFRESH * self.n:
            self._refresh()

    def _two_nearest(self, rows: Rows) -> _Nearest:
        to_medoids = self._diss[self.medoids[:, None], rows]
        columns = np.arange(len(rows))
        label = to_medoids.argmin(axis=0).astype(np.int32)
        first = to_medoids[label, columns]
        to_medoids[label, columns] = np.inf
        return _Nearest(label, first, to_medoids.min(axis=0))

    def _refresh(self) -> None:
        """Sum all shares from scratch, so that rounding cannot pile up."""
        self._added[:] = 0
        self._removed[:] = 0
        self._count(np.arange(self.n), (+1, self._near))
        self._n_renewed = 0

    def _count(self, rows: Rows, *shares: tuple[int, _Nearest]) -> None:
        """Add (sign 1) or take back (-1) the shares of some pictures in all possible changes.

        A picture at dissimilarity d from candidate c changes by min(d, first) - first if c is
        added, and by min(d, second) - min(d, first) more if its own medoid goes.
        """
        self._n_renewed += len(rows)
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            block = rows[part]
            diss = self._diss.take(block, axis=0, out=self._room[0, : len(block)], mode="clip")
            for sign, near in shares:
                self._count_block(diss, sign, near.of(part))

    def _count_block(self, diss: Diss, sign: int, near: _Nearest) -> None:
        kept = _minimum(diss, near.first, out=self._room[1, : len(diss)])
        lost = _minimum(diss, near.second, out=self._room[2, : len(diss)])
        lost -= kept
        # Products with indicators: they sum rows several times as fast as NumPy's sums do.
        everyone = np.full(len(diss), sign, np.float32)
        self._added += everyone @ kept - sign * near.first.sum(dtype=np.float64)
        labels, member_of = np.unique(near.label, return_inverse=True)
        indicator = (member_of == np.arange(len(labels))[:, None]) * everyone
        self._removed[labels] += indicator @ lost


def _minimum(block: Diss, limits: NDArray[np.float32], out: Diss) -> Diss:
    """Write each row of a block, cut off at its own limit, to `out`."""
    # NumPy is three times as fast with two whole arrays as with an array and a column.
    np.copyto(out, limits[:, None])
    return np.minimum(block, out, out=out)
