"""Files that begin like a picture of a known kind and then break their word."""

from __future__ import annotations

import struct
import zlib

from tests.helpers.pictures import file_of, random_picture
from tests.hostile import forge
from tests.hostile.case import Case, of
from tests.hostile.forge import SIZE, plain, segment

KINDS = ("jpg", "png", "webp", "gif", "bmp", "tiff", "avif")
PILLOWS = {"jpg": "JPEG"}


def cases() -> list[Case]:
    """Return all of them."""
    return [*_cut(), *_flipped(), *_empty(), *_heads(), *_bodies(), *_pieces()]


def _broken(name: str, data: bytes) -> Case:
    return Case(name, of(data), "undecodable")


def whole(kind: str) -> bytes:
    """Return a picture whose every byte counts."""
    return file_of(random_picture(SIZE), PILLOWS.get(kind, kind.upper()))


def _cut() -> list[Case]:
    """Cut each kind in its header, in the middle, and in the last tenth of its pixels."""
    places = {"head": lambda n: 30, "half": lambda n: n // 2, "end": lambda n: n * 9 // 10}
    return [
        _broken(f"cut-{place}.{kind}", whole(kind)[: cut(len(whole(kind)))])
        for kind in KINDS
        for place, cut in places.items()
    ]


def _flipped() -> list[Case]:
    places = {"png": 20, "gif": 13 + 3 * 256 + 9, "webp": 22, "avif": 40, "tiff": 5, "bmp": 28}
    cases = []
    for kind, place in places.items():
        data = bytearray(whole(kind))
        data[place] ^= 0xFF
        cases.append(_broken(f"flipped.{kind}", bytes(data)))
    data = bytearray(whole("png"))
    data[len(data) // 2] ^= 1
    return [*cases, _broken("flipped-pixel.png", bytes(data))]


def _empty() -> list[Case]:
    frame = segment(0xC0, struct.pack(">BHHB", 8, 8, 8, 1) + b"\1\x11\0")
    return [
        _broken("nothing.jpg", b""),
        _broken("start-only.jpg", b"\xff\xd8\xff"),
        _broken("start-and-end.jpg", b"\xff\xd8\xff\xd9"),
        _broken("frame-only.jpg", b"\xff\xd8" + frame + b"\xff\xd9"),
        _broken("signature-only.png", forge.PNG_START),
        _broken("head-only.png", forge.png_head(4, 4)),
        _broken("no-pixels.png", forge.png_head(4, 4) + forge.chunk(b"IEND", b"")),
        _broken("no-frame.gif", forge.gif_body()[0] + b";"),
        _broken("screen-only.gif", b"GIF89a\x04\0\x04\0\0\0\0"),
        _broken("riff-only.webp", b"RIFF\x04\0\0\0WEBP"),
        _broken(
            "no-frame.webp", forge.riff((b"VP8X", b"\2\0\0\0" + bytes(6)), (b"ANIM", bytes(6)))
        ),
        _broken("no-directory.tiff", b"II*\0\x08\0\0\0"),
        _broken("empty-directory.tiff", b"II*\0\x08\0\0\0\0\0\0\0\0\0"),
        _broken("far-directory.tiff", b"MM\0*\xff\xff\xff\xf0" + bytes(50)),
        _broken("far-directory-big.tiff", b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(50)),
        _broken("brand-only.avif", b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + bytes(40)),
    ]


def _heads() -> list[Case]:
    def with_head(width, height, bits=8, kind=2):
        return forge.png_head(width, height, bits, kind) + file_of(plain(), "PNG")[33:]

    wrong_sum = bytearray(file_of(plain(), "PNG"))
    wrong_sum[32] ^= 1
    return [
        _broken("no-width.png", with_head(0, 4)),
        _broken("bits-of-9.png", with_head(48, 32, bits=9)),
        _broken("kind-of-7.png", with_head(48, 32, kind=7)),
        _broken("no-palette.png", with_head(48, 32, kind=3)),
        _broken("wrong-checksum.png", bytes(wrong_sum)),
        _broken("no-height.jpg", forge.jpeg_of_size(48, 0)),
        _broken("no-size.bmp", forge.bmp(0, 0, b"")),
        _broken("bits-of-3.bmp", forge.bmp(4, 2, bytes(8), bits=3)),
        _broken("packed-strangely.bmp", forge.bmp(4, 2, bytes(8), packed=99)),
        _broken("no-width.tiff", forge.grey_tiff(0, 4, pixels=b"")),
        Case(
            "packed-strangely.tiff",
            of(forge.grey_tiff(4, 4, pixels=bytes(16), packed=31_337)),
            "unsupported_type",
        ),
        _broken("words-for-width.tiff", forge.tiff([(256, 2, 3, b"ab\0"), (257, 2, 3, b"cd\0")])),
        _broken("huge-size.avif", forge.avif_of_size(2**31 - 1, 2**31 - 1)),
        _broken("sizes-differ.webp", _sizes_differ()),
    ]


def _sizes_differ() -> bytes:
    pixels = file_of(plain(), "WEBP", lossless=True)[12:]
    name, content = pixels[:4], pixels[8:]
    return forge.riff((b"VP8X", bytes(4) + b"\x09\0\0\x09\0\0"), (name, content))


def _bodies() -> list[Case]:
    data = file_of(random_picture(SIZE), "JPEG", progressive=True)
    scans = forge.scans_of(data)
    gif = bytearray(file_of(random_picture(SIZE).quantize(16), "GIF"))
    gif[-40:-2] = b"\xff" * 38
    bomb = zlib.compress(bytes(2 << 20), 9)
    long_tag = (258, forge.SHORT, 2**31, forge.longs(8))
    strip = (273, forge.LONG, 1, forge.longs(2**32 - 1))
    return [
        _broken("scans-missing.jpg", data[: scans[3]]),
        _broken("scan-cut.jpg", data[: scans[3] + 20]),
        _broken("no-tables.jpg", _without(file_of(plain(), "JPEG"), 0xDB)),
        _broken("codes-of-rubbish.gif", bytes(gif)),
        _broken("pixels-of-rubbish.png", _with_pixels(b"rubbish" * 9)),
        _broken("too-few-pixels.png", _with_pixels(zlib.compress(bytes(10)))),
        _broken("runs-missing.bmp", forge.bmp(40, 20, b"\x02\x01\0\0", packed=1)),
        _broken("icc-bomb.tiff", forge.grey_tiff(16, 16, pixels=bomb[:9], packed=8)),
        _broken("long-tag.tiff", forge.tiff([(256, 4, 1, forge.longs(4)), long_tag])),
        _broken("pixels-far-away.tiff", forge.grey_tiff(16, 16, strip)),
    ]


def _with_pixels(content: bytes) -> bytes:
    return forge.png_head(48, 32) + forge.chunk(b"IDAT", content) + forge.chunk(b"IEND", b"")


def _without(data: bytes, marker: int) -> bytes:
    """Return a JPEG without its segments of one kind."""
    mark = bytes([0xFF, marker])
    while mark in data:
        at = data.index(mark)
        data = data[:at] + data[at + 2 + struct.unpack_from(">H", data, at + 2)[0] :]
    return data


def _pieces() -> list[Case]:
    """Return pictures cut into pieces that cost far more than their pixels."""
    strips = (273, forge.LONG, 70_001, forge.longs(8) * 70_001)
    samples = (258, forge.SHORT, 200_001, bytes(2 * 200_001))
    exif = segment(0xE1, b"Exif\0\0" + b"x" * 100)
    chunks = forge.chunk(b"zzZz", b"") * 30_000
    return [
        Case("pieces.png", lambda: forge.png_with(chunks), "undecodable"),
        Case("pixels-in-pieces.png", _pixels_in_pieces, "undecodable"),
        Case("million-pieces.gif", lambda: forge.gif_with(b"!\xfe" + b"\1a" * (1 << 20) + b"\0"),
             "undecodable"),
        Case("segments.jpg", lambda: forge.jpeg_with(segment(0xE5, b"") * 30_000), "undecodable"),
        Case("fill-bytes.jpg", lambda: forge.jpeg_with(b"\xff" * 100_000), "undecodable"),
        Case("exif-in-pieces.jpg", lambda: forge.jpeg_with(exif * 21), "undecodable"),
        Case("200-scans.jpg", lambda: scans(200, 4000, 4000), "undecodable"),
        Case("strips.tiff", lambda: forge.grey_tiff(7000, 7000, strips), "undecodable"),
        Case("samples.tiff", lambda: forge.grey_tiff(9, 9, samples, pixels=bytes(81)),
             "undecodable"),
        Case("numbers-below.tiff", _numbers_below, "undecodable"),
        Case("pages-in-each-other.tiff", _pages_in_each_other, "undecodable"),
        Case("profile-of-numbers.tiff", _profile_of_numbers, "undecodable"),
    ]  # fmt: skip


def _pixels_in_pieces() -> bytes:
    content = zlib.compress(bytes(13 * 4), 0)
    pieces = b"".join(forge.chunk(b"IDAT", content[i : i + 1]) for i in range(len(content)))
    none = forge.chunk(b"IDAT", b"") * 30_000
    return forge.png_head(4, 4) + pieces + none + forge.chunk(b"IEND", b"")


def _numbers_below() -> bytes:
    """Return a TIFF whose GPS directory, which follows the first, holds a list of many numbers."""
    at = 8 + 2 + 12 * 10 + 4
    gps = struct.pack("<HHHII", 1, 2, forge.SHORT, 300_000, at + 18) + forge.longs(0)
    link = (34853, forge.LONG, 1, forge.longs(at))
    return forge.grey_tiff(8, 8, link, pixels=gps + bytes(600_000))


def _pages_in_each_other() -> bytes:
    """Return a TIFF of 100 pages of 60,000 tags, most of which they share."""
    size = 12 * 60_000
    file = bytearray(b"II*\0" + forge.longs(8) + bytes(100 * 16 + size))
    for at in range(8, 8 + 100 * 16, 16):
        struct.pack_into("<H", file, at, 60_000)
        struct.pack_into("<I", file, at + 2 + size, at + 16)
    return bytes(file)


def _profile_of_numbers() -> bytes:
    """Return a TIFF whose colour profile is a list of numbers, which Pillow would unpack."""
    profile = (34675, forge.SHORT, 300_000, bytes(600_000))
    return forge.grey_tiff(9, 9, profile, pixels=bytes(81))


def scans(n: int, width: int, height: int) -> bytes:
    """Return a progressive JPEG of one grey that goes over its blocks n times, in 70 bytes each."""
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0"
    one_code = bytes([1]) + bytes(15)
    head = segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC2, frame)
    head += segment(0xC4, b"\0" + one_code + b"\0") + segment(0xC4, b"\x10" + one_code + b"\xe0")
    n_blocks = -(-width // 8) * -(-height // 8)
    first = segment(0xDA, b"\1\1\0\0\0\0") + bytes(-(-n_blocks // 8))
    # The only code says: so many blocks without a change, 16,384 and a number of 14 bits more.
    bits = "".join("0" + f"{0:014b}" for _ in range(n_blocks // 16_384))
    bits += "0" + f"{0:014b}"
    bits += "1" * (-len(bits) % 8)
    code = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    again = segment(0xDA, b"\1\1\0\x01\x3f\0") + code
    return b"\xff\xd8" + head + first + again * n + b"\xff\xd9"
