"""Deadlines: how long a request may take, checked between its steps.

A running step cannot be stopped, so each has its own limits (pixels, rows, numbers). A request that
has used its time does not start another step.
"""

from __future__ import annotations

import time
from contextvars import ContextVar

from service.errors import Overloaded

_until: ContextVar[float] = ContextVar("until", default=float("inf"))


def begin(seconds: float) -> None:
    """Set the deadline of this thread's request to some seconds from now."""
    _until.set(time.monotonic() + seconds)


def left_s() -> float:
    """Return the seconds until the deadline; infinite outside a request."""
    return _until.get() - time.monotonic()


def check() -> None:
    """Raise Overloaded if the deadline has passed; call it before an expensive step."""
    if left_s() <= 0:
        raise Overloaded("the request took too long: request less, or try again later", "time")
