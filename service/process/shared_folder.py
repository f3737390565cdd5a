"""A folder that the workers of one service share, in memory where the system has a place for that.

gunicorn's parent makes it before it starts the first worker (gunicorn.conf.py), so it is private,
empty and the same for all of them; it holds counts only. It goes when the parent ends; what a
killed one has left goes when the next one starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

MEMORY = Path("/dev/shm")
_PREFIX = "lookalike-"
_ABANDONED_S = 60.0  # a younger one may just be about to be locked

_folder: Path | None = None
_worker: int | None = None


def base() -> Path:
    """Return where such folders lie: in memory, or else among the temporary files."""
    return MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())


def make() -> Path:
    """Make the folder of this process and of those that it will start; the same one each time."""
    global _folder
    if _folder is None:
        _remove_abandoned(base())
        _folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base()))  # readable by this user only
        _lock(os.open(_folder, os.O_RDONLY))  # kept open: the lock is the sign of life
    return _folder


def shared() -> Path | None:
    """Return the folder, or None where this process shares nothing: there is no gunicorn."""
    return _folder


def remove() -> None:
    """Remove the folder, if there is one; the workers have ended."""
    global _folder
    if _folder is not None:
        shutil.rmtree(_folder, ignore_errors=True)
        _folder = None


def set_worker(number: int) -> None:
    """Say which of the workers this process is."""
    global _worker
    _worker = number


def worker() -> int:
    """Return which of the workers this process is; numbers of ended ones are used again."""
    return os.getpid() if _worker is None else _worker


def _remove_abandoned(folder: Path) -> None:
    for found in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another's, or just removed by another
            if _is_abandoned(found):
                shutil.rmtree(found)


def _is_abandoned(folder: Path) -> bool:
    about = folder.lstat()
    if about.st_uid != os.geteuid() or time.time() - about.st_mtime < _ABANDONED_S:
        return False
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        return _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
