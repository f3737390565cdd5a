"""Waiting until something holds, instead of sleeping for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Claim = TypeVar("Claim")
# Far beyond what any wait takes on an idle machine: only a fault, not a busy machine, ends one.
PATIENCE_S = 120.0


def wait_for(
    claim: Callable[[], Claim], within_s: float = PATIENCE_S, every_s: float = 0.01
) -> Claim:
    """Call a function until it returns something true, and return that."""
    end = time.monotonic() + within_s
    while not (found := claim()):
        assert time.monotonic() < end, f"did not come true within {within_s:.0f} s"
        time.sleep(every_s)
    return found
