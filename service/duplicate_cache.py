"""The duplicates of one snapshot, found once for each threshold that is asked for. No Flask."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from index.search import duplicates
from index.snapshot import Snapshot
from service.errors import InvalidRequest

KEPT = 4  # thresholds whose groups are remembered
_MOST_COMPARED = 2_000_000  # pairs that one request may have joined, a few seconds' work
_BLOCK = 8192  # lines of the table at a time: 3 MB

Groups = list[NDArray[np.int64]]


class Duplicates:
    """Find groups of duplicates, and remember those of the last few thresholds.

    Safe for several threads; one of them searches at a time, so that a hundred requests for the
    same groups cost one search.

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

        Raises
        ------
        InvalidRequest
            If so many pictures reach the threshold that it would hold up the service.
        """
        with self._lock:
            if threshold not in self._found:
                self._refuse_long_work(threshold)
                self._found[threshold] = duplicates.duplicate_groups(self._snapshot, threshold)
            self._found.move_to_end(threshold)
            if len(self._found) > KEPT:
                self._found.popitem(last=False)
            return self._found[threshold]

    def _refuse_long_work(self, threshold: float) -> None:
        if n_compared(self._snapshot, threshold) > _MOST_COMPARED:
            message = (
                f"so many pictures of this collection score {threshold} or more with each other "
                "that joining them would hold up the service: ask for more, or run "
                f"`bin/lookalike duplicates --threshold {threshold}` on the server"
            )
            raise InvalidRequest([("threshold", message)])


def n_compared(snapshot: Snapshot, threshold: float) -> int:
    """Return about how many pairs of pictures have to be looked at for a threshold.

    Those of the top-k table, and all others of each picture whose whole line reaches it.
    """
    table, n_pairs = snapshot.topk, 0
    for start in range(0, len(table), _BLOCK):
        scores = np.asarray(table.scores[start : start + _BLOCK])
        n_pairs += int((scores >= threshold).sum())
        if table.k < len(table):
            n_pairs += int((scores[:, -1] >= threshold).sum()) * len(table)
    return n_pairs
