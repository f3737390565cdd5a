"""Room for so much at a time: who finds none waits for it a while, first come, first served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import Overloaded


class Room:
    """Places for users of a size each; safe for any number of threads.

    Parameters
    ----------
    places : int
        How many may be in at a time.
    capacity : float
        How large all of them may be together. One alone may be larger, or it would never get in.
    most_waiting : float
        How many may wait; the next is turned away at once.
    name : str
        What is said to be full, to those who are turned away and in the metrics.
    """

    def __init__(
        self,
        places: int,
        capacity: float = float("inf"),
        most_waiting: float = float("inf"),
        *,
        name: str,
    ) -> None:
        self._places = places
        self._capacity = capacity
        self._most_waiting = most_waiting
        self._name = name
        self._inside = 0
        self._used = 0
        self._waiting: deque[object] = deque()  # tickets, oldest first
        self._changed = threading.Condition()

    @contextmanager
    def place(self, wait_s: float, size: int = 0) -> Iterator[None]:
        """Keep a place until the end of the block.

        Parameters
        ----------
        wait_s : float
            Longest wait, in seconds.
        size : int

        Raises
        ------
        Overloaded
            If there is none within that time, or too many wait already.
        """
        self.enter(wait_s, size)
        try:
            yield
        finally:
            self.leave(size)

    def enter(self, wait_s: float, size: int = 0) -> None:
        """Take a place; as `place`, but it has to be given back with `leave`."""
        ticket = object()
        with self._changed:
            if self._is_crowded():
                raise self._full()
            self._waiting.append(ticket)
            try:
                if not self._changed.wait_for(lambda: self._is_next(ticket, size), wait_s):
                    raise self._full()
                self._inside += 1
                self._used += size
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def leave(self, size: int = 0) -> None:
        """Give a place back."""
        with self._changed:
            self._inside -= 1
            self._used -= size
            self._changed.notify_all()

    def _is_crowded(self) -> bool:
        return self._inside >= self._places and len(self._waiting) >= self._most_waiting

    def _is_next(self, ticket: object, size: int) -> bool:
        # In order of coming: small ones may not slip past a large one for ever.
        return self._waiting[0] is ticket and self._inside < self._places and self._fits(size)

    def _fits(self, size: int) -> bool:
        return self._inside == 0 or self._used + size <= self._capacity

    def _full(self) -> Overloaded:
        return Overloaded(f"the service is busy ({self._name}): ask again", self._name)
