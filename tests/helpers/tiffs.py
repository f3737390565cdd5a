"""TIFF files of any layout, written by hand: Pillow writes few of them."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

NONE, DEFLATE = 1, 8
HORIZONTAL, FLOATING_POINT = 2, 3  # predictors
GREY, RGB, PALETTE, CMYK, YCBCR, LAB = 1, 2, 3, 5, 6, 8  # photometric interpretations
_FORMATS = {"u": 1, "i": 2, "f": 3}
_TYPES = {"H": 3, "I": 4}

Tag = tuple[int, str, list[int]]


def tiff_of(
    samples: NDArray,
    photometric: int = RGB,
    *,
    planar: bool = False,
    compression: int = NONE,
    predictor: int = 1,
    extra: tuple[int, ...] = (),
    order: str = "<",
    rows_per_strip: int | None = None,
    tile: int | None = None,
    tags: tuple[Tag, ...] = (),
) -> bytes:
    """Return a TIFF.

    Parameters
    ----------
    samples : ndarray of shape (height, width, n_samples)
        Integers or floats of 8 to 64 bits, stored as they are.
    photometric : int
    planar : bool
        One plane after the other, instead of one pixel after the other.
    compression, predictor : int
    extra : tuple of int
        Kinds of the samples after the colours: 0 unknown, 1 alpha that is multiplied in, 2 alpha.
    order : str
        "<" or ">".
    rows_per_strip : int, optional
        Default: all rows in one strip.
    tile : int, optional
        Side of square tiles, instead of strips.
    tags : tuple of (tag, type letter, values)
        More tags, or others.
    """
    height, width, n_samples = samples.shape
    bits = samples.dtype.itemsize * 8
    planes = list(np.moveaxis(samples, 2, 0)[..., None]) if planar else [samples]
    pieces = [
        _packed(block, compression, predictor, order)
        for plane in planes
        for block in _blocks(plane, rows_per_strip or height, tile)
    ]
    wanted: list[Tag] = [
        (256, "I", [width]), (257, "I", [height]), (258, "H", [bits] * n_samples),
        (259, "H", [compression]), (262, "H", [photometric]), (277, "H", [n_samples]),
        (284, "H", [2 if planar else 1]), (317, "H", [predictor]), (338, "H", list(extra)),
        (339, "H", [_FORMATS[samples.dtype.kind]] * n_samples), *tags,
    ]  # fmt: skip
    if tile:
        wanted += [(322, "I", [tile]), (323, "I", [tile])]
    else:
        wanted += [(278, "I", [rows_per_strip or height])]
    return put_together(wanted, pieces, order, (324, 325) if tile else (273, 279))


def put_together(
    tags: list[Tag], pieces: list[bytes], order: str = "<", places: tuple[int, int] = (273, 279)
) -> bytes:
    """Return a TIFF of one directory: header, pieces, long values, directory."""
    offsets, body = [], b""
    for piece in pieces:
        offsets.append(8 + len(body))
        body += piece + b"\0" * (len(piece) % 2)
    entries = {tag: (kind, values) for tag, kind, values in tags if values}
    if pieces:
        entries |= {places[0]: ("I", offsets), places[1]: ("I", list(map(len, pieces)))}
    table = b""
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(packed) > 4:
            packed, body = struct.pack(order + "I", 8 + len(body)), body + packed
        head = struct.pack(order + "HHI", tag, _TYPES[kind], len(values))
        table += head + packed.ljust(4, b"\0")
    start = b"II*\0" if order == "<" else b"MM\0*"
    table = struct.pack(order + "H", len(entries)) + table + bytes(4)
    return start + struct.pack(order + "I", 8 + len(body)) + body + table


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
        block = np.concatenate([block[:, :1], np.diff(block, axis=1)], axis=1)
    data = block.astype(block.dtype.newbyteorder(order)).tobytes()
    if predictor == FLOATING_POINT:
        data = _float_differences(block)
    return zlib.compress(data) if compression == DEFLATE else data


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
