"""A folder that the workers of one service share, in memory if the system has a RAM disk.

gunicorn's parent creates it before it starts the first worker (gunicorn.conf.py), so it is private,
empty and the same for all workers. It contains counts only. The parent removes it when it ends. If
the parent was killed, the next service to start removes it.
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
ABANDONED_S = 60.0  # a younger folder may be about to be locked

_folder: Path | None = None
_worker: int | None = None


def base() -> Path:
    """Return the parent of shared folders: the RAM disk, or else the temporary folder."""
    return MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())


def make() -> Path:
    """Create the folder of this process and its workers; later calls return the same one."""
    global _folder
    if _folder is None:
        _remove_abandoned(base())
        _folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base()))  # readable by this user only
        _lock(os.open(_folder, os.O_RDONLY))  # stays open: the lock shows that the service is alive
    return _folder


def shared() -> Path | None:
    """Return the folder, or None if this process shares nothing because it runs alone."""
    return _folder


def remove() -> None:
    """Remove the folder, if there is one; call it after the workers have ended."""
    global _folder
    if _folder is not None:
        shutil.rmtree(_folder, ignore_errors=True)
        _folder = None


def set_worker(number: int) -> None:
    """Set the number of this worker."""
    global _worker
    _worker = number


def worker() -> int:
    """Return the number of this worker; the number of an ended worker is used again."""
    return os.getpid() if _worker is None else _worker


def _remove_abandoned(folder: Path) -> None:
    for found in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # it belongs to another user, or was just removed
            if _is_abandoned(found):
                shutil.rmtree(found)


def _is_abandoned(folder: Path) -> bool:
    about = folder.lstat()
    if about.st_uid != os.geteuid() or time.time() - about.st_mtime < ABANDONED_S:
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
