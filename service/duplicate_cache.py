"""The duplicates of one snapshot, cached by threshold. No Flask."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from index.search import duplicates
from index.snapshot import Snapshot
from service.errors import InvalidRequest

MAX_CACHED = 4  # thresholds
_MAX_COMPARED = 2_000_000  # pairs for one request, a few seconds of work
_BLOCK = 8192  # rows of the top-k table at a time: 3 MB

Groups = list[NDArray[np.int64]]


class DuplicateCache:
    """Find groups of duplicates, and cache those of the last few thresholds.

    Safe in threads. One thread searches at a time, so a hundred requests for the same groups cost
    one search.

    Parameters
    ----------
    snapshot : Snapshot
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._found: OrderedDict[float, Groups] = OrderedDict()
        self._lock = threading.Lock()

    def groups(self, threshold: float) -> Groups:
        """Return the rows of each group; see `index.search.duplicates.duplicate_groups`.

        Parameters
        ----------
        threshold : float
            Minimum score of two duplicates, [-1, 1].

        Raises
        ------
        InvalidRequest
            If too many pairs reach the threshold to compare them within a request.
        """
        with self._lock:
            if threshold not in self._found:
                self._refuse_long_search(threshold)
                self._found[threshold] = duplicates.duplicate_groups(self._snapshot, threshold)
            self._found.move_to_end(threshold)
            if len(self._found) > MAX_CACHED:
                self._found.popitem(last=False)
            return self._found[threshold]

    def _refuse_long_search(self, threshold: float) -> None:
        if n_compared(self._snapshot, threshold) > _MAX_COMPARED:
            message = (
                f"{threshold} is too low: too many pictures are this similar. Raise it, or run "
                f"`bin/lookalike duplicates --threshold {threshold}` on the server"
            )
            raise InvalidRequest([("threshold", message)])


def n_compared(snapshot: Snapshot, threshold: float) -> int:
    """Return roughly how many pairs of pictures must be compared for a threshold.

    These are the pairs of the top-k table that reach it. A picture whose whole table row reaches
    it may have more duplicates than the table holds, so all its pairs count as well.
    """
    table, n_pairs = snapshot.topk, 0
    for start in range(0, len(table), _BLOCK):
        scores = np.asarray(table.scores[start : start + _BLOCK])
        n_pairs += int((scores >= threshold).sum())
        if table.k < len(table):
            n_pairs += int((scores[:, -1] >= threshold).sum()) * len(table)
    return n_pairs
