"""Limits on the work that a small file can make a decoder do, checked before or while it decodes.

A header's width and height show what the pixels cost, but not what finding them costs. Pillow reads
a file's blocks one by one in Python and keeps them. A TIFF can ask for memory that no pixel
needs. A progressive JPEG can pass over its picture thousands of times. Each of these turns a file
of less than 20 MB into many seconds or a gigabyte. Real pictures are far below these limits.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from PIL import ExifTags, Image

from models.errors import ImageTooLarge, UndecodableImage
from models.image_files.av1 import frames
from models.image_files.tiff import (
    ICC_PROFILE,
    TILE_LENGTH,
    TILE_WIDTH,
    XMP,
    Directory,
    Entry,
)

MAX_SIDE_PX = 100_000  # shrinking a row takes 16 bytes of weights for each of its pixels
MAX_SCANS = 100  # of a progressive JPEG; encoders write about ten
MAX_EXIF_BLOCKS = 20  # of a JPEG; they are joined, 64 kB each
MAX_EXIF_BYTES = 2 << 20  # larger blocks are left unread
MAX_STRIPS = 70_000  # of a TIFF; usual is at most one per row
MAX_NUMBERS = 200_000  # in one tag of a TIFF; three curves of 16 bits have 196,608
MAX_RLE_PIXELS = 16_000_000  # of a BMP; Pillow expands them one by one

_LONG_LISTS = frozenset({273, 279, 324, 325})  # offsets and lengths of strips and tiles
_LAST_OF_BASELINE = 530  # of later tags, Pillow unpacks only the following
_UNPACKED = frozenset({XMP, ICC_PROFILE})
_SUB_DIRECTORIES = frozenset({ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop})
_AS_BYTES = frozenset({1, 2, 7})  # BYTE, ASCII, UNDEFINED: kept as bytes, not as numbers
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither data of a scan nor a restart marker
_ALONE = frozenset({0x01, 0xD8, 0xD9})  # markers without a length
_END, _SCAN = 0xD9, 0xDA


class CountedReads(io.BytesIO):
    """A file in memory that stops a decoder after too many small reads.

    Chunks, blocks and segments cost Pillow a few reads each, so this limits them in every format.
    A parser of our own might see another file than the decoder does.

    Parameters
    ----------
    data : bytes
        The whole file.
    format_ : str
        As `formats.format_of` names it.

    Attributes
    ----------
    reads_left : int
        Reads until the decoder is stopped.
    """

    def __init__(self, data: bytes, format_: str) -> None:
        super().__init__(data)
        self._format = format_
        # The run-length code of a BMP costs a read per byte; `check_decoding` limits it.
        self.reads_left = len(data) if format_ == "BMP" else 10_000 + len(data) // 256
        self._exif_blocks_left = MAX_EXIF_BLOCKS

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `io.BytesIO` does; raise `UndecodableImage` after too many reads."""
        piece = super().read(size)
        self.reads_left -= 1
        if piece.startswith(b"Exif\0\0"):
            self._exif_blocks_left -= 1
        if self.reads_left < 0 or self._exif_blocks_left < 0:
            raise UndecodableImage(
                f"the {self._format} picture has more pieces than a picture needs: "
                "save it again or remove it"
            )
        return piece


def check_file(data: bytes, format_: str, max_pixels: int) -> int:
    """Check what a decoder would not check before it opens the file.

    Returns
    -------
    int
        Pixels in the streams of an AVIF, whose header may name fewer; 0 for other formats.

    Raises
    ------
    UndecodableImage
        If a JPEG has more scans than a picture needs, or an
        AVIF cannot be parsed.
    ImageTooLarge
        If an AVIF has frames of more than `max_pixels`.
    """
    if format_ == "AVIF":
        return _check_frames(data, max_pixels)
    if format_ == "JPEG" and data.count(b"\xff\xda") > MAX_SCANS and _n_scans(data) > MAX_SCANS:
        raise UndecodableImage(
            f"the JPEG picture has more than {MAX_SCANS} scans: save it again or remove it"
        )
    return 0


def _check_frames(data: bytes, max_pixels: int) -> int:
    found = frames(data)
    # Twice: a picture and its transparency.
    if found.largest > max_pixels or found.total > 2 * max_pixels:
        raise ImageTooLarge(
            f"the streams of the AVIF picture can hold frames of more than {max_pixels:,} pixels: "
            "make it smaller, or save it as a still picture"
        )
    return found.total


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Check the size of a picture.

    Raises
    ------
    UndecodableImage
        If there is nothing to see.
    ImageTooLarge
    """
    if width < 1 or height < 1:
        raise UndecodableImage(
            f"the header gives a size of {width} x {height} pixels: remove the file"
        )
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"the picture has {width} x {height} = {width * height:,} pixels, the limit is "
            f"{max_pixels:,}: make it smaller or raise the limit"
        )
    if max(width, height) > MAX_SIDE_PX:
        raise ImageTooLarge(
            f"the picture has {width} x {height} pixels, the limit of a side is "
            f"{MAX_SIDE_PX:,}: cut it into several pictures"
        )


def check_tile(width: int, height: int, max_pixels: int) -> None:
    """Check the size of the tiles of a picture.

    Raises
    ------
    ImageTooLarge
    """
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"the picture has tiles of {width} x {height} pixels, the limit is {max_pixels:,}: "
            "save it with smaller tiles"
        )


def check_decoding(image: Image.Image, max_pixels: int) -> None:
    """Check what an opened picture, not yet loaded, would cost.

    Parameters
    ----------
    image : PIL.Image.Image
        Not modified.
    max_pixels : int
        Also the limit of one tile of a TIFF.

    Raises
    ------
    ImageTooLarge
    """
    check_size(*image.size, max_pixels)
    check_tile(*_tile(image), max_pixels)
    if _is_run_length(image) and image.width * image.height > MAX_RLE_PIXELS:
        raise ImageTooLarge(
            f"the run-length BMP has {image.width} x {image.height} pixels, the limit is "
            f"{MAX_RLE_PIXELS:,}: save it as PNG"
        )


def _tile(image: Image.Image) -> tuple[int, int]:
    tags = getattr(image, "tag_v2", {})
    width, height = tags.get(TILE_WIDTH, 0), tags.get(TILE_LENGTH, 0)
    # The decoder itself refuses anything but a number.
    return (width, height) if isinstance(width, int) and isinstance(height, int) else (0, 0)


def _is_run_length(image: Image.Image) -> bool:
    tiles = getattr(image, "tile", [])
    return any(tile.codec_name == "bmp_rle" for tile in tiles)


def _n_scans(data: bytes) -> int:
    """Count the scans of a JPEG up to its end, without those of an embedded thumbnail."""
    n_scans, at = 0, 2
    while found := _MARKER.search(data, at):
        kind, at = data[found.end() - 1], found.end()
        if kind == _END:
            break
        n_scans += kind == _SCAN
        if kind not in _ALONE:
            at += int.from_bytes(data[at : at + 2], "big")
    return n_scans


def check_tags(page: Directory) -> None:
    """Limit the numbers that Pillow unpacks to objects of at least 30 bytes each.

    Parameters
    ----------
    page : Directory
        That Pillow reads, with the directories for EXIF and GPS in it.

    Raises
    ------
    UndecodableImage
        If a tag has more numbers than a picture needs.
    """
    for entry in _unpacked_entries(page):
        most = MAX_STRIPS if entry.tag in _LONG_LISTS else MAX_NUMBERS
        if entry.kind not in _AS_BYTES and entry.count > most:
            raise UndecodableImage(
                f"the TIFF picture has a tag ({entry.tag}) of {entry.count} numbers: "
                "save it again or remove it"
            )


def _unpacked_entries(page: Directory) -> Iterator[Entry]:
    for entry in page.entries:
        if entry.tag <= _LAST_OF_BASELINE or entry.tag in _UNPACKED:
            yield entry
        elif entry.tag in _SUB_DIRECTORIES:
            yield from page.tiff.directory(page.number(entry.tag)).entries
