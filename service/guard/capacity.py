"""Slots that requests wait for: a full pool is a 503."""

from __future__ import annotations

from models.errors import CapacityFull
from models.runtime import slots
from service.errors import Overloaded


class Capacity(slots.Capacity):
    """As `models.runtime.slots.Capacity`, with the error that a client sees."""

    def acquire(self, wait_s: float | None = None, size: int = 0) -> None:
        """Take a slot; the caller must `release` it.

        Raises
        ------
        Overloaded
            If no slot becomes free in time, or if too many are waiting already.
        """
        try:
            super().acquire(wait_s, size)
        except CapacityFull as error:
            raise Overloaded(
                f"the service is busy ({error.name}): try again later", error.name
            ) from None
