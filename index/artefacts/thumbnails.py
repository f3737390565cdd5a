"""Thumbnails: a small JPEG copy of each picture, by image id, in one SQLite file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from index.catalogue import ReadOnlyDatabase, new_database
from index.layout import THUMBNAILS_FILE

_SCHEMA = "CREATE TABLE thumbnails (id TEXT PRIMARY KEY, jpeg BLOB NOT NULL)"


def write_thumbnails(path: Path, thumbnails: Iterable[tuple[str, bytes]]) -> None:
    """Write (image id, JPEG bytes) pairs to a new file. `path` must not exist."""
    with new_database(path, _SCHEMA) as connection:
        connection.executemany("INSERT INTO thumbnails VALUES (?, ?)", thumbnails)


class Thumbnails:
    """The thumbnails of a published snapshot, read-only. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._database = ReadOnlyDatabase(path)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open thumbnails.sqlite in a snapshot's folder."""
        return cls(folder / THUMBNAILS_FILE)

    def __len__(self) -> int:
        (n,) = self._database.execute("SELECT count(*) FROM thumbnails").fetchone()
        return int(n)

    def jpeg(self, image_id: str) -> bytes | None:
        """Return the JPEG bytes of a picture's thumbnail, or None if it has none."""
        sql = "SELECT jpeg FROM thumbnails WHERE id = ?"
        found = self._database.execute(sql, (image_id,)).fetchone()
        return None if found is None else found[0]

    def close(self) -> None:
        """Close the file. No thread may be reading from it."""
        self._database.close()
