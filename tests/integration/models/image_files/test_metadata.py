"""Pictures with a lot of metadata, or odd metadata: what they show is read all the same."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from models.image_files.essentials import MAX_PROFILE_BYTES, essentials
from models.preprocess import Limits, decode
from tests.helpers.pictures import file_of, random_picture
from tests.helpers.profiles import matrix_profile
from tests.hostile import forge
from tests.hostile.forge import chunk, segment

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")

MIB = 1 << 20
WIDE = Limits(max_bytes=512 * MIB)
PICTURE = random_picture((48, 32))
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"<rdf:li>a keyword</rdf:li>\n" * (3 * MIB // 27)
NOISE = np.random.default_rng(0).integers(0, 256, 3 * MIB, dtype=np.uint8).tobytes()


def png_with(*chunks: bytes, behind: bytes = b"") -> bytes:
    """Return a PNG of `PICTURE` with more chunks before its pixels, or behind them."""
    data = file_of(PICTURE, "PNG")
    return data[:33] + b"".join(chunks) + data[33:-12] + behind + data[-12:]


def text(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of compressed text."""
    head = b"XML:com.adobe.xmp\0\1\0\0\0" if kind == b"iTXt" else b"Comment\0\0"
    return chunk(kind, head + zlib.compress(content))


def profile_chunk(profile: bytes) -> bytes:
    """Return a chunk with a colour profile."""
    return chunk(b"iCCP", b"a profile\0\0" + zlib.compress(profile))


WRONG_SUM = chunk(b"pHYs", bytes(9))[:-1] + b"\xff"
PNGS = {
    "compressed text of 3 MiB": png_with(text(b"zTXt", XMP)),
    "XMP of 3 MiB": png_with(text(b"iTXt", XMP)),
    "XMP behind the pixels": png_with(behind=text(b"iTXt", XMP)),
    "plain text of 80 MiB": png_with(chunk(b"tEXt", b"Comment\0" + bytes(80 * MIB))),
    "profile above the limit": png_with(profile_chunk(bytes(MAX_PROFILE_BYTES + 1))),
    "profile that is cut off": png_with(chunk(b"iCCP", b"a\0\0" + zlib.compress(NOISE)[:999])),
    "profile without content": png_with(chunk(b"iCCP", b"")),
    "profile of another method": png_with(chunk(b"iCCP", b"a\0\1" + zlib.compress(b"x"))),
    "text of another method": png_with(chunk(b"zTXt", b"a\0\7x")),
    "short resolution": png_with(chunk(b"pHYs", b"ab")),
    "short gamma": png_with(chunk(b"gAMA", b"")),
    "short transparency": png_with(chunk(b"tRNS", b"ab")),
    "wrong checksum of the resolution": png_with(WRONG_SUM),
    "notes of an editor, 30 MiB": png_with(chunk(b"prVt", bytes(30 * MIB))),
}


@pytest.mark.parametrize("name", sorted(PNGS))
def test_metadata_of_a_png_never_hides_the_picture(name: str) -> None:
    """Large or odd text, profiles and notes are left out; each pixel is that of the picture."""
    assert (np.asarray(decode(PNGS[name], WIDE)) == PICTURE).all()


def test_large_profile_of_a_png_is_followed() -> None:
    """A profile of 3 MiB that exchanges red and blue turns red into blue."""
    red = file_of(Image.new("RGB", (8, 8), (255, 0, 0)), "PNG")
    profile = matrix_profile(swap=True, padding=NOISE)
    data = red[:33] + profile_chunk(profile) + red[33:]
    assert np.abs(np.subtract(decode(data).getpixel((0, 0)), (0, 0, 255))).max() <= 2


def test_transparency_and_orientation_of_a_png_are_kept() -> None:
    """What is left out of a PNG is neither its transparent colour nor how it is to be turned."""
    image = Image.new("RGB", (48, 32), (9, 8, 7))
    data = file_of(image, "PNG", transparency=(9, 8, 7), exif=forge.turned(6))
    data = data[:33] + text(b"iTXt", XMP) + data[33:]
    decoded = decode(data)
    assert decoded.size == (32, 48)
    assert decoded.getpixel((0, 0)) == (255, 255, 255)


def test_animated_png_is_its_first_picture() -> None:
    """The animation is left out; what programs without animations show is read."""
    others = [Image.new("RGB", (48, 32), colour) for colour in ("red", "blue")]
    data = file_of(PICTURE, "PNG", save_all=True, append_images=others, duration=40)
    assert b"acTL" in data
    assert (np.asarray(decode(data)) == PICTURE).all()


def test_nothing_is_copied_where_nothing_is_left_out() -> None:
    """A PNG without metadata, and a JPEG, are read as they are."""
    for format_ in ("PNG", "JPEG"):
        data = file_of(PICTURE, format_)
        assert essentials(data, format_)[0] is data


def blocks(content: bytes) -> bytes:
    """Return content in blocks of at most 255 bytes, as GIF has it."""
    pieces = [content[i : i + 255] for i in range(0, len(content), 255)]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"


# An XMP packet is not in blocks: readers take its letters for their lengths, and the bytes behind
# it lead each of them to the end.
XMP_OF_GIF = b"!\xff\x0bXMP DataXMP" + XMP + b"\1" + bytes(range(255, -1, -1)) + b"\0"
GIFS = {
    "comment of 3 MiB": b"!\xfe" + blocks(XMP),
    "XMP of 3 MiB": XMP_OF_GIF,
    "profile of 3 MiB": b"!\xff\x0bICCRGBG1012" + blocks(NOISE),
    "three of them": b"!\xfe" + blocks(XMP) + XMP_OF_GIF + b"!\xfe" + blocks(NOISE),
}


@pytest.mark.parametrize("name", sorted(GIFS))
def test_metadata_of_a_gif_never_hides_the_picture(name: str) -> None:
    """Comments and packets of any size are left out, wherever they are before the frame."""
    image = PICTURE.quantize(16)
    data = file_of(image, "GIF", transparency=3)
    head = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    expected = np.asarray(decode(data))
    assert (expected == 255).all(axis=-1).any()  # where it is transparent
    assert (np.asarray(decode(data[:head] + GIFS[name] + data[head:], WIDE)) == expected).all()


def test_metadata_of_a_jpeg_never_hides_the_picture() -> None:
    """Extended XMP, a profile in 200 parts, editors' notes, previews and comments are no limit."""
    extended = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + struct.pack(">II", 20 * MIB, 0)
    profile = [bytes([n, 200]) + bytes(60_000) for n in range(1, 201)]
    many = [
        *[segment(0xE1, extended + bytes(60_000))] * 200,
        *(segment(0xE2, b"ICC_PROFILE\0" + part) for part in profile),
        *[segment(0xED, b"Photoshop 3.0\0" + NOISE[:60_000])] * 100,
        *[segment(0xE2, b"FPXR\0\1" + NOISE[:60_000])] * 50,
        segment(0xE2, b"MPF\0" + NOISE[:200]),
        *[segment(0xFE, XMP[:60_000])] * 100,
    ]
    data = file_of(PICTURE, "JPEG")
    expected = np.asarray(decode(data))
    assert (np.asarray(decode(data[:2] + b"".join(many) + data[2:], WIDE)) == expected).all()


def test_metadata_of_a_webp_and_a_tiff_never_hides_the_picture() -> None:
    """Neither EXIF nor XMP nor editors' notes of 3 MiB are too large."""
    webp = file_of(PICTURE, "WEBP", lossless=True, exif=b"II*\0" + NOISE, xmp=XMP)
    assert (np.asarray(decode(webp)) == PICTURE).all()
    notes = {700: XMP, 34377: NOISE, 37724: NOISE, 270: XMP.decode()}
    tiff = file_of(PICTURE, "TIFF", tiffinfo=notes)
    assert len(tiff) > 9 * MIB
    assert (np.asarray(decode(tiff)) == PICTURE).all()
