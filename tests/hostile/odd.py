"""Pictures that are unusual, but pictures: each must be read for what it shows."""

from __future__ import annotations

import functools
import importlib.util
import io
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from tests.helpers.pictures import file_of, random_picture
from tests.helpers.tiffs import CMYK, DEFLATE, GREY, tiff_of
from tests.hostile import forge
from tests.hostile.case import Case, of
from tests.hostile.forge import COLOUR, SIZE, plain

TALL = (SIZE[1], SIZE[0])
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
SCRIPT = b"<script>alert('upload')</script>"


def cases() -> list[Case]:
    """Return all of them."""
    return [*_sizes(), *_modes(), *_tiffs(), *_others(), *_turns(), *_metadata(), *_tails()]


def _picture(name, data, size=SIZE, colour=COLOUR, tolerance=4) -> Case:
    return Case(name, of(data), None, size, colour, tolerance)


def _sizes() -> list[Case]:
    return [
        _picture("1x1.png", file_of(plain(size=(1, 1)), "PNG"), (1, 1)),
        _picture("1x1.gif", file_of(plain("P", (1, 1)), "GIF"), (1, 1), (204, 51, 0)),
        _picture("1x1.jpg", file_of(plain(size=(1, 1)), "JPEG"), (1, 1)),
        _picture("1x30000.png", file_of(plain(size=(1, 30_000)), "PNG"), (1, 30_000)),
        _picture("30000x1.png", file_of(plain(size=(30_000, 1)), "PNG"), (30_000, 1)),
        _picture("1x30000.jpg", file_of(plain(size=(1, 30_000)), "JPEG"), (1, 30_000)),
        _picture(
            "16383x1.webp", file_of(plain(size=(16_383, 1)), "WEBP"), (16_383, 1), tolerance=8
        ),
        _picture("interlaced.png", _interlaced(), (1, 1), (255, 128, 0)),
    ]


def _interlaced() -> bytes:
    pixels = zlib.compress(b"\0\xff\x80\x00")
    head = forge.png_head(1, 1, interlace=1)
    return head + forge.chunk(b"IDAT", pixels) + forge.chunk(b"IEND", b"")


def _modes() -> list[Case]:
    grey16 = Image.fromarray(np.full((SIZE[1], SIZE[0]), 128 * 257, np.uint16))
    half_clear = plain("RGBA")
    half_clear.putalpha(128)
    on_white = tuple(round((value * 128 + 255 * 127) / 255) for value in COLOUR)
    grey_alpha = Image.new("LA", SIZE, (100, 0))
    palette = plain().quantize(4)
    clear = palette.getpixel((0, 0))
    float_nan = Image.fromarray(np.full((SIZE[1], SIZE[0]), np.nan, np.float32))
    return [
        _picture("cmyk.jpg", file_of(plain("CMYK"), "JPEG")),
        _picture("grey.jpg", file_of(Image.new("L", SIZE, 90), "JPEG"), colour=(90, 90, 90)),
        _picture("progressive.jpg", file_of(plain(), "JPEG", progressive=True)),
        _picture("quality-1.jpg", file_of(plain(), "JPEG", quality=1), tolerance=30),
        _picture("grey-16-bit.png", file_of(grey16, "PNG"), colour=(128, 128, 128)),
        _picture(
            "rgb-16-bit.png",
            forge.png(4, 3, b"\xff\xff\x80\x80\x00\x00" * 4, bits=16),
            (4, 3),
            (255, 128, 0),
        ),
        _picture("1-bit.png", file_of(Image.new("1", SIZE, 1), "PNG"), colour=WHITE),
        _picture("palette-clear.png", file_of(palette, "PNG", transparency=clear), colour=WHITE),
        _picture("palette-clear.gif", file_of(palette, "GIF", transparency=clear), colour=WHITE),
        _picture("grey-alpha.png", file_of(grey_alpha, "PNG"), colour=WHITE),
        _picture("half-clear.png", file_of(half_clear, "PNG"), colour=on_white),
        _picture("half-clear.webp", file_of(half_clear, "WEBP", lossless=True), colour=on_white),
        _picture("half-clear.avif", file_of(half_clear, "AVIF"), colour=on_white, tolerance=8),
        _picture("cmyk.tiff", file_of(plain("CMYK"), "TIFF")),
        _picture("nan.tiff", file_of(float_nan, "TIFF"), colour=BLACK),
    ]


def _tiffs() -> list[Case]:
    dark = bytes(16 * 16)
    tiles = (
        (322, forge.LONG, 1, forge.longs(16)), (323, forge.LONG, 1, forge.longs(16)),
        (324, forge.LONG, 1, b""), (325, forge.LONG, 1, forge.longs(256)),
    )  # fmt: skip
    loop = bytearray(file_of(plain(), "TIFF"))
    (start,) = struct.unpack_from("<I", loop, 4)
    (n_entries,) = struct.unpack_from("<H", loop, start)
    struct.pack_into("<I", loop, start + 2 + 12 * n_entries, start)  # the next page is this one
    fax = file_of(Image.new("1", SIZE), "TIFF", compression="group4")
    two = file_of(plain(), "TIFF", save_all=True, append_images=[plain("L")])
    no_ratio = (282, 5, 1, forge.longs(1, 0))
    return [
        *_samples(),
        _picture("lzw.tiff", file_of(plain(), "TIFF", compression="tiff_lzw")),
        _picture("deflate.tiff", file_of(plain(), "TIFF", compression="tiff_adobe_deflate")),
        _picture("jpeg-inside.tiff", file_of(plain(), "TIFF", compression="jpeg"), tolerance=8),
        _picture("fax.tiff", fax, colour=BLACK),
        _picture("big.tiff", file_of(plain(), "TIFF", big_tiff=True)),
        _picture("two-pages.tiff", two),
        _picture("loop-of-pages.tiff", bytes(loop)),
        _picture("tiles.tiff", forge.grey_tiff(16, 16, *tiles, pixels=dark), (16, 16), BLACK),
        _picture("zero-ratio.tiff", forge.grey_tiff(16, 8, no_ratio, pixels=dark), (16, 8), BLACK),
        _picture(
            "odd-tags.tiff",
            forge.grey_tiff(
                16, 16, (270, 2, 12, b"<b>\0\xff\xfe'\"\n\r\0\0"), (65000, 99, 1, forge.longs(7)),
                (305, 2, 5, b"%s%n\0"), (700, 1, 8, b"<x:xmp/>"), pixels=dark,
            ),
            (16, 16), BLACK,
        ),
    ]  # fmt: skip


def _samples() -> list[Case]:
    """Return pictures whose samples Pillow does not read."""
    rgb = np.asarray(plain())
    wide, floats = rgb.astype("u2") * 257, (rgb / 255).astype("f4")
    alpha = np.full((*rgb.shape[:2], 1), 65535, "u2")
    inks = np.concatenate([np.asarray(plain("CMYK")), alpha.astype("u1")], axis=2)
    grey = np.concatenate([wide[..., :1], alpha], axis=2)
    greys = (COLOUR[0],) * 3
    return [
        _picture("planes-16-bit.tiff", tiff_of(wide, planar=True)),
        _picture("floats.tiff", tiff_of(floats)),
        _picture("floats-packed.tiff", tiff_of(floats, compression=DEFLATE, predictor=3)),
        _picture("inks-and-mask.tiff", tiff_of(inks, CMYK, extra=(2,))),
        _picture("grey-alpha-16-bit.tiff", tiff_of(grey, GREY, extra=(2,)), colour=greys),
        _picture("grey-alpha-16-bit.png", _grey_alpha(), (4, 3), (128, 128, 128)),
    ]


def _grey_alpha() -> bytes:
    return forge.png(4, 3, b"\x80\x80\xff\xff" * 4, bits=16, kind=4)


def _others() -> list[Case]:
    other = Image.new("RGB", SIZE, "blue")
    two = {"save_all": True, "append_images": [other], "duration": 40, "loop": 0}
    row = b"".join(bytes([grey]) for grey in (10, 10, 10, 200))
    runs = b"\x03\x0a\x01\xc8\0\0" * 2 + b"\0\x01"
    wide_frame = bytearray(file_of(plain("P"), "GIF"))
    struct.pack_into("<HH", wide_frame, 6, 1, 1)  # the screen is smaller than its frame
    heic = [_heic()] if importlib.util.find_spec("pillow_heif") else []
    return [
        _picture("animated.gif", file_of(plain("P"), "GIF", **two)),
        _picture("animated.webp", file_of(plain(), "WEBP", lossless=True, **two)),
        _picture("animated.png", file_of(plain(), "PNG", **two)),
        _picture("animated.avif", file_of(plain(), "AVIF", **two), tolerance=8),
        _picture("10000-frames.gif", forge.gif_of_frames(10_000)),
        _picture("frame-beyond-screen.gif", bytes(wide_frame)),
        _picture("no-screen.gif", b"GIF89a" + bytes(4) + file_of(plain("P"), "GIF")[10:]),
        _picture("upside-down.bmp", forge.bmp(4, -2, row * 2), (4, 2), (58, 58, 58)),
        _picture("runs.bmp", forge.bmp(4, 2, runs, packed=1), (4, 2), (58, 58, 58)),
        _picture("lossy.webp", file_of(plain(), "WEBP", quality=20), tolerance=8),
        _picture("plain.avif", file_of(plain(), "AVIF"), tolerance=8),
        _picture("2000-chunks.png", forge.png_with(*[forge.chunk(b"zzZz", b"")] * 2000)),
        *heic,
    ]


def _heic() -> Case:
    import pillow_heif

    out = io.BytesIO()
    pillow_heif.from_pillow(plain(size=(64, 48))).save(out)
    return _picture("plain.heic", out.getvalue(), (64, 48), tolerance=8)


def _turns() -> list[Case]:
    jpegs = [
        _picture(
            f"turn-{turn}.jpg",
            file_of(plain(), "JPEG", exif=forge.turned(turn)),
            SIZE if turn < 5 else TALL,
        )
        for turn in range(1, 9)
    ]
    others = [
        _picture(f"turn-6.{kind}", file_of(plain(), kind.upper(), exif=forge.turned(6)), TALL)
        for kind in ("png", "tiff")
    ]
    return [*jpegs, *others]


def _metadata() -> list[Case]:
    entry = struct.pack("<HHII", 0x9999, 7, 60_000, 8)  # a thousand tags share one value
    shared = b"Exif\0\0II*\0" + forge.longs(8) + struct.pack("<H", 1000) + entry * 1000
    orientations = struct.pack("<HHII", 0x0112, 3, 20_000, 20) + bytes(4)
    many = b"Exif\0\0II*\0" + forge.longs(8) + struct.pack("<H", 1) + orientations
    bomb = zlib.compress(bytes(900_000), 9)
    return [
        _picture(
            "exif-rubbish.jpg", file_of(plain(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
        ),
        _picture("exif-shared.jpg", file_of(plain(), "JPEG", exif=shared.ljust(60_000, b"\0"))),
        _picture("exif-many-turns.jpg", file_of(plain(), "JPEG", exif=many.ljust(50_000, b"\6"))),
        _picture("exif-turn-99.png", file_of(plain(), "PNG", exif=forge.turned(99))),
        _picture("exif-rubbish.png", forge.png_with(forge.chunk(b"eXIf", b"no exif at all"))),
        _picture("icc-rubbish.jpg", file_of(plain(), "JPEG", icc_profile=b"no profile" * 50)),
        _picture("icc-rubbish.png", file_of(plain(), "PNG", icc_profile=bytes(500))),
        _picture(
            "icc-rubbish.webp",
            file_of(plain(), "WEBP", lossless=True, icc_profile=forge.srgb_profile()[:150]),
        ),
        _picture("icc-of-rgb.jpg", _grey_with_rgb_profile(), colour=(90, 90, 90)),
        _picture("text-bomb.png", forge.png_with(*[_text(1 << 20)] * 70)),
        _picture("large-text.png", forge.png_with(_text(2 << 20))),
        Case("profile-bomb.png", _profile_bomb, None, SIZE, COLOUR),
        _picture("comment-in-pieces.gif", forge.gif_with(b"!\xfe" + b"\1a" * 90_000 + b"\0")),
        _picture("blocks.gif", forge.gif_with(b"!\x01\1a\0" * 40_000)),
        _picture("ztxt-bomb.png", forge.png_with(*[forge.chunk(b"zTXt", b"a\0\0" + bomb)] * 40)),
        _picture(
            "html-comment.gif", forge.gif_with(b"!\xfe" + bytes([len(SCRIPT)]) + SCRIPT + b"\0")
        ),
        _picture("html-text.png", forge.png_with(forge.chunk(b"tEXt", b"Title\0" + SCRIPT))),
        _picture("html-comment.jpg", file_of(plain(), "JPEG", comment=SCRIPT)),
    ]


def _text(size: int) -> bytes:
    return forge.chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(b"<" * size, 9))


@functools.cache
def _profile_bomb() -> bytes:
    """Return a picture whose colour profile would have 200 MiB."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    return forge.png_with(forge.chunk(b"iCCP", b"a\0\0" + packed))


def _grey_with_rgb_profile() -> bytes:
    return file_of(Image.new("L", SIZE, 90), "JPEG", icc_profile=forge.srgb_profile())


def _tails() -> list[Case]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.html", SCRIPT)
    # To a browser's eye a script: the size of the screen is the beginning of a comment.
    script = bytearray(file_of(plain("P"), "GIF"))
    script[6:8] = b"/*"
    return [
        _picture("zip-tail.jpg", file_of(plain(), "JPEG") + packed.getvalue()),
        _picture("html-tail.png", file_of(plain(), "PNG") + SCRIPT * 100),
        _picture("php-tail.webp", file_of(plain(), "WEBP", lossless=True) + b"<?php phpinfo() ?>"),
        _picture(
            "second-picture.jpg", file_of(plain(), "JPEG") + file_of(random_picture(SIZE), "JPEG")
        ),
        Case("script.gif", of(bytes(script) + b"*/=1;alert(1)"), None, (0x2A2F, SIZE[1]), None),
        _picture("jpeg-named.png", file_of(plain(), "JPEG")),
        _picture("png-named.jpg", file_of(plain(), "PNG")),
        _picture("webp-named.gif", file_of(plain(), "WEBP", lossless=True)),
    ]
