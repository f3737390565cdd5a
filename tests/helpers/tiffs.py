"""TIFF files of any layout, written by hand: Pillow writes few of them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.helpers.pictures import file_of

NONE, LZW, DEFLATE, PACKBITS, ZSTANDARD = 1, 5, 8, 32773, 50000
HORIZONTAL, FLOATING_POINT = 2, 3  # predictors
GREY, RGB, PALETTE, CMYK, YCBCR, LAB = 1, 2, 3, 5, 6, 8  # photometric interpretations
STRIPS, TILES = (273, 279), (324, 325)  # tags of their offsets and lengths
_FORMATS = {"u": 1, "i": 2, "f": 3}
_TYPES = {"B": 1, "H": 3, "I": 4}
_BY_PILLOW = {LZW: "tiff_lzw", PACKBITS: "packbits", ZSTANDARD: "zstd"}

Tag = tuple[int, str, list[int]]


class TiffWriter:
    """A TIFF that is put together piece by piece.

    Parameters
    ----------
    order : str
        "<" or ">".
    """

    def __init__(self, order: str = "<") -> None:
        self._order = order
        self._content = bytearray(b"II*\0" if order == "<" else b"MM\0*") + bytes(4)
        self._links = [4]  # where the offset of the next page belongs

    def put(self, content: bytes) -> int:
        """Append bytes and return their offset."""
        offset = len(self._content)
        self._content += content + b"\0" * (len(content) % 2)
        return offset

    def directory(self, tags: list[Tag], is_page: bool = True) -> int:
        """Append a directory, as the next page or one that a tag points to; return its offset."""
        entries = [self._entry(*tag) for tag in sorted(tags) if tag[2]]
        table = struct.pack(self._order + "H", len(entries)) + b"".join(entries) + bytes(4)
        offset = self.put(table)
        if is_page:
            struct.pack_into(self._order + "I", self._content, self._links[-1], offset)
            self._links.append(offset + len(table) - 4)
        return offset

    def file(self) -> bytes:
        """Return the file."""
        return bytes(self._content)

    def _entry(self, tag: int, kind: str, values: list[int]) -> bytes:
        packed = struct.pack(f"{self._order}{len(values)}{kind}", *values)
        if len(packed) > 4:
            packed = struct.pack(self._order + "I", self.put(packed))
        return struct.pack(self._order + "HHI", tag, _TYPES[kind], len(values)) + packed.ljust(
            4, b"\0"
        )


def tiff_of(samples: NDArray, photometric: int = RGB, **how) -> bytes:
    """Return a TIFF of one page; `how` is as for `page_of`, and `order` is "<" or ">"."""
    order = how.pop("order", "<")
    writer = TiffWriter(order)
    writer.directory(page_of(writer, samples, photometric, order=order, **how))
    return writer.file()


def page_of(
    writer: TiffWriter,
    samples: NDArray,
    photometric: int = RGB,
    *,
    order: str = "<",
    planar: bool = False,
    compression: int = NONE,
    predictor: int = 1,
    extra: tuple[int, ...] = (),
    rows_per_strip: int | None = None,
    tile: int | None = None,
    tags: tuple[Tag, ...] = (),
) -> list[Tag]:
    """Write the pixels of a page and return its tags.

    Parameters
    ----------
    writer : TiffWriter
    samples : ndarray of shape (height, width, n_samples)
        Integers or floats of 8 to 64 bits, stored as they are.
    photometric : int
    order : str
    planar : bool
        One plane after the other, instead of one pixel after the other.
    compression, predictor : int
    extra : tuple of int
        Kinds of the samples after the colours: 0 unknown, 1 alpha that is multiplied in, 2 alpha.
    rows_per_strip : int, optional
        Default: all rows in one strip.
    tile : int, optional
        Side of square tiles, instead of strips.
    tags : tuple of (tag, type letter, values)
        More tags, or others.
    """
    height, width, n_samples = samples.shape
    planes = list(np.moveaxis(samples, 2, 0)[..., None]) if planar else [samples]
    pieces = [
        _packed(block, compression, predictor, order)
        for plane in planes
        for block in _blocks(plane, rows_per_strip or height, tile)
    ]
    wanted: list[Tag] = [
        (256, "I", [width]), (257, "I", [height]),
        (258, "H", [samples.dtype.itemsize * 8] * n_samples), (259, "H", [compression]),
        (262, "H", [photometric]), (277, "H", [n_samples]), (284, "H", [2 if planar else 1]),
        (317, "H", [predictor]), (338, "H", list(extra)),
        (339, "H", [_FORMATS[samples.dtype.kind]] * n_samples),
    ]  # fmt: skip
    offsets = [writer.put(piece) for piece in pieces]
    places = TILES if tile else STRIPS
    wanted += [(places[0], "I", offsets), (places[1], "I", list(map(len, pieces)))]
    if tile:
        wanted += [(322, "I", [tile]), (323, "I", [tile])]
    else:
        wanted += [(278, "I", [rows_per_strip or height])]
    others = {tag for tag, *_ in tags}
    return [*(one for one in wanted if one[0] not in others), *tags]


def _blocks(plane: NDArray, n_rows: int, tile: int | None) -> list[NDArray]:
    height, width, _ = plane.shape
    if tile is None:
        return [plane[top : top + n_rows] for top in range(0, height, n_rows)]
    padded = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)), mode="edge")
    return [
        padded[top : top + tile, left : left + tile]
        for top in range(0, height, tile)
        for left in range(0, width, tile)
    ]


def _packed(block: NDArray, compression: int, predictor: int, order: str) -> bytes:
    if predictor == HORIZONTAL:
        whole = block.view(f"u{block.dtype.itemsize}")
        block = np.concatenate([whole[:, :1], np.diff(whole, axis=1)], axis=1)
    data = block.astype(block.dtype.newbyteorder(order)).tobytes()
    if predictor == FLOATING_POINT:
        data = _float_differences(block)
    if compression == NONE:
        return data
    if compression == DEFLATE:
        return zlib.compress(data)
    return _packed_by_pillow(data, len(block), compression)


def _packed_by_pillow(data: bytes, n_rows: int, compression: int) -> bytes:
    """Return bytes as libtiff packs the only strip of a grey picture."""
    image = Image.frombytes("L", (len(data) // n_rows, n_rows), data)
    file = file_of(image, "TIFF", compression=_BY_PILLOW[compression], tiffinfo={278: n_rows})
    with Image.open(io.BytesIO(file)) as again:
        (offset,), (size,) = again.tag_v2[273], again.tag_v2[279]
    return file[offset : offset + size]


def _float_differences(block: NDArray) -> bytes:
    """Return rows whose bytes are sorted by weight, the highest first, and then subtracted."""
    height, width, n_samples = block.shape
    size = block.dtype.itemsize
    big = block.astype(block.dtype.newbyteorder(">"))
    rows = np.frombuffer(big.tobytes(), np.uint8).reshape(height, width * n_samples, size)
    rows = rows.transpose(0, 2, 1).reshape(height, -1)
    differences = rows.copy()
    differences[:, n_samples:] -= rows[:, :-n_samples]
    return differences.tobytes()
