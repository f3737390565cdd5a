"""Run the real command line and end it with kill -9 at a chosen moment.

    python -m tests.e2e.killing call N COMMAND...     at the Nth call that makes something durable
    python -m tests.e2e.killing count COMMAND...      not at all; prints how many there are

The calls are fsync, rename, replace and link: whatever can be half done is half done before or
after one of them.
"""

from __future__ import annotations

import os
import signal
import sys

DURABLE_CALLS = ("fsync", "rename", "replace", "link")


class Killer:
    """Count durable calls, and end the process just before the one that was chosen."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.n_calls = 0

    def wrap(self, name: str) -> None:
        """Let a function of `os` count, and kill."""
        real = getattr(os, name)

        def counted(*arguments, **options):
            self.n_calls += 1
            if self.n_calls == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        setattr(os, name, counted)


def main() -> None:
    """Run the command line with counted calls."""
    if sys.argv[1] == "call":
        killer, arguments = Killer(int(sys.argv[2])), sys.argv[3:]
    else:
        killer, arguments = Killer(None), sys.argv[2:]
    for name in DURABLE_CALLS:
        killer.wrap(name)
    from indexer.cli import main as run

    try:
        run(arguments)
    finally:
        print(f"durable calls: {killer.n_calls}", file=sys.stderr)


if __name__ == "__main__":
    main()
