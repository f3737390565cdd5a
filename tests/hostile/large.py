"""Small files that ask for a large memory: refused before they get it."""

from __future__ import annotations

import functools
import zlib

from tests.helpers.pictures import file_of
from tests.hostile import forge
from tests.hostile.case import Case, of
from tests.hostile.forge import plain

SIDE = 24_576  # squared: 604 million pixels


def cases() -> list[Case]:
    """Return all of them."""
    return [*_wide(), *_hidden()]


def _large(name: str, data: bytes, in_folder: str | None = None) -> Case:
    return Case(name, of(data), "too_large", in_folder=in_folder)


def _wide() -> list[Case]:
    rest = file_of(plain(), "PNG")[33:]
    gif = file_of(plain("P"), "GIF")
    return [
        Case("604-megapixels.png", _whole_png, "too_large"),
        _large("604-megapixels-head.png", forge.png_head(SIDE, SIDE) + rest),
        _large("most-pixels.png", forge.png_head(2**31 - 1, 2**31 - 1) + rest),
        _large("negative-size.png", forge.png_head(2**32 - 1, 2**32 - 1) + rest),
        _large("604-megapixels.webp", forge.webp_canvas(SIDE, SIDE)),
        _large("268-megapixels.webp", _largest_still()),
        _large("604-megapixels.tiff", forge.grey_tiff(SIDE, SIDE, pixels=bytes(50))),
        _large("604-megapixels-deflated.tiff", _whole_tiff()),
        _large("604-megapixels.bmp", forge.bmp(SIDE, SIDE, bytes(50))),
        _large("negative-width.bmp", forge.bmp(-4, 2, bytes(8))),
        _large("lowest-height.bmp", forge.bmp(4, -(2**31), bytes(8))),
        _large("604-megapixels-of-runs.bmp", forge.bmp(SIDE, SIDE, b"\xff\0" * 50, packed=1)),
        _large("4-gigapixels.gif", gif[:6] + b"\xff\xff\xff\xff" + gif[10:]),
        _large("4-gigapixels.jpg", forge.jpeg_of_size(65_500, 65_500)),
        _large("256-megapixels.avif", forge.avif_of_size(16_000, 16_000)),
        _large("256-megapixels-behind-1200.avif", forge.avif_of_stream(16_000, 16_000)),
        _large("one-too-many.png", forge.png_head(7_143, 7_000) + rest, "undecodable"),
    ]


def _hidden() -> list[Case]:
    """Return pictures of few pixels that cost as much."""
    rest = file_of(plain(), "PNG")[33:]
    return [
        _large("long.png", forge.png_head(100_001, 1) + rest),
        _large("longest.bmp", forge.bmp(50_000_000, 1, b"\1\1\0\0", packed=1)),
        _large("runs.of-17-megapixels.bmp", forge.bmp(4_200, 4_000, b"\1\1\0\0", packed=1)),
        Case("huge-tile.tiff", _huge_tile, "too_large"),
    ]


@functools.cache
def _whole_png() -> bytes:
    """Return a whole picture of black and white: 604 million pixels in 73 kB."""
    return forge.png(SIDE, SIDE, bytes(SIDE // 8), bits=1, kind=0)


def _largest_still() -> bytes:
    """Return a WEBP without loss whose own header says 16,383 squared."""
    size = (16_383 - 1) | (16_383 - 1) << 14
    content = b"\x2f" + size.to_bytes(4, "little") + bytes(40)
    return forge.riff((b"VP8L", content))


def _whole_tiff() -> bytes:
    return forge.grey_tiff(SIDE, SIDE, pixels=_deflated(SIDE * 64), packed=8)


@functools.cache
def _huge_tile() -> bytes:
    """Return 16 pixels squared in a tile of 604 million, which 0.6 MB fill."""
    tile = (
        (322, forge.LONG, 1, forge.longs(SIDE)), (323, forge.LONG, 1, forge.longs(SIDE)),
        (324, forge.LONG, 1, b""), (325, forge.LONG, 1, forge.longs(len(_deflated(SIDE * SIDE)))),
    )  # fmt: skip
    return forge.grey_tiff(16, 16, *tile, pixels=_deflated(SIDE * SIDE), packed=8)


@functools.cache
def _deflated(size: int) -> bytes:
    packer = zlib.compressobj(9)
    piece = bytes(1 << 20)
    parts = [packer.compress(piece) for _ in range(size >> 20)]
    return b"".join([*parts, packer.compress(bytes(size & (1 << 20) - 1)), packer.flush()])
