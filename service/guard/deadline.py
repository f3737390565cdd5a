"""The time that a request may take, asked for between its steps.

A step cannot be stopped from outside, so each is bounded by itself (pixels, rows, numbers), and
what has used its time is not let into the next one.
"""

from __future__ import annotations

import time
from contextvars import ContextVar

from service.errors import Overloaded

_until: ContextVar[float] = ContextVar("until", default=float("inf"))


def begin(seconds: float) -> None:
    """Give the request of this thread so much time from now on."""
    _until.set(time.monotonic() + seconds)


def left_s() -> float:
    """Return the seconds that are left; infinite where no request has begun."""
    return _until.get() - time.monotonic()


def check() -> None:
    """Raise Overloaded if the time is used up; call it before a step that costs."""
    if left_s() <= 0:
        raise Overloaded("the request has used its time: ask for less, or again later", "time")
