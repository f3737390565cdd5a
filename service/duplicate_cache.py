"""The duplicates of one snapshot, cached by threshold. No Flask."""

from __future__ import annotations

import threading
from collections import OrderedDict

from index.arrays import Rows
from index.search import duplicates
from index.snapshot import Snapshot
from service.errors import InvalidRequest

MAX_CACHED = 4  # thresholds
_MAX_COMPARED = 2_000_000  # pairs for one request, a few seconds of work

Groups = list[Rows]


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
        self._found: OrderedDict[float, Groups | None] = OrderedDict()  # None: too long a search
        self._lock = threading.Lock()

    def groups(self, threshold: float) -> Groups:
        """Return the rows of each group; see `index.search.duplicates.duplicate_groups`.

        Parameters
        ----------
        threshold : float
            Minimum score of a duplicate with the keeper of its group, [-1, 1].

        Raises
        ------
        InvalidRequest
            If too many pairs of pictures would have to be compared within a request.
        """
        with self._lock:
            if threshold not in self._found:
                self._found[threshold] = self._search(threshold)
            self._found.move_to_end(threshold)
            if len(self._found) > MAX_CACHED:
                self._found.popitem(last=False)
            found = self._found[threshold]
        if found is None:
            message = (
                f"{threshold} is too low: too many pictures are this similar. Raise it, or run "
                f"`bin/lookalike duplicates --threshold {threshold}` on the server"
            )
            raise InvalidRequest([("threshold", message)])
        return found

    def _search(self, threshold: float) -> Groups | None:
        """Return the groups, or None if the search is stopped because it takes too long."""
        left = _MAX_COMPARED

        def spend(n_compared: int) -> None:
            nonlocal left
            left -= n_compared
            if left < 0:
                raise _TooLong

        try:
            return duplicates.duplicate_groups(self._snapshot, threshold, spend)
        except _TooLong:
            return None


class _TooLong(Exception):
    """A search for duplicates has compared too many pairs."""
