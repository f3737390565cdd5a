"""ICC colour profiles, put together by hand."""

from __future__ import annotations

import struct


def cmyk_profile() -> bytes:
    """Make the smallest CMYK profile: paper L* = 100, cyan 50, black 0, all of them neutral."""
    lightness = [0 if corner & 1 else 128 if corner & 8 else 255 for corner in range(16)]
    corners = [bytes([level, 128, 128]) for level in lightness]
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    ramp = bytes(range(256))
    table = (
        b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + b"".join(corners) + ramp * 3
    )
    text = b"text\0\0\0\0by hand\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", 8) + b"by hand\0" + b"\0" * 78
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    return profile_of(
        b"prtrCMYKLab ", {b"A2B0": table, b"cprt": text, b"desc": description, b"wtpt": white}
    )


def profile_of(kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Put an ICC profile together from its tags."""
    offset, index, bodies = 128 + 4 + 12 * len(tags), b"", b""
    for name, body in tags.items():
        padded = body + b"\0" * (-len(body) % 4)
        index += name + struct.pack(">II", offset + len(bodies), len(body))
        bodies += padded
    head = struct.pack(">I4sI", offset + len(bodies), b"\0\0\0\0", 0x02400000) + kind
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    head += struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + index + bodies


def matrix_profile(swap: bool, padding: bytes = b"") -> bytes:
    """Make an RGB profile with sRGB's primaries and gamma 1; `swap` exchanges red and blue.

    `padding` makes it larger: a tag that no program uses.
    """
    red, green, blue = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)
    if swap:
        red, blue = blue, red
    xyz = {
        name: b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * v) for v in values))
        for name, values in [(b"rXYZ", red), (b"gXYZ", green), (b"bXYZ", blue)]
    }
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), b"curv" + b"\0" * 8)
    rest = {b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)}
    more = {b"zzZz": b"text\0\0\0\0" + padding} if padding else {}
    return profile_of(b"mntrRGB XYZ ", xyz | curves | rest | more)
