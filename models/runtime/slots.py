"""Slots for work that runs at the same time; threads wait for one in order of arrival."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import CapacityFull


class Capacity:
    """A pool of slots, limited by count and by the total size of the work in them.

    Safe for any number of threads.

    Parameters
    ----------
    slots : float
        Number of slots.
    total_size : float
        Largest total size of the work in all slots. Work that is larger still gets a slot while
        all others are free; otherwise it would never start.
    most_waiting : float
        How many may wait for a slot; the next one is refused at once.
    name : str
        What is full, for the error.
    """

    def __init__(
        self,
        slots: float = float("inf"),
        total_size: float = float("inf"),
        most_waiting: float = float("inf"),
        *,
        name: str,
    ) -> None:
        self._slots = slots
        self._total_size = total_size
        self._most_waiting = most_waiting
        self._name = name
        self._used_slots = 0
        self._used_size = 0
        self._waiting: deque[object] = deque()  # tickets, oldest first
        self._changed = threading.Condition()

    @contextmanager
    def slot(self, wait_s: float | None = None, size: int = 0) -> Iterator[None]:
        """Hold a slot until the end of the block.

        Parameters
        ----------
        wait_s : float, optional
            Longest wait, in seconds. Default: as long as it takes.
        size : int
            Size of the work, in the unit of `total_size`.

        Raises
        ------
        CapacityFull
            If no slot becomes free in time, or if too many are waiting already.
        """
        self.acquire(wait_s, size)
        try:
            yield
        finally:
            self.release(size)

    def acquire(self, wait_s: float | None = None, size: int = 0) -> None:
        """Take a slot, as `slot` does; the caller must `release` it."""
        ticket = object()
        with self._changed:
            if self._is_crowded():
                raise CapacityFull(self._name)
            self._waiting.append(ticket)
            try:
                if not self._changed.wait_for(lambda: self._is_next(ticket, size), wait_s):
                    raise CapacityFull(self._name)
                self._used_slots += 1
                self._used_size += size
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def release(self, size: int = 0) -> None:
        """Give a slot back."""
        with self._changed:
            self._used_slots -= 1
            self._used_size -= size
            self._changed.notify_all()

    def _is_crowded(self) -> bool:
        return self._used_slots >= self._slots and len(self._waiting) >= self._most_waiting

    def _is_next(self, ticket: object, size: int) -> bool:
        # In order of arrival: otherwise small work could overtake large work for ever.
        return self._waiting[0] is ticket and self._used_slots < self._slots and self._fits(size)

    def _fits(self, size: int) -> bool:
        return self._used_slots == 0 or self._used_size + size <= self._total_size
