"""Rare kinds of JPEG and BMP: whole files are not called broken."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from models.errors import UndecodableImage, UnsupportedPicture
from models.preprocess import decode
from tests.helpers.pictures import file_of, random_picture
from tests.hostile import forge
from tests.hostile.forge import plain, segment

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")

JPEG = file_of(random_picture(), "JPEG")
FRAME = JPEG.index(b"\xff\xc0")


def with_frame(marker: int, at: int = 0, value: int | None = None) -> bytes:
    """Return a JPEG with another frame marker, and another byte in its frame header."""
    data = bytearray(JPEG)
    data[FRAME + 1] = marker
    if value is not None:
        data[FRAME + at] = value
    return bytes(data)


TWO_CHANNELS = (
    JPEG[:FRAME]
    + segment(0xC0, struct.pack(">BHHB", 8, 30, 40, 2) + b"\1\x11\0\2\x11\0")
    + segment(0xDA, b"\2\1\0\2\0\0\x3f\0")
    + bytes(100)
)
KINDS = {
    "12 bits": (with_frame(0xC1, 4, 12), "JPEG is not supported \\(12 bits a sample"),
    "lossless": (with_frame(0xC3, 4, 16), "lossless JPEG"),
    "lossless and arithmetic": (with_frame(0xCB), "lossless JPEG"),
    "hierarchical": (with_frame(0xC5), "hierarchical JPEG"),
    "two channels": (TWO_CHANNELS, "2 channels"),
    "JPEG in a BMP": (forge.bmp(4, 2, JPEG, packed=4, bits=0), "BMP is not supported \\(a JPEG"),
    "PNG in a BMP": (forge.bmp(4, 2, b"\x89PNG", packed=5, bits=0), "a PNG inside"),
}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_rare_kind_is_said_to_be_not_supported(name):
    """The sentence names what is rare about the file."""
    data, reason = KINDS[name]
    with pytest.raises(UnsupportedPicture, match=reason):
        decode(data)


def test_thumbnail_of_a_rare_kind_is_no_reason():
    """What a segment holds is not the picture: a cut-off ordinary JPEG is broken."""
    inside = segment(0xE1, b"Exif\0\0" + with_frame(0xC3)[:500])
    with pytest.raises(UndecodableImage, match="cut off or broken"):
        decode((JPEG[:2] + inside + JPEG[2:])[: len(JPEG) // 2 + 500])


def test_ycck_jpeg_is_read():
    """Inks that Adobe stores as YCbCr and black give the colours that the formula gives."""
    data = bytearray(file_of(plain("CMYK"), "JPEG"))
    adobe = data.index(b"Adobe")
    assert data[adobe + 11] == 0
    cmyk = np.asarray(decode(bytes(data)), int)
    data[adobe + 11] = 2
    ycck = np.asarray(decode(bytes(data)), int)
    c, m, y, k = (255 - ink for ink in plain("CMYK").getpixel((0, 0)))
    red = c + 1.402 * (y - 128)
    green = c - 0.344136 * (m - 128) - 0.714136 * (y - 128)
    blue = c + 1.772 * (m - 128)
    inks = np.clip([red, green, blue], 0, 255)
    assert np.abs(cmyk.mean(axis=(0, 1)) - (200, 60, 20)).max() <= 4
    assert np.abs(ycck.mean(axis=(0, 1)) - (255 - inks) * k / 255).max() <= 4
