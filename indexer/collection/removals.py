"""Pictures that the user removed from the collection. They stay out until `add`.

Each entry stands for one file, so other copies of the same picture stay in the collection. An entry
follows its file when it moves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from os import stat_result
from pathlib import Path
from typing import Any

from index.catalogue import ImageRecord, readable_path
from index.layout import REMOVED_FILE
from index.snapshot import Snapshot
from indexer.folder.dataset import Scanned


@dataclass(frozen=True)
class Removal:
    """A removed picture.

    Attributes
    ----------
    path : str
        Relative to the image root.
    sha256 : str
        Hex SHA-256 of the file.
    size_bytes, mtime_ns, ctime_ns, inode : int or None
        As in `ImageRecord`; None in entries of earlier versions.
    """

    path: str
    sha256: str
    size_bytes: int | None = None
    mtime_ns: int | None = None
    ctime_ns: int | None = None
    inode: int | None = None

    @classmethod
    def of(cls, file: ImageRecord | Scanned) -> Removal:
        """Return the entry of a file."""
        path = file.path if isinstance(file, ImageRecord) else readable_path(file.relative)[0]
        return cls(path, file.sha256, file.size_bytes, file.mtime_ns, file.ctime_ns, file.inode)

    def is_unchanged(self, status: stat_result) -> bool:
        """Return whether a file at the path is still the removed one, by its size and times."""
        seen = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        return seen == (self.size_bytes, self.mtime_ns, self.ctime_ns, self.inode)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON value."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Removals:
    """The removed pictures of a collection, and changes to them.

    Parameters
    ----------
    removals : iterable of Removal
    """

    def __init__(self, removals: Iterable[Removal] = ()) -> None:
        self._by_path: dict[str, dict[str, Removal]] = {}  # by path, then by file digest
        self._by_content: dict[str, dict[str, Removal]] = {}  # by file digest, then by path
        self.add(removals)

    @classmethod
    def of(cls, snapshot: Snapshot) -> Removals:
        """Return those of a snapshot."""
        file = snapshot.file(REMOVED_FILE)
        return cls(
            () if file is None else (Removal(**one) for one in json.loads(file.read_bytes()))
        )

    def __iter__(self) -> Iterator[Removal]:
        return (one for same in self._by_path.values() for one in same.values())

    def at(self, path: str) -> list[Removal]:
        """Return the pictures that were removed at a path. Its file may have changed between."""
        return list(self._by_path.get(path, {}).values())

    def of_content(self, sha256: str) -> list[Removal]:
        """Return the removed pictures with this file digest."""
        return list(self._by_content.get(sha256, {}).values())

    def add(self, removals: Iterable[Removal]) -> None:
        """Add pictures. An entry of the same path and content is replaced."""
        for one in removals:
            self._by_path.setdefault(one.path, {})[one.sha256] = one
            self._by_content.setdefault(one.sha256, {})[one.path] = one

    def discard(self, one: Removal) -> None:
        """Forget a removed picture."""
        del self._by_path[one.path][one.sha256]
        del self._by_content[one.sha256][one.path]

    def save(self, folder: Path) -> None:
        """Write removed.json, unless nothing is removed."""
        entries = [one.as_dict() for one in sorted(self, key=lambda one: (one.path, one.sha256))]
        if entries:
            text = json.dumps(entries, indent=1) + "\n"
            (folder / REMOVED_FILE).write_text(text, encoding="utf-8")
