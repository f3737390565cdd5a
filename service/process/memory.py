"""Give memory that a large picture took back to the system.

glibc raises the size from which it gives freed blocks back with every larger block that it has
seen freed, so a worker would keep hundreds of megabytes after the largest picture of its life
(mallopt(3), M_MMAP_THRESHOLD). Elsewhere there is nothing to set.
"""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3
LARGE_BYTES = 1 << 20  # smaller ones are cheaper kept: encoding takes many of them again and again


def give_back_large_blocks() -> bool:
    """Let this process give freed blocks of 1 MiB and more back at once; say whether it can."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES) == 1
