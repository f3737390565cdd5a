"""Formats of picture files: which one a file has, which can be decoded, what decoders raise."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from importlib.util import find_spec

from PIL import Image

from models.errors import UnknownFormat

# What Pillow's decoders are known to raise on broken bytes, besides OSError:
DECODER_ERRORS = (
    OSError,  # truncated data, an error from a C decoder, UnidentifiedImageError
    SyntaxError,  # broken PNG chunk, broken TIFF or JPEG header
    ValueError,  # impossible sizes and modes; also UnicodeDecodeError
    TypeError,  # a tag of the wrong type
    KeyError,  # unknown tag, compression or marker
    IndexError,  # a header that points past its end
    AttributeError,  # a frame without a palette or tile
    AssertionError,  # Pillow's own, as of a palette picture that brings no palette
    struct.error,  # a header that is too short
    zlib.error,
    EOFError,  # no first frame
    ArithmeticError,  # overflow or division by a zero in the header
    MemoryError,  # a header that asks for more than there is
    RuntimeError,  # libavif, libheif
    Image.DecompressionBombError,  # should other code in the process set Pillow's limit again
)

_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_TIFF_HEADERS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def supported_formats() -> tuple[str, ...]:
    """Return the names of the formats that can be decoded, JPEG first.

    HEIC is among them only if the package pillow-heif is installed.
    """
    has_heic = find_spec("pillow_heif") is not None
    return tuple(name for name in _SIGNATURES if name != "HEIC" or has_heic)


def formats_in_words() -> str:
    """Return the names of the supported formats, such as "JPEG, PNG or WEBP"."""
    *others, last = supported_formats()
    return f"{', '.join(others)} or {last}"


def format_of(data: bytes) -> str:
    """Name the format by its first bytes, so that a broken picture is told from a strange file."""
    for format_, claims in _SIGNATURES.items():
        if claims(data):
            return format_
    raise UnknownFormat(
        f"the file is none of {', '.join(_SIGNATURES)} (it begins with {data[:8]!r}); convert it"
    )


def _is_bmp(data: bytes) -> bool:
    # Two letters alone would claim many a text file.
    header_size = int.from_bytes(data[14:18], "little")
    return data[:2] == b"BM" and header_size in _BMP_HEADER_SIZES


def _brands(data: bytes) -> set[bytes]:
    """Return the brands of an ISO media file (AVIF, HEIC), or none."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), 256)
    return {data[8:12]} | {data[i : i + 4] for i in range(16, end - 3, 4)}


_SIGNATURES: dict[str, Callable[[bytes], bool]] = {
    "JPEG": lambda data: data.startswith(b"\xff\xd8\xff"),
    "PNG": lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"),
    "WEBP": lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP",
    "AVIF": lambda data: not _AVIF_BRANDS.isdisjoint(_brands(data)),
    "GIF": lambda data: data.startswith((b"GIF87a", b"GIF89a")),
    "BMP": _is_bmp,
    "TIFF": lambda data: data.startswith(_TIFF_HEADERS),
    "HEIC": lambda data: not _HEIC_BRANDS.isdisjoint(_brands(data)),
}


def prepare_decoder(format_: str) -> str:
    """Return Pillow's name of a format; HEIC needs a package that not everybody has."""
    if format_ != "HEIC":
        return format_
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise UnknownFormat(
            "HEIC pictures need the package pillow-heif; install it or convert the picture"
        ) from error
    register_heif_opener()
    return "HEIF"
