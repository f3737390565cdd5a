"""Formats of picture files: how they are recognised, which are supported, what decoders raise."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from importlib.util import find_spec

from PIL import Image

from models.errors import UnknownFormat
from models.image_files.camera_raw import camera_raw, raw_by_start

# What Pillow's decoders are known to raise on broken bytes, besides OSError:
DECODER_ERRORS = (
    OSError,  # truncated data, an error from a C decoder, UnidentifiedImageError
    SyntaxError,  # broken PNG chunk, broken TIFF or JPEG header
    ValueError,  # impossible sizes and modes; also UnicodeDecodeError
    TypeError,  # a tag of the wrong type
    KeyError,  # unknown tag, compression or marker
    IndexError,  # a header that points past its end
    AttributeError,  # a frame without a palette or tile
    AssertionError,  # from Pillow, for a palette picture without a palette
    struct.error,  # a header that is too short
    zlib.error,
    EOFError,  # no first frame
    ArithmeticError,  # overflow or division by a zero in the header
    MemoryError,  # a header that asks for more memory than there is
    RuntimeError,  # libavif, libheif
    Image.DecompressionBombError,  # if other code in the process sets Pillow's limit again
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
    """Return the format that the first bytes of a file name.

    So a broken picture is told from a file of another kind.

    Raises
    ------
    UnsupportedPicture
        If it is camera raw.
    UnknownFormat
        If it is no format in `supported_formats`, nor HEIC.
    """
    for format_, claims in _SIGNATURES.items():
        if claims(data):
            return format_
    if kind := raw_by_start(data):
        raise camera_raw(kind)
    raise UnknownFormat(
        f"not a picture of a supported format ({', '.join(_SIGNATURES)}): convert it or remove it"
    )


def _is_bmp(data: bytes) -> bool:
    # Many text files begin with these two letters.
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
    """Return Pillow's name of a format, and register the decoder of HEIC.

    Raises
    ------
    UnknownFormat
        If HEIC needs the package pillow-heif, which is not installed.
    """
    if format_ != "HEIC":
        return format_
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise UnknownFormat(
            "HEIC pictures need the package pillow-heif: install it or convert the picture"
        ) from error
    register_heif_opener()
    return "HEIF"
