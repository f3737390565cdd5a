"""Catalogue: the record of the picture behind each row, in one SQLite file.

The indexer writes it once. Any number of processes then open it read-only and immutable, with one
connection per thread. Source: https://sqlite.org/uri.html (mode=ro, immutable=1).
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import urllib.parse
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Literal, Self

from index import schema1
from index.errors import CannotWrite, CorruptSnapshot, UnknownImage
from index.layout import CATALOGUE_FILE
from index.text import normal_form, path_of_text, quoted

_SCHEMA = """
CREATE TABLE images (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL,
    raw_path BLOB,               -- bytes of the path if they are not UTF-8, else NULL
    sha256 TEXT NOT NULL,
    pixel_digest TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    format TEXT NOT NULL,
    metadata TEXT NOT NULL,
    full_digest TEXT,            -- of all pixels, NULL if unknown
    single_colour TEXT,          -- "#rrggbb" of a picture in one colour, else NULL
    ctime_ns INTEGER,            -- time of the last change of content or attributes, or NULL
    inode INTEGER
);
CREATE INDEX images_sha256 ON images (sha256);
CREATE INDEX images_pixel_digest ON images (pixel_digest);
CREATE INDEX images_path ON images (path);
"""
_COLUMNS = (
    "row", "id", "path", "raw_path", "sha256", "pixel_digest", "size_bytes", "mtime_ns",
    "width", "height", "format", "metadata", "full_digest",
    "single_colour", "ctime_ns", "inode",
)  # fmt: skip
_TOO_LARGE = 2**63
_MAX_PARAMETERS = 500  # per statement; SQLite's own limit is 32,766 since 3.32, and was 999 before


@dataclass(frozen=True)
class ImageRecord:
    r"""One picture of the collection.

    Attributes
    ----------
    row : int
        Its row in the index, 0 to n - 1.
    id : str
        First 16 hex digits of `sha256`, with -2, -3 for byte-identical copies.
    path : str
        Relative to the image root, with "/". Bytes that are not UTF-8 are written as \xNN.
    sha256, pixel_digest : str
        Hex SHA-256 of the file, and of its decoded 256 x 256 x 3 pixels.
    size_bytes, mtime_ns : int
        Size, and time of the last change in nanoseconds since 1970.
    width, height : int
        In pixels, after the orientation tag is applied.
    format : str
        Pillow's name of the format, for example "JPEG".
    metadata : dict
        What the user supplied about the picture; {} if nothing.
    raw_path : bytes or None
        The bytes of the path if they are not UTF-8, else None.
    full_digest : str or None
        Hex SHA-256 of all decoded pixels (`models.preprocess.full_digest`). None in schema 1, until
        the file is read again.
    single_colour : str or None
        "#rrggbb" if the picture has only one colour (`models.preprocess.single_colour`). None for
        every other picture, and in schema 1.
    ctime_ns, inode : int or None
        Time of the last change of the file's content or attributes, in nanoseconds since 1970, and
        its number in the file system. None in schema 1.
    """

    row: int
    id: str
    path: str
    sha256: str
    pixel_digest: str
    size_bytes: int
    mtime_ns: int
    width: int
    height: int
    format: str
    metadata: dict[str, Any] = field(default_factory=dict)
    raw_path: bytes | None = None
    full_digest: str | None = None
    single_colour: str | None = None
    ctime_ns: int | None = None
    inode: int | None = None

    def is_unchanged(self, status: os.stat_result) -> bool:
        """Return whether its file is as it was when it was read, by size, times and inode.

        If not, the content may still be the same: a copy has another inode, and a new name changes
        the ctime. Programs may set the mtime, but never the ctime.
        """
        seen = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        return seen == (self.size_bytes, self.mtime_ns, self.ctime_ns, self.inode)

    def file_under(self, root: Path) -> Path:
        """Return the path of the picture's file under an image root."""
        if self.raw_path is None:
            return root / path_of_text(self.path)
        return root / os.fsdecode(self.raw_path)


def readable_path(relative: Path) -> tuple[str, bytes | None]:
    """Return a path as text, and its bytes if the text cannot represent them, else None."""
    raw = os.fsencode(relative.as_posix())
    try:
        return raw.decode("utf-8"), None
    except UnicodeDecodeError:
        return raw.decode("utf-8", "backslashreplace"), raw


def image_id(sha256: str, number: int = 1) -> str:
    """Return the id of a file digest. Byte-identical files get different numbers."""
    short = sha256[:16]
    return short if number == 1 else f"{short}-{number}"


def image_ids(sha256s: Sequence[str]) -> list[str]:
    """Return an id for each file digest, in order. Copies after the first get -2, -3 and so on."""
    numbers: Counter[str] = Counter()
    ids = []
    for digest in sha256s:
        numbers[image_id(digest)] += 1
        ids.append(image_id(digest, numbers[image_id(digest)]))
    return ids


def write_catalogue(path: Path, records: Iterable[ImageRecord]) -> None:
    """Write records to a new file in one transaction. `path` must not exist."""
    with new_database(path, _SCHEMA) as connection:
        connection.executemany(
            f"INSERT INTO images ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})",
            map(_to_line, records),
        )


@contextmanager
def new_database(path: Path, schema: str) -> Iterator[sqlite3.Connection]:
    """Open a connection to a new SQLite file, inside the one transaction that fills it.

    Raises
    ------
    CannotWrite
        If the file cannot be written, for example on a full disk.
    """
    path.touch(exist_ok=False)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # No journal: the complete file is synced before it is published.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.executescript(schema)
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise CannotWrite(
            f"{path} cannot be written ({error}): free disk space, then run the command again"
        ) from error
    finally:
        connection.close()


def _to_line(record: ImageRecord) -> tuple[Any, ...]:
    return (
        record.row, record.id, record.path, record.raw_path, record.sha256, record.pixel_digest,
        record.size_bytes, _stored(record.mtime_ns), record.width, record.height, record.format,
        json.dumps(record.metadata, ensure_ascii=False), record.full_digest,
        record.single_colour, _stored(record.ctime_ns), _stored(record.inode),
    )  # fmt: skip


def _from_line(line: tuple[Any, ...]) -> ImageRecord:
    (row, id_, path, raw_path, sha256, pixels, size, mtime, width, height, format_, metadata,
     full, colour, ctime, inode) = line  # fmt: skip
    return ImageRecord(
        row, id_, path, sha256, pixels, size, int(mtime), width, height, format_,
        json.loads(metadata), raw_path, full, colour, _whole(ctime), _whole(inode),
    )  # fmt: skip


def _stored(number: int | None) -> int | bytes | None:
    """Return a number as SQLite can store it: as decimal digits if it needs more than 64 bits.

    Some file systems number files up to 2**64, or keep times after the year 2262.
    """
    if number is None or -_TOO_LARGE <= number < _TOO_LARGE:
        return number
    return str(number).encode("ascii")


def _whole(stored: int | bytes | None) -> int | None:
    return None if stored is None else int(stored)


class ReadOnlyDatabase:
    """One immutable SQLite file, read through one connection per thread."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise CorruptSnapshot(f"{path.name} is missing")
        self._uri = f"file:{urllib.parse.quote(str(path.resolve()))}?mode=ro&immutable=1"
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement on this thread's connection.

        Raises
        ------
        CorruptSnapshot
            If the file is damaged or has other tables.
        """
        try:
            return self._connection().execute(sql, parameters)
        except sqlite3.DatabaseError as error:
            raise CorruptSnapshot(f"the database cannot be read: {error}") from error

    def _connection(self) -> sqlite3.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            # Closed by close(), which may run in another thread.
            connection = sqlite3.connect(self._uri, uri=True, check_same_thread=False)
            self._local.connection = connection
            with self._lock:
                self._connections.append(connection)
        return connection

    def close(self) -> None:
        """Close every thread's connection. No thread may be reading."""
        with self._lock:
            while self._connections:
                self._connections.pop().close()


class Catalogue:
    """The catalogue of a published snapshot, read-only. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._database = ReadOnlyDatabase(path)
        (self._n_images,) = self._database.execute("SELECT count(*) FROM images").fetchone()
        self._columns = ", ".join(self._present(_COLUMNS))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open catalogue.sqlite in a snapshot's folder."""
        return cls(folder / CATALOGUE_FILE)

    def __len__(self) -> int:
        return int(self._n_images)

    def __iter__(self) -> Iterator[ImageRecord]:
        """Yield all records in the order of their rows."""
        return map(_from_line, self._select("ORDER BY row"))

    def image(self, row: int) -> ImageRecord:
        """Return the record of a row; UnknownImage if there is no such row."""
        return self._one("WHERE row = ?", (int(row),), f"there is no row {row}")

    def by_id(self, image_id: str) -> ImageRecord:
        """Return the record of an id; UnknownImage if the id is unknown."""
        message = f"no picture of the collection has the id {quoted(image_id)}"
        if not image_id.isascii():  # SQLite takes no text with undecodable bytes
            raise UnknownImage(message)
        return self._one("WHERE id = ?", (image_id,), message)

    def records(self, rows: Sequence[int]) -> list[ImageRecord]:
        """Return the records of some rows, in the given order."""
        found: dict[int, ImageRecord] = {}
        wanted = [int(row) for row in rows]
        for start in range(0, len(wanted), _MAX_PARAMETERS):
            block = wanted[start : start + _MAX_PARAMETERS]
            where = f"WHERE row IN ({', '.join('?' * len(block))})"
            found.update((r.row, r) for r in map(_from_line, self._select(where, block)))
        return [found[row] for row in wanted]

    def page(self, offset: int, limit: int) -> list[ImageRecord]:
        """Return the records of at most `limit` rows, starting with row `offset`."""
        lines = self._select("WHERE row >= ? ORDER BY row LIMIT ?", (offset, limit))
        return list(map(_from_line, lines))

    def rows_under(self, prefix: str) -> list[int]:
        """Return the rows of the pictures whose path starts with `prefix`, sorted by path.

        Prefix and paths are compared in their normal form, so that a prefix that was typed finds
        the names of a Mac.
        """
        wanted = normal_form(prefix)
        cursor = self._database.execute(
            "SELECT row, path FROM images WHERE path >= ? ORDER BY path", (wanted,)
        )
        # SQLite orders text by its UTF-8 bytes, so all paths with one prefix are adjacent.
        lines = takewhile(lambda line: line[1].startswith(wanted), cursor)
        if not self._other_forms:
            return [row for row, _ in lines]
        found = [(path, row) for row, path in lines if normal_form(path) == path]
        start = bisect_left(self._other_forms, (wanted, -1))
        others = islice(self._other_forms, start, None)
        found += takewhile(lambda other: other[0].startswith(wanted), others)
        return [row for _, row in sorted(found)]

    @cached_property
    def _other_forms(self) -> list[tuple[str, int]]:
        """The normal form and the row of each path that is written in another form, sorted."""
        lines = self._database.execute("SELECT row, path FROM images")
        return sorted((form, row) for row, path in lines if (form := normal_form(path)) != path)

    def rows_between(
        self, side: Literal["width", "height"], least: float, most: float
    ) -> list[int]:
        """Return the rows of the pictures whose width or height is `least` to `most` pixels."""
        sql = f"SELECT row FROM images WHERE {side} BETWEEN ? AND ? ORDER BY row"
        return [row for (row,) in self._database.execute(sql, (least, most))]

    def rows_largest_first(self) -> list[int]:
        """Return all rows, ordered by falling pixels, then by falling bytes, then by path."""
        order = "ORDER BY width * height DESC, size_bytes DESC, path, row"
        return [row for (row,) in self._database.execute(f"SELECT row FROM images {order}")]

    def single_colours(self) -> Iterator[tuple[int, str]]:
        """Yield row and colour, "#rrggbb", of every picture that has only one colour."""
        (column,) = self._present(["single_colour"])
        sql = f"SELECT * FROM (SELECT row, {column} FROM images) WHERE single_colour IS NOT NULL"
        return iter(self._database.execute(sql))

    def shared_pixels(self) -> Iterator[tuple[int, str, str | None]]:
        """Yield row, pixel digest and full digest of the pictures that share a pixel digest."""
        (column,) = self._present(["full_digest"])
        shared = "SELECT pixel_digest FROM images GROUP BY pixel_digest HAVING count(*) > 1"
        sql = f"SELECT row, pixel_digest, {column} FROM images WHERE pixel_digest IN ({shared})"
        return iter(self._database.execute(sql))

    def metadata(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield each row that has metadata, with its metadata."""
        sql = "SELECT row, metadata FROM images WHERE metadata != '{}' ORDER BY row"
        return ((row, json.loads(text)) for row, text in self._database.execute(sql))

    def row_of_sha256(self, digest: str) -> int | None:
        """Return the lowest row whose file has this SHA-256, or None if there is none."""
        return self._row_of("sha256", digest)

    def row_of_pixels(self, digest: str) -> int | None:
        """Return the lowest row with this pixel digest, or None. Such rows have equal vectors."""
        return self._row_of("pixel_digest", digest)

    def full_digests(self, pixel_digest: str) -> dict[int, str | None]:
        """Return the full digest of each row with a pixel digest, by row."""
        (column,) = self._present(["full_digest"])
        sql = f"SELECT row, {column} FROM images WHERE pixel_digest = ?"
        return dict(self._database.execute(sql, (pixel_digest,)).fetchall())

    def close(self) -> None:
        """Close the file. No thread may be reading from it."""
        self._database.close()

    def _present(self, columns: Sequence[str]) -> Iterator[str]:
        """Yield each column as SQL names it. A column that an older schema lacks is NULL."""
        lines = self._database.execute("PRAGMA table_info(images)")
        lacking = schema1.NEW_COLUMNS.keys() - {name for _, name, *_ in lines}
        return (f"NULL AS {one}" if one in lacking else one for one in columns)

    def _select(self, clauses: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._database.execute(f"SELECT {self._columns} FROM images {clauses}", parameters)

    def _one(self, where: str, parameters: Sequence[Any], message: str) -> ImageRecord:
        line = self._select(where, parameters).fetchone()
        if line is None:
            raise UnknownImage(message)
        return _from_line(line)

    def _row_of(self, column: str, digest: str) -> int | None:
        sql = f"SELECT min(row) FROM images WHERE {column} = ?"
        (row,) = self._database.execute(sql, (digest,)).fetchone()
        return None if row is None else int(row)
