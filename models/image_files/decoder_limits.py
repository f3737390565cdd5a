"""What a decoder may be made to do by a small file, bounded before or while it does it.

A header's width and height say what the pixels cost, but not what finding them costs. Pillow walks
a file's blocks in Python, one by one, and keeps them; TIFF may ask for memory that no pixel of
the picture needs; a progressive JPEG may go over its picture thousands of times. Each of these
turns a file of less than 20 MB into many seconds or a gigabyte. The bounds here are far beyond what
real pictures have.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator

from PIL import ExifTags, Image

from models.errors import ImageTooLarge, UndecodableImage
from models.image_files.av1 import frames

MAX_SIDE_PX = 100_000  # shrinking a row takes 16 bytes of weights for each of its pixels
MAX_SCANS = 100  # of a progressive JPEG; encoders write about ten
MAX_EXIF_BLOCKS = 20  # of a JPEG, which are put together: 64 kB each
MAX_EXIF_BYTES = 2 << 20  # larger blocks are left unread
MAX_STRIPS = 70_000  # of a TIFF; at most one a row is usual
MAX_NUMBERS = 200_000  # in one tag of a TIFF; three curves of 16 bits have 196,608
MAX_RLE_PIXELS = 16_000_000  # of a BMP; Pillow expands them one by one

_LONG_LISTS = frozenset({273, 279, 324, 325})  # offsets and lengths of strips and tiles
_LAST_OF_BASELINE = 530  # tags beyond are others' own, which Pillow leaves packed
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_MOST_ENTRIES = 1 << 17  # of a directory; `CountedReads` stops Pillow before
_SUB_DIRECTORIES = frozenset({ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop})
_AS_BYTES = frozenset({1, 2, 7})  # BYTE, ASCII, UNDEFINED: kept as they are, not as numbers
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # not in a scan's data, nor a restart in it
_ALONE = frozenset({0x01, 0xD8, 0xD9})  # markers without a length
_END, _SCAN = 0xD9, 0xDA


class CountedReads(io.BytesIO):
    """A file in memory that stops a decoder which reads it in too many small pieces.

    Chunks, blocks and segments cost Pillow a few reads each, so this bounds them in every format
    without a parser of our own, which might see a file otherwise than the decoder does.

    Parameters
    ----------
    data : bytes
        The whole file.
    format_ : str
        As `formats.format_of` names it.
    """

    def __init__(self, data: bytes, format_: str) -> None:
        super().__init__(data)
        self._format = format_
        # A BMP's run-length code takes a read for every byte; `check_decoding` bounds it.
        self._reads_left = len(data) if format_ == "BMP" else 10_000 + len(data) // 256
        self._exif_blocks_left = MAX_EXIF_BLOCKS

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `io.BytesIO` does; `UndecodableImage` once it has been asked too often."""
        piece = super().read(size)
        self._reads_left -= 1
        if piece.startswith(b"Exif\0\0"):
            self._exif_blocks_left -= 1
        if self._reads_left < 0 or self._exif_blocks_left < 0:
            raise UndecodableImage(
                f"the {self._format} picture is cut into more pieces than a picture needs; "
                "save it anew or leave it out"
            )
        return piece


def check_file(data: bytes, format_: str, max_pixels: int) -> int:
    """Check what must be known before the file is opened.

    Returns
    -------
    int
        Pixels that decoding takes whatever the header says; 0 if it is to be believed.

    Raises
    ------
    UndecodableImage
        If a TIFF has more strips or numbers, or a JPEG more scans, than a picture needs, or an
        AVIF cannot be followed.
    ImageTooLarge
        If an AVIF has larger frames.
    """
    if format_ == "AVIF":
        return _check_frames(data, max_pixels)
    if format_ == "TIFF":
        _check_tags(data)
    elif format_ == "JPEG" and data.count(b"\xff\xda") > MAX_SCANS and _n_scans(data) > MAX_SCANS:
        raise UndecodableImage(
            f"the JPEG picture has over {MAX_SCANS} scans; save it anew or leave it out"
        )
    return 0


def _check_frames(data: bytes, max_pixels: int) -> int:
    found = frames(data)
    # Twice: a picture and its transparency.
    if found.largest > max_pixels or found.total > 2 * max_pixels:
        raise ImageTooLarge(
            f"the AVIF picture's streams may hold frames of over {max_pixels} pixels; make it "
            "smaller, or save it as a still picture"
        )
    return found.total


def check_decoding(image: Image.Image, max_pixels: int) -> None:
    """Check what an opened picture, not yet loaded, would cost beside its pixels.

    Parameters
    ----------
    image : PIL.Image.Image
        Not modified.
    max_pixels : int
        Also the most that one tile of a TIFF may hold.

    Raises
    ------
    ImageTooLarge
    """
    if max(image.size) > MAX_SIDE_PX:
        raise ImageTooLarge(
            f"the picture is {image.width} x {image.height} pixels, at most {MAX_SIDE_PX} a side "
            "are decoded; cut it into several"
        )
    width, height = _tile(image)
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"the picture is made of tiles of {width} x {height} pixels, at most {max_pixels} "
            "are decoded; save it with smaller ones"
        )
    if _is_run_length(image) and image.width * image.height > MAX_RLE_PIXELS:
        raise ImageTooLarge(
            f"the run-length BMP is {image.width} x {image.height} pixels, at most "
            f"{MAX_RLE_PIXELS} are decoded; save it as PNG"
        )


def _tile(image: Image.Image) -> tuple[int, int]:
    tags = getattr(image, "tag_v2", {})
    width, height = tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0)
    # Anything else than a number is refused by the decoder itself.
    return (width, height) if isinstance(width, int) and isinstance(height, int) else (0, 0)


def _is_run_length(image: Image.Image) -> bool:
    tiles = getattr(image, "tile", [])
    return any(tile.codec_name == "bmp_rle" for tile in tiles)


def _n_scans(data: bytes) -> int:
    """Count the scans of a JPEG, up to its end; a thumbnail inside of it does not count."""
    n_scans, at = 0, 2
    while found := _MARKER.search(data, at):
        kind, at = data[found.end() - 1], found.end()
        if kind == _END:
            break
        n_scans += kind == _SCAN
        if kind not in _ALONE:
            at += int.from_bytes(data[at : at + 2], "big")
    return n_scans


def _check_tags(data: bytes) -> None:
    """Bound the numbers that Pillow would unpack: it makes objects of 30 bytes and more of them."""
    for tag, kind, count in _entries(data):
        if kind not in _AS_BYTES and count > (MAX_STRIPS if tag in _LONG_LISTS else MAX_NUMBERS):
            raise UndecodableImage(
                f"the TIFF picture has a tag ({tag}) of {count} numbers; save it anew"
            )


def _entries(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield tag, type and count of what Pillow unpacks, in the first directory and below it."""
    order, is_big = "<>"[data[:1] == b"M"], data[2] == 43
    (start,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
    for tag, kind, count, value in _directory(data, start, order, is_big):
        if tag <= _LAST_OF_BASELINE:
            yield tag, kind, count
        elif tag in _SUB_DIRECTORIES:
            for of_sub in _directory(data, value, order, is_big):
                yield of_sub[:3]


def _directory(
    data: bytes, at: int, order: str, is_big: bool
) -> Iterator[tuple[int, int, int, int]]:
    """Yield tag, type, count and value (or its offset) of each entry that is there."""
    entry = struct.Struct(order + ("HHQQ" if is_big else "HHII"))
    head = struct.Struct(order + ("Q" if is_big else "H"))
    if at + head.size > len(data):
        return
    (n_entries,) = head.unpack_from(data, at)
    body = data[at + head.size :][: entry.size * min(n_entries, _MOST_ENTRIES)]
    yield from entry.iter_unpack(body[: len(body) // entry.size * entry.size])
