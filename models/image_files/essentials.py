"""Leave out of a file what its picture does not need: text, previews, comments, editors' notes.

Pillow reads such blocks before the pixels, and refuses the picture if one of them is large or odd:
a PNG with more than 1 MiB of compressed text or colour profile, say. Every viewer opens these
files. What is left out costs neither memory nor time.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from models.errors import UndecodableImage

MAX_PROFILE_BYTES = 16 << 20  # of a colour profile; as much as the segments of a JPEG can hold
_MAX_GIF_BLOCKS = 1_000_000  # of at most 255 bytes each

_PNG_START = 8
_OPTIONAL = 0x20  # in the first letter of a chunk's name
_COLOUR_TYPE_AT = 25
_TRANSPARENCY = {0: 2, 2: 6, 3: 1}  # bytes at least, by colour type

_EXTENSION, _CONTROL, _IMAGE = 0x21, 0xF9, 0x2C


def essentials(data: bytes, format_: str) -> tuple[bytes, bytes | None]:
    """Return a file that shows the same picture, and the colour profile that was left out.

    Parameters
    ----------
    data : bytes
        The whole file.
    format_ : str
        As in `formats`. Only PNG and GIF become smaller.

    Returns
    -------
    data : bytes
        The same object if nothing was left out.
    icc_profile : bytes or None
        Of a PNG, if it is whole and has at most 16 MiB. A larger one is ignored.

    Raises
    ------
    UndecodableImage
        If the file has more blocks than a picture needs.
    """
    if format_ == "PNG":
        return _of_png(data)
    if format_ == "GIF":
        return _of_gif(data), None
    return data, None


# ---------------------------------------------------------------- PNG


def _of_png(data: bytes) -> tuple[bytes, bytes | None]:
    view, profile = memoryview(data), None
    kept = [view[:_PNG_START]]
    for name, start, end in _chunks(data):
        if name == b"iCCP" and profile is None:
            profile = _inflated(data[start + 8 : end - 4])
        if not name or not name[0] & _OPTIONAL or _is_sound(data, name, start, end):
            kept.append(view[start:end])
    is_same = sum(map(len, kept)) == len(data)
    return data if is_same else b"".join(kept), profile


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of each chunk up to the last; it may be cut off."""
    at, name = _PNG_START, b""
    for _ in range(10_000 + len(data) // 256):  # as many as `CountedReads` allows
        if at >= len(data) or name == b"IEND":
            return
        name, start = data[at + 4 : at + 8], at
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        yield name, start, at
    raise _too_many("PNG")


def _is_sound(data: bytes, name: bytes, start: int, end: int) -> bool:
    """Return whether an optional chunk is needed, whole, and of a possible length.

    Needed are transparency and orientation. Of an animation, the picture is left that programs
    without animations show.
    """
    if name == b"tRNS":
        least = _TRANSPARENCY.get(data[_COLOUR_TYPE_AT], 1)
    elif name == b"eXIf":
        least = 1
    else:
        return False
    checksum = int.from_bytes(data[end - 4 : end], "big")
    is_whole = end <= len(data) and zlib.crc32(data[start + 4 : end - 4]) == checksum
    return is_whole and end - start - 12 >= least


def _inflated(content: bytes) -> bytes | None:
    """Return the profile of an iCCP chunk: a name, a zero, the method 0, and what is packed."""
    head, _, packed = content.partition(b"\0")
    if len(head) >= 80 or packed[:1] != b"\0":
        return None
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if unpacker.eof else None


# ---------------------------------------------------------------- GIF


def _of_gif(data: bytes) -> bytes:
    """Leave out the comments and application blocks before the first frame."""
    table_bytes = 3 << (data[10] & 7) + 1 if data[10:11] and data[10] & 0x80 else 0
    at = head = 13 + table_bytes
    control, blocks = b"", iter(range(_MAX_GIF_BLOCKS))
    while data[at : at + 1] == bytes([_EXTENSION]):
        kind, start = data[at + 1 : at + 2], at
        at = _end_of_blocks(data, at + 2, blocks)
        if kind == bytes([_CONTROL]):
            control = data[start:at]
    if data[at : at + 1] != bytes([_IMAGE]):
        return data  # cut off or broken: the decoder says how
    return data[:head] + control + data[at:]


def _end_of_blocks(data: bytes, at: int, blocks: Iterator[int]) -> int:
    """Return what follows the empty block that ends a sequence of blocks."""
    for _ in blocks:
        if at >= len(data) or data[at] == 0:
            return at + 1
        at += data[at] + 1
    raise _too_many("GIF")


def _too_many(format_: str) -> UndecodableImage:
    return UndecodableImage(
        f"the {format_} picture has more pieces than a picture needs: save it again or remove it"
    )
