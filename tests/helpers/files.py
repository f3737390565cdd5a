"""Files that are damaged on purpose."""

from __future__ import annotations

from pathlib import Path


def flip_bit(path: Path, at: int | None = None) -> None:
    """Flip a bit of a file, in the middle by default; its size stays.

    The file is written in place, as a faulty disk would change it: hard links change too.
    """
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if at is None else at] ^= 1
    path.write_bytes(content)
