"""Stages of a run: their durations, progress bars, and messages for the user."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from index.progress import QUIET, Progress


@dataclass
class Stages:
    """The stages of one run: progress bars, messages, and durations.

    Attributes
    ----------
    progress : callable
        tqdm-compatible factory.
    say : callable
        Called with one line of text for the user.
    seconds : dict of str to float
        Duration of each stage, in the order in which the stages ran.
    """

    progress: Progress = QUIET
    say: Callable[[str], None] = lambda line: None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - start, 2)

    def summary(self) -> str:
        """Return one line such as "read 11.2 s, train 180.0 s"."""
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
