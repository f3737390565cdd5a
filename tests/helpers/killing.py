"""Run the real command line and end it with kill -9 at a chosen step.

    python -m tests.helpers.killing list COMMAND...      not at all; prints the kind of every step
    python -m tests.helpers.killing N COMMAND...         just before the Nth step, counted from 1

A step is a call that changes what lies in the data folder or makes it durable: fsync, rename, link,
mkdir, remove, and every opening of a file for writing. Whatever can be half done is half done
before or after one of them, or in between, which is what killing at random times is for.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

_KINDS = {
    "os.rename": "rename",  # replace, too
    "os.link": "link",
    "os.mkdir": "mkdir",
    "os.remove": "remove",
    "os.rmdir": "remove",
    "sqlite3.connect": "open",
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
MARK = "steps: "


class Steps:
    """Note the steps of this process, and end it just before the one that was chosen."""

    def __init__(self, data: Path, last: int | None) -> None:
        self.kinds: list[str] = []
        self._data, self._last = os.fspath(data.resolve()), last

    def watch(self) -> None:
        """Begin, by an audit hook (https://docs.python.org/3/library/audit_events.html)."""
        sys.addaudithook(self._heard)
        fsync = os.fsync

        def noted(descriptor: int) -> None:
            self._note("fsync")
            fsync(descriptor)

        os.fsync = noted  # the one step that raises no audit event

    def _heard(self, event: str, arguments: tuple) -> None:
        if event == "open" and arguments[2] & _WRITING and self._is_ours(arguments[0]):
            self._note("open")
        elif event in _KINDS and self._is_ours(arguments[0]):
            self._note(_KINDS[event])

    def _is_ours(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        name = os.fsdecode(path)
        # A bare name stands under a descriptor: rmtree goes through folders so.
        return os.sep not in name or os.path.abspath(name).startswith(self._data)

    def _note(self, kind: str) -> None:
        self.kinds.append(kind)
        if len(self.kinds) == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run the command line, watched."""
    how, arguments = sys.argv[1], sys.argv[2:]
    from indexer.cli import main as run

    data = Path(arguments[arguments.index("--data") + 1])
    steps = Steps(data, None if how == "list" else int(how))
    steps.watch()
    try:
        run(arguments)
    finally:
        print(MARK + " ".join(steps.kinds), file=sys.stderr)


if __name__ == "__main__":
    main()
