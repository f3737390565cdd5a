"""The directories of a TIFF: what describes its pictures, without their pixels.

Sources: TIFF 6.0; BigTIFF (https://libtiff.gitlab.io/libtiff/specification/bigtiff.html).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from models.errors import UndecodableImage

ByteOrder = Literal["<", ">"]

SUB_FILE_TYPE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
MAKE, STRIP_OFFSETS, ORIENTATION, N_SAMPLES, ROWS_PER_STRIP = 271, 273, 274, 277, 278
STRIP_BYTES, PLANAR, PREDICTOR = 279, 284, 317
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
SUB_DIRECTORIES, EXTRA_SAMPLES, SAMPLE_FORMAT, SUBSAMPLING = 330, 338, 339, 530
XMP, ICC_PROFILE = 700, 34675

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_REDUCED = 1  # a bit of the sub-file type: a smaller version of another picture in the file
_MAX_ENTRIES = 1 << 17  # in all directories; `CountedReads` stops Pillow at fewer
_MAX_DIRECTORIES = 100


@dataclass(frozen=True)
class Entry:
    """One tag of a directory.

    Attributes
    ----------
    tag, kind, count : int
    value : int
        Offset of the values in the file, also if they are in the entry itself.
    """

    tag: int
    kind: int
    count: int
    value: int


class Tiff:
    """A TIFF in memory.

    Parameters
    ----------
    data : bytes
        The whole file. Begins as `formats.format_of` demands.

    Attributes
    ----------
    data : bytes
    order : str
        "<" or ">", as `struct` names it.
    first : int
        Offset of the first directory.

    Raises
    ------
    struct.error
        If the file ends within its header.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order: ByteOrder = ">" if data[:1] == b"M" else "<"
        self._is_big = data[2 if self.order == "<" else 3] == 43
        self._offset = struct.Struct(self.order + ("Q" if self._is_big else "I"))
        self._entry = struct.Struct(self.order + ("HHQ8x" if self._is_big else "HHI4x"))
        self._count = struct.Struct(self.order + ("Q" if self._is_big else "H"))
        self._link_at = 8 if self._is_big else 4
        self._read: dict[int, Directory] = {}
        self._entries_left = _MAX_ENTRIES
        (self.first,) = self._offset.unpack_from(data, self._link_at)

    def beginning_at(self, directory: int) -> bytes:
        """Return the file with another first directory."""
        link = self._offset.pack(directory)
        return self.data[: self._link_at] + link + self.data[self._link_at + len(link) :]

    def directory(self, at: int) -> Directory:
        """Return the directory at an offset, as far as the file has it.

        Raises
        ------
        UndecodableImage
            If the directories that were read have more tags than a picture needs.
        """
        if at not in self._read:
            self._read[at] = Directory(self, at, tuple(self._entries(at)))
            self._entries_left -= len(self._read[at].entries)
        if self._entries_left < 0:
            raise UndecodableImage(
                "the TIFF picture has more tags than a picture needs: save it again or remove it"
            )
        return self._read[at]

    def chain(self) -> Iterator[Directory]:
        """Yield the first directory and those that follow it: the pages."""
        at, seen = self.first, set[int]()
        while at and at not in seen and len(seen) < _MAX_DIRECTORIES:
            seen.add(at)
            yield self.directory(at)
            at = self._next(at)

    def _entries(self, at: int) -> Iterator[Entry]:
        start = at + self._count.size
        if start > len(self.data):
            return
        inline = 8 if self._is_big else 4
        n_entries = min(self._count.unpack_from(self.data, at)[0], _MAX_ENTRIES)
        fitting = (len(self.data) - start) // self._entry.size
        for place in range(start, start + min(n_entries, fitting) * self._entry.size,
                           self._entry.size):  # fmt: skip
            tag, kind, count = self._entry.unpack_from(self.data, place)
            value = place + self._entry.size - inline
            if _SIZES.get(kind, 1) * count > inline:
                (value,) = self._offset.unpack_from(self.data, value)
            yield Entry(tag, kind, count, value)

    def _next(self, at: int) -> int:
        if at + self._count.size > len(self.data):
            return 0
        (n_entries,) = self._count.unpack_from(self.data, at)
        link = at + self._count.size + n_entries * self._entry.size
        if link + self._offset.size > len(self.data):
            return 0
        return int(self._offset.unpack_from(self.data, link)[0])


@dataclass(frozen=True)
class Directory:
    """One directory: the description of a picture.

    Attributes
    ----------
    tiff : Tiff
    at : int
        Offset in the file.
    entries : tuple of Entry
    """

    tiff: Tiff
    at: int
    entries: tuple[Entry, ...]

    def __contains__(self, tag: int) -> bool:
        return tag in self._by_tag

    @cached_property
    def _by_tag(self) -> dict[int, Entry]:
        return {entry.tag: entry for entry in self.entries}  # of equal tags the last, as in Pillow

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return the integers of a tag; none if it is missing, cut off or of another type."""
        entry = self._by_tag.get(tag)
        if entry is None or entry.kind not in _INTEGERS or entry.count > _MAX_ENTRIES:
            return ()
        form = f"{self.tiff.order}{entry.count}{_INTEGERS[entry.kind]}"
        if entry.value + struct.calcsize(form) > len(self.tiff.data):
            return ()
        return struct.unpack_from(form, self.tiff.data, entry.value)

    def number(self, tag: int, default: int = 0) -> int:
        """Return the first integer of a tag."""
        found = self.numbers(tag)
        return found[0] if found else default

    def content(self, tag: int) -> bytes:
        """Return the bytes of a tag; none if it is missing."""
        entry = self._by_tag.get(tag)
        if entry is None:
            return b""
        n_bytes = entry.count * _SIZES.get(entry.kind, 1)
        return self.tiff.data[entry.value : entry.value + n_bytes]

    def children(self) -> Iterator[Directory]:
        """Yield the directories below this one that hold other versions of its picture."""
        for at in self.numbers(SUB_DIRECTORIES)[:_MAX_DIRECTORIES]:
            yield self.tiff.directory(at)

    @property
    def is_reduced(self) -> bool:
        """Whether this is a smaller version of another picture in the file, such as a preview."""
        return bool(self.number(SUB_FILE_TYPE) & _REDUCED)


def picture_of(tiff: Tiff) -> Directory:
    """Return the first page that is no smaller version of another, or else the first page."""
    pages = list(tiff.chain())
    whole = (page for page in pages if not page.is_reduced)
    return next(whole, pages[0] if pages else tiff.directory(tiff.first))
