"""Return the memory of large pictures to the system as soon as it is freed.

glibc returns a freed block at once only above a threshold, and raises the threshold with every
larger block that is freed. A worker would therefore keep hundreds of megabytes after its largest
picture (mallopt(3), M_MMAP_THRESHOLD). Other C libraries need no setting.
"""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3
LARGE_BYTES = 1 << 20  # keeping smaller ones is cheaper: encoding uses many of them again and again


def give_back_large_blocks() -> bool:
    """Return freed blocks of 1 MiB or more to the system at once; return whether that works."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES) == 1
