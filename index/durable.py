"""Durable writes: after a power failure, a file has its old or its new content, never a mixture.

Source: fsync(2) and rename(2). A rename within a file system is atomic. It is durable once the
folder has been synced.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

_NO_FOLDER_SYNC = (errno.EINVAL, errno.EOPNOTSUPP)  # errors of file systems without folder sync


def sync_file(path: Path) -> None:
    """Wait until a file's content has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Wait until a folder's list of names has reached the disk.

    Some file systems, such as shared folders of virtual machines, can sync only files. There this
    function does nothing.
    """
    try:
        sync_file(path)  # a folder is synced through a descriptor too
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def replace_text(path: Path, text: str) -> None:
    """Replace a file's text atomically and durably, or create the file."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    sync_file(new)
    new.replace(path)
    sync_folder(path.parent)
