"""Say why a picture is not supported, so that a whole file is not called broken."""

from __future__ import annotations

import re

from PIL.TiffImagePlugin import COMPRESSION_INFO

from models.image_files import tiff as tags
from models.image_files.tiff import Directory

_FRAME = re.compile(rb"\xff([\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf])")
_LOSSLESS_FRAMES = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_DIFFERENTIAL_FRAMES = frozenset({0xC5, 0xC6, 0xCD, 0xCE})
_SEGMENT = re.compile(rb"\xff([\x01-\xfe])")
_ALONE = frozenset({0x01, *range(0xD0, 0xDA)})  # markers without a length
_BMP_PACKINGS = {4: "a JPEG inside", 5: "a PNG inside"}

_NOT_PACKED, _YCBCR = 1, 6
_PACKINGS = {
    33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG",
    34712: "JPEG 2000", 34887: "LERC", 34892: "lossy JPEG of a DNG", 50002: "JPEG XL",
    52546: "JPEG XL",
}  # fmt: skip
_PHOTOMETRICS = {
    0: "grey", 1: "grey", 2: "RGB", 3: "palette", 4: "transparency mask", 5: "CMYK", 6: "YCbCr",
    8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32844: "LogL", 32845: "LogLuv",
}  # fmt: skip
_SAMPLE_FORMATS = {1: "", 2: "signed ", 3: "floating-point ", 4: "", 5: "complex ", 6: "complex "}


def why_not_supported(data: bytes, format_: str) -> str | None:
    """Return why a file that could not be decoded is not supported, or None if it is broken.

    Parameters
    ----------
    data : bytes
        The whole file.
    format_ : str
        As `formats.format_of` names it.
    """
    if format_ == "JPEG":
        return _why_jpeg(data)
    if format_ == "BMP":
        return _BMP_PACKINGS.get(int.from_bytes(data[30:34], "little"))
    return None


def why_tiff_is_not_supported(page: Directory) -> str | None:
    """Return why Pillow would not decode a picture, or decode it wrongly; None if it may."""
    packing = page.number(tags.COMPRESSION, _NOT_PACKED)
    if packing not in COMPRESSION_INFO:
        return f"compressed with {_PACKINGS.get(packing, f'method {packing}')}"
    if page.number(tags.PHOTOMETRIC) == _YCBCR:
        if page.number(tags.PLANAR, 1) == 2:
            return "YCbCr in separate planes"
        if packing == _NOT_PACKED and set(page.numbers(tags.SUBSAMPLING)) != {1}:
            return "YCbCr of reduced resolution, not compressed"
    return None


def is_complete(page: Directory) -> bool:
    """Return whether a directory has what describes a picture, and the file its pixels."""
    offsets = page.numbers(tags.STRIP_OFFSETS) or page.numbers(tags.TILE_OFFSETS)
    has_size = page.number(tags.WIDTH) > 0 and page.number(tags.LENGTH) > 0
    return has_size and bool(offsets) and max(offsets) < len(page.tiff.data)


def layout(page: Directory) -> str:
    """Return what the samples of a picture are, such as "RGB, 4 samples of 14 bits"."""
    bits = page.numbers(tags.BITS) or (1,)
    formats = page.numbers(tags.SAMPLE_FORMAT) or (1,)
    photometric = page.number(tags.PHOTOMETRIC, -1)
    colour = _PHOTOMETRICS.get(photometric, f"photometric interpretation {photometric}")
    kind = _SAMPLE_FORMATS.get(formats[0], "")
    n_samples = page.number(tags.N_SAMPLES, 1)
    sizes = " and ".join(map(str, sorted(set(bits[:8]))))
    return f"{colour}, {n_samples} {kind}samples of {sizes} bits"


def _why_jpeg(data: bytes) -> str | None:
    """Return what is unusual in the first frame header; a thumbnail is jumped over."""
    at = 2
    while found := _SEGMENT.search(data, at):
        kind, at = found[1][0], found.end()
        if kind in _ALONE:
            continue
        if _FRAME.match(data, found.start()):
            return _why_frame(kind, data[at + 2 : at + 8])
        at += int.from_bytes(data[at : at + 2], "big")
    return None


def _why_frame(kind: int, head: bytes) -> str | None:
    if kind in _LOSSLESS_FRAMES:
        return "lossless JPEG"
    if kind in _DIFFERENTIAL_FRAMES:
        return "hierarchical JPEG"
    if len(head) < 6:
        return None
    if head[0] != 8:
        return f"{head[0]} bits a sample"
    return None if head[5] in (1, 3, 4) else f"{head[5]} channels"
