"""Writing files so that a power cut leaves the old or the new one, never a half.

Source: fsync(2), rename(2): a rename within a file system is atomic, and durable once the folder
has been synced.
"""

from __future__ import annotations

import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """Return when a file's content has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Return when a folder's list of names has reached the disk."""
    sync_file(path)  # a folder is synced through a descriptor too


def replace_text(path: Path, text: str) -> None:
    """Give a file a new text in one step that survives a power cut."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    sync_file(new)
    new.replace(path)
    sync_folder(path.parent)
