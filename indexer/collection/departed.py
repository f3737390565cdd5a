"""Pictures of the earlier index whose file is no longer in its place, to recognise where it went.

A file that is about to be read may or may not still have its earlier content. It is hashed only if
its earlier content turns up elsewhere first.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

from index.catalogue import ImageRecord
from indexer.collection.removals import Removal
from indexer.folder.dataset import Scanned


class Contents:
    """The file digest at each path of the folder as it is now.

    Parameters
    ----------
    root : Path
    unread_folders : collection of Path
        Folders whose contents are unknown, relative to `root`.
    """

    def __init__(self, root: Path, unread_folders: Collection[Path]) -> None:
        self._root, self._unread = root, frozenset(unread_folders)
        self._digests: dict[str, str | None] = {}

    def note(self, path: str, sha256: str | None) -> None:
        """Note the digest of a file, or None where there is no picture."""
        self._digests[path] = sha256

    def has_left(self, one: ImageRecord | Removal) -> bool:
        """Return whether a path no longer has its earlier content. False if that is unknown."""
        if one.path not in self._digests:
            file = one.file_under(self._root) if isinstance(one, ImageRecord) else None
            try:
                self.note(one.path, self._digest(file or self._root / one.path))
            except OSError:
                return False
        return self._digests[one.path] != one.sha256

    def _digest(self, file: Path) -> str | None:
        if self._unread & set(file.relative_to(self._root).parents):
            raise PermissionError
        try:
            with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:
                if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                    return None
                return hashlib.file_digest(opened, "sha256").hexdigest()
        except (FileNotFoundError, NotADirectoryError):
            return None


class Departed:
    """Records whose file has left its path, or may have.

    Parameters
    ----------
    contents : Contents
    missing : iterable of ImageRecord
        Records without a file.
    """

    def __init__(self, contents: Contents, missing: Iterable[ImageRecord]) -> None:
        self._contents = contents
        self._by_content: dict[str, dict[str, ImageRecord]] = {}
        for record in missing:
            contents.note(record.path, None)
            self.may_be(record)

    def may_be(self, record: ImageRecord) -> None:
        """Add a record whose file may have changed."""
        self._by_content.setdefault(record.sha256, {})[record.path] = record

    def discard(self, record: ImageRecord) -> None:
        """Take out a record whose file is in its place."""
        self._by_content[record.sha256].pop(record.path, None)

    def has(self, record: ImageRecord) -> bool:
        """Return whether a record is still among them."""
        return record.path in self._by_content.get(record.sha256, ())

    def by_inode(self, one: Scanned) -> ImageRecord | None:
        """Return the record of the same file, by its inode, or None."""
        same = (r for r in self._of_content(one.sha256) if r.inode == one.inode)
        return next((record for record in same if self._contents.has_left(record)), None)

    def take(self, one: Scanned) -> ImageRecord | None:
        """Take out the record of a file that has moved; None if it is a new picture."""
        left = (r for r in self._of_content(one.sha256) if self._contents.has_left(r))
        record = self.by_inode(one) or next(left, None)
        if record is not None:
            del self._by_content[one.sha256][record.path]
        return record

    def _of_content(self, sha256: str) -> Collection[ImageRecord]:
        return self._by_content.get(sha256, {}).values()
