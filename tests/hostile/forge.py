"""Bytes of picture files put together by hand, where Pillow would refuse to write them."""

from __future__ import annotations

import struct
import zlib

from PIL import ExifTags, Image, ImageCms

from tests.helpers.pictures import file_of

SIZE = (48, 32)
COLOUR = (200, 60, 20)
PNG_START = b"\x89PNG\r\n\x1a\n"


def plain(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Return a picture of one colour."""
    return Image.new("RGB", size, COLOUR).convert(mode)


def turned(orientation: int) -> Image.Exif:
    """Return EXIF that says how the picture is to be turned."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def srgb_profile() -> bytes:
    """Return an ICC profile that changes nothing."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


# ---------------------------------------------------------------- PNG


def chunk(name: bytes, body: bytes) -> bytes:
    """Return one PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_head(width: int, height: int, bits: int = 8, kind: int = 2, interlace: int = 0) -> bytes:
    """Return what a PNG begins with."""
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlace)
    return PNG_START + chunk(b"IHDR", head)


def png(width: int, height: int, row: bytes, *before: bytes, bits: int = 8, kind: int = 2) -> bytes:
    """Return a PNG whose rows are all the same."""
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + row) * height, 9))
    return png_head(width, height, bits, kind) + b"".join(before) + pixels + chunk(b"IEND", b"")


def png_with(*chunks: bytes) -> bytes:
    """Return a picture with more chunks before its pixels."""
    data = file_of(plain(), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


# ---------------------------------------------------------------- JPEG


def segment(marker: int, body: bytes) -> bytes:
    """Return one segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg_with(head: bytes) -> bytes:
    """Return a picture with more segments right after its start."""
    data = file_of(plain(), "JPEG")
    return data[:2] + head + data[2:]


def jpeg_of_size(width: int, height: int) -> bytes:
    """Return a JPEG whose frame header claims another size."""
    data = file_of(plain(), "JPEG")
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def scans_of(data: bytes) -> list[int]:
    """Return where the scans of a progressive JPEG begin."""
    return [i for i in range(len(data) - 1) if data[i : i + 2] == b"\xff\xda"]


# ---------------------------------------------------------------- GIF


def gif_body() -> tuple[bytes, bytes]:
    """Return a GIF of one frame as header with colours, and what follows."""
    data = file_of(plain("P"), "GIF")
    at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    return data[:at], data[at:]


def gif_with(block: bytes) -> bytes:
    """Return a picture with a block before its frame."""
    head, rest = gif_body()
    return head + block + rest


def gif_of_frames(n: int) -> bytes:
    """Return a GIF that repeats one frame."""
    head, rest = gif_body()
    return head + rest[:-1] * n + b";"


# ---------------------------------------------------------------- TIFF

LONG, SHORT, UNDEFINED = 4, 3, 7
Entry = tuple[int, int, int, bytes]


def longs(*values: int) -> bytes:
    """Return 32-bit numbers, lower byte first."""
    return struct.pack(f"<{len(values)}I", *values)


def tiff(entries: list[Entry], pixels: bytes = b"", after: int = 0) -> bytes:
    """Return a TIFF: its one directory, what does not fit into that, and the pixels.

    An entry's tag is 273 or 324 with no value where it is to point to the pixels. `after` is the
    offset of the next directory.
    """
    start = 8 + 2 + 12 * len(entries) + 4
    room = sum(len(value) for _, _, _, value in entries if len(value) > 4)
    table, more = b"", b""
    for tag, kind, count, value in entries:
        if not value:
            value = longs(start + room)
        elif len(value) > 4:
            value, more = longs(start + len(more)), more + value
        table += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    head = b"II*\0" + longs(8) + struct.pack("<H", len(entries))
    return head + table + longs(after) + more + pixels


def grey_tiff(width: int, height: int, *more: Entry, pixels: bytes = b"", packed: int = 1) -> bytes:
    """Return a TIFF of 8-bit greys; compression `packed` is 1 for none, 8 for deflate."""
    entries = [
        (256, LONG, 1, longs(width)), (257, LONG, 1, longs(height)), (258, LONG, 1, longs(8)),
        (259, LONG, 1, longs(packed)), (262, LONG, 1, longs(1)), (277, LONG, 1, longs(1)),
    ]  # fmt: skip
    if not any(entry[0] in (273, 324) for entry in more):
        length = longs(len(pixels))
        entries += [(273, LONG, 1, b""), (278, LONG, 1, longs(height)), (279, LONG, 1, length)]
    return tiff(sorted([*entries, *more], key=lambda entry: entry[0]), pixels)


# ---------------------------------------------------------------- BMP, WEBP, AVIF


def bmp(width: int, height: int, pixels: bytes, packed: int = 0, bits: int = 8) -> bytes:
    """Return a BMP with 256 greys; compression `packed` is 1 for run lengths."""
    start = 14 + 40 + 1024
    greys = b"".join(bytes([grey, grey, grey, 0]) for grey in range(256))
    head = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
    info = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, packed, len(pixels), 0, 0, 256, 0
    )
    return head + info + greys + pixels


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a WEBP of given chunks."""
    body = b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
        for name, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def webp_canvas(width: int, height: int) -> bytes:
    """Return an animated WEBP with a small frame on a canvas of any size."""
    small = file_of(plain(), "WEBP", lossless=True)[12:]
    side = [struct.pack("<I", value - 1)[:3] for value in (width, height, *SIZE)]
    frame = bytes(6) + side[2] + side[3] + bytes(4) + small
    return riff((b"VP8X", b"\x02\0\0\0" + side[0] + side[1]), (b"ANIM", bytes(6)), (b"ANMF", frame))


def avif_of_stream(width: int, height: int) -> bytes:
    """Return an AVIF of 40 x 30 whose stream says another size, at most 65,536 a side."""
    data = file_of(plain(), "AVIF")
    place = data.index(b"iloc") + 4 + 4 + 2 + 2 + 2 + 2 + 2  # of the only item's only extent
    offset, length = struct.unpack_from(">II", data, place)
    stream = data[offset : offset + length]
    at = stream.index(b"\x0a", 2 if stream.startswith(b"\x12\0") else 0)  # the sequence header
    old = int.from_bytes(stream[at + 2 : at + 2 + stream[at + 1]], "big")
    n_old = 8 * stream[at + 1]
    head = old >> (n_old - 10) << 8 | 0xFF  # two sides of 16 bits
    n_sides = (old >> (n_old - 14) & 15) + (old >> (n_old - 18) & 15) + 2
    rest = old & ((1 << (n_old - 18 - n_sides)) - 1)
    n_new = n_old - n_sides + 32
    new = ((head << 16 | width - 1) << 16 | height - 1) << (n_old - 18 - n_sides) | rest
    n_bytes = -(-n_new // 8)
    header = bytes([0x0A, n_bytes]) + (new << (8 * n_bytes - n_new)).to_bytes(n_bytes, "big")
    stream = stream[:at] + header + stream[at + 2 + stream[at + 1] :]
    mdat = struct.pack(">I4s", 8 + len(stream), b"mdat") + stream
    moved = struct.pack(">II", len(data) + 8, len(stream))
    return data[:place] + moved + data[place + 8 :] + mdat


def avif_of_size(width: int, height: int) -> bytes:
    """Return an AVIF whose container claims another size than its picture has."""
    data = file_of(plain(), "AVIF")
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]
