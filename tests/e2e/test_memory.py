"""What a build takes of the memory, measured on a real process."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from index.snapshot import DataFolder
from models.runtime.machine_limits import DECODE_BYTES_PER_PIXEL
from tests.helpers.commands import plain_environment
from tests.helpers.paths import GOLDEN_ENCODER, ROOT
from tests.helpers.pictures import write_pictures
from tests.hostile import forge

SIDE = 14_000
BASE_BYTES = 600 << 20  # of a build of small pictures; docs/deploying.md
N_CORES = 2

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="asks Linux for the peak"
)

BUILD = """
import os, runpy, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv.pop(1))])
try:
    runpy.run_module("indexer", run_name="__main__")  # as `python -m indexer` does
finally:
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def write_large(path: Path, colour: bytes) -> None:
    """Write a picture of 196 megapixels in one colour: a bit a pixel, and a palette."""
    rows = zlib.compress((b"\0" + bytes(SIDE // 8)) * SIDE, 9)
    chunks = [(b"PLTE", colour), (b"IDAT", rows), (b"IEND", b"")]
    head = forge.png_head(SIDE, SIDE, bits=1, kind=3)
    path.write_bytes(head + b"".join(forge.chunk(*chunk) for chunk in chunks))


def peak_of_build(folder: Path, n_large: int) -> int:
    """Build a collection with some large pictures in it; return the peak memory in bytes."""
    write_pictures(folder / "pictures", 8)  # too few for the check with altered copies
    for n in range(n_large):
        write_large(folder / "pictures" / f"large-{n}.png", bytes([30 * n, 200, 60]))
    encoder = GOLDEN_ENCODER / "encoder.tflite"
    how = ["--data", folder / "data", "--encoder", encoder, "--clusters", "2"]
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(N_CORES), "build", folder / "pictures", *how],
        cwd=ROOT, env=plain_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1]) << 10


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < N_CORES, reason="one core decodes one at a time")
def test_large_pictures_are_decoded_one_at_a_time(tmp_path):
    """Eight pictures of 196 megapixels need no more memory than one of them, and all are read."""
    one, eight = (peak_of_build(tmp_path / str(n), n) for n in (1, 8))

    assert eight < one * 1.15
    assert eight < BASE_BYTES + DECODE_BYTES_PER_PIXEL * SIDE**2
    with DataFolder(tmp_path / "8" / "data").open_current() as live:
        large = [record for record in live.catalogue if record.width == SIDE]
    assert [record.path for record in large] == [f"large-{n}.png" for n in range(8)]
