"""The corpus against the decoder: what each file is answered with, and what it may cost."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.errors import PictureError, UndecodableImage
from models.image_files.decoder_limits import MAX_SCANS, CountedReads
from models.preprocess import Limits, decode
from tests.helpers import paths
from tests.hostile import broken, forge
from tests.hostile.corpus import BY_NAME, CASES

MOST_MB = 100
REPOSITORY = paths.ROOT
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")


def test_corpus_is_large_and_made_anew_the_same():
    """It has at least 80 files, each with a name of its own and the same bytes every time."""
    assert len(CASES) == len(BY_NAME) >= 80
    assert all(case.make() == case.make() for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_decode_answers_as_documented(case):
    """A hostile file gets its one error; an odd one shows what it is a picture of."""
    if case.code is not None:
        with pytest.raises(PictureError) as refused:
            decode(case.make())
        assert refused.value.code == case.code
        return
    picture = decode(case.make())
    assert picture.size == case.size
    if case.colour is not None:
        mean = np.asarray(picture, float).mean(axis=(0, 1))
        assert np.abs(mean - case.colour).max() <= case.tolerance


WEIGH = """
import json, sys
from models.errors import PictureError
from models.preprocess import decode
from tests.hostile.corpus import CASES

def status(field):
    lines = open("/proc/self/status")
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024

for case in CASES:
    data = case.make()
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")  # the peak begins anew
    before = status("VmRSS")
    try:
        decode(data)
    except PictureError:
        pass
    print(json.dumps([case.name, status("VmHWM") - before]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="asks Linux for the peak")
def test_no_file_costs_more_than_100_mb():
    """Decoding any of them, bombs too, raises the process's memory by less than 100 MB."""
    done = subprocess.run(
        [sys.executable, "-c", WEIGH], cwd=REPOSITORY, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    weights = dict(json.loads(line) for line in done.stdout.splitlines())
    assert weights.keys() == BY_NAME.keys()
    assert {name: mb for name, mb in weights.items() if mb > MOST_MB} == {}


def test_10000_frames_are_not_read():
    """Of an animation the decoder reads no more than of its first frame."""
    reads = [_n_reads(forge.gif_of_frames(n)) for n in (1, 10_000)]
    # Pillow asks for 64 kB of pixels at a time, which is one read in both.
    assert reads[0] == reads[1]


def _n_reads(data: bytes) -> int:
    """Count how often Pillow reads from a file until its first frame is there."""
    from PIL import Image

    stream = CountedReads(data, "GIF")
    before = stream.reads_left
    with Image.open(stream, formats=["GIF"]) as image:
        image.load()
    return before - stream.reads_left


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pieces.png", "more pieces than"),
        ("pixels-in-pieces.png", "more pieces than"),
        ("million-pieces.gif", "more pieces than"),
        ("segments.jpg", "more pieces than"),
        ("fill-bytes.jpg", "more pieces than"),
        ("exif-in-pieces.jpg", "more pieces than"),
        ("200-scans.jpg", "more than 100 scans"),
        ("strips.tiff", r"a tag \(273\) of 70001 numbers"),
        ("samples.tiff", r"a tag \(258\) of 200001 numbers"),
        ("numbers-below.tiff", r"a tag \(2\) of 300000 numbers"),
        ("profile-of-numbers.tiff", r"a tag \(34675\) of 300000 numbers"),
        ("pages-in-each-other.tiff", "more tags than a picture needs"),
        ("huge-tile.tiff", "tiles of 24576 x 24576 pixels"),
        ("long.png", "the limit of a side is 100,000"),
        ("runs.of-17-megapixels.bmp", "run-length BMP has 4200 x 4000"),
    ],
)
def test_refusal_says_what_is_wrong(name, reason):
    """What costs time or memory beside the pixels is refused for that, in a sentence."""
    with pytest.raises(PictureError, match=reason):
        decode(BY_NAME[name].make())


def test_as_many_scans_as_allowed_are_read():
    """The bound on scans is inclusive, and a thumbnail's or a tail's scans are not counted."""
    data = broken.scans(MAX_SCANS - 1, 64, 64)
    assert decode(data).size == (64, 64)
    tail = b"\xff\xda" * (MAX_SCANS + 1)
    assert decode(data + tail).size == (64, 64)
    inside = forge.segment(0xE5, tail)
    assert decode(data[:2] + inside + data[2:]).size == (64, 64)
    with pytest.raises(UndecodableImage, match="scans"):
        decode(broken.scans(MAX_SCANS, 64, 64))


def test_large_exif_is_left_unread():
    """EXIF of more than 2 MB turns nothing; the same EXIF in fewer bytes does."""
    exif = forge.turned(6).tobytes().removeprefix(b"Exif\0\0")
    for size, turned in ((1 << 20, (32, 48)), (3 << 20, (48, 32))):
        data = forge.png_with(forge.chunk(b"eXIf", exif.ljust(size, b"\0")))
        assert decode(data).size == turned


def test_big_endian_tags_are_bounded_too():
    """The tags of a TIFF are checked in either byte order."""
    data = b"MM\0*\0\0\0\x08\0\x01" + bytes.fromhex("0111 0004 000186a0 00000000") + bytes(4)
    with pytest.raises(UndecodableImage, match="of 100000 numbers"):
        decode(data)
    big = b"II+\0\x08\0\0\0" + (16).to_bytes(8, "little") + (1).to_bytes(8, "little")
    big += bytes.fromhex("1101 0400") + (100_000).to_bytes(8, "little") + bytes(16)
    with pytest.raises(UndecodableImage, match="of 100000 numbers"):
        decode(big)


def test_counted_reads_reads_as_bytesio():
    """Until it has had enough, it is a file like any other."""
    data = bytes(range(256)) * 40
    counted, plain = CountedReads(data, "PNG"), io.BytesIO(data)
    for size in (1, 7, 0, 1000, -1):
        assert counted.read(size) == plain.read(size)


def test_limit_of_pixels_holds_for_tiles():
    """A tile may hold as many pixels as a picture."""
    data = BY_NAME["tiles.tiff"].make()
    assert decode(data, Limits(max_pixels=256)).width == 16
