import platform
import subprocess
import sys

import pytest

GROW = """
import re, sys
from models.runtime.memory import give_back_large_blocks
if sys.argv[1] == "give back":
    assert give_back_large_blocks()
large = 20 << 20
first = bytearray(large)
del first
more = [bytearray(large) for _ in range(5)]
maps = open("/proc/self/maps").read()
heaps = re.findall(r"^(\\w+)-(\\w+) .*\\[heap\\]$", maps, re.M)
print(sum(int(end, 16) - int(start, 16) for start, end in heaps) >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has to be told")
def test_large_blocks_stay_out_of_the_heap_that_is_kept() -> None:
    """Once a block of 20 MB was freed, glibc by itself puts five more of them into the heap."""
    told, by_itself = (
        int(
            subprocess.run(
                [sys.executable, "-c", GROW, how], capture_output=True, check=True
            ).stdout
        )
        for how in ("give back", "not")
    )
    assert by_itself > 90
    assert told < 60
