"""Recognise camera raw files, also those that are TIFF inside.

Their first directory is often a preview of 160 x 120 pixels, which would pass for the picture.
Developing raw data is a matter of taste and of a large library, so these files are refused.
"""

from __future__ import annotations

from models.errors import UnsupportedPicture
from models.image_files.tiff import (
    COMPRESSION,
    MAKE,
    N_SAMPLES,
    PHOTOMETRIC,
    SUB_DIRECTORIES,
    Directory,
    Tiff,
)

_BY_START = {
    b"FUJIFILMCCD-RAW": "RAF",
    b"IIRO": "ORF",
    b"IIRS": "ORF",
    b"MMOR": "ORF",
    b"IIU\0": "RW2",
    b"II\x1a\0\0\0HEAPCCDR": "CRW",
    b"\0MRM": "MRW",
    b"FOVb": "X3F",
}
_DNG_VERSION, _CFA_PATTERN = 50706, 33422
_COLOUR_FILTER_ARRAY, _LINEAR_RAW = 32803, 34892
_RAW_COMPRESSIONS = frozenset({32767, 32769, 32770, 32772, 34713, 65000, 65535})  # of the makers


def raw_by_start(data: bytes) -> str | None:
    """Return the kind of a camera raw file that is no TIFF, or None.

    Parameters
    ----------
    data : bytes
        At least the first 16 bytes of the file.
    """
    if data[4:12] == b"ftypcrx ":
        return "CR3"
    return next((kind for start, kind in _BY_START.items() if data.startswith(start)), None)


def check_not_raw(tiff: Tiff) -> None:
    """Check that a TIFF is an ordinary one.

    Raises
    ------
    UnsupportedPicture
    """
    if kind := _kind(tiff):
        raise camera_raw(kind)


def camera_raw(kind: str) -> UnsupportedPicture:
    """Return the error for a camera raw file."""
    return UnsupportedPicture(f"camera raw ({kind}) is not supported: export it as JPEG")


def _kind(tiff: Tiff) -> str | None:
    if (tiff.data[8:11], tiff.first) == (b"CR\2", 16):
        return "CR2"
    if (tiff.data[8:12], tiff.data[13:16]) == (b"IIII", b"waR") or tiff.data[8:15] == b"MMMMRaw":
        return "IIQ"
    for page in tiff.chain():
        for directory in (page, *page.children()):
            if _DNG_VERSION in directory:
                return "DNG"
            if _has_raw_pixels(directory):
                return "TIFF inside"
    return "TIFF inside" if _is_preview_of_camera(tiff) else None


def _has_raw_pixels(directory: Directory) -> bool:
    return (
        directory.number(PHOTOMETRIC) in (_COLOUR_FILTER_ARRAY, _LINEAR_RAW)
        or (_CFA_PATTERN in directory and directory.number(N_SAMPLES, 1) == 1)
        or directory.number(COMPRESSION) in _RAW_COMPRESSIONS
    )


def _is_preview_of_camera(tiff: Tiff) -> bool:
    """Return whether a camera wrote nothing but previews that this program can find."""
    pages = list(tiff.chain())
    return (
        bool(pages)
        and all(page.is_reduced for page in pages)
        and MAKE in pages[0]
        and SUB_DIRECTORIES in pages[0]
    )
