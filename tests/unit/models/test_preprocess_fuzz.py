"""Mutations of real pictures of every format: a picture or a PictureError, and little memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import PictureError
from models.preprocess import Limits, decode, to_pixels
from tests.hostile.corpus import CASES

MOST_MB = 100
LIMITS = Limits(max_pixels=1_000_000)
PROC = Path("/proc/self")
OURS = [case for case in CASES if case.code != "unsupported_type"]
SEEDS = [data for case in OURS if 20 <= len(data := case.make()) < 20_000]
NUMBERS = [
    value.to_bytes(size, order)
    for size in (1, 2, 4)
    for order in ("little", "big")
    for value in (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
]
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")

place = st.floats(0, 1, exclude_max=True)
change = st.one_of(
    st.tuples(st.just("flip"), place, st.integers(0, 7)),
    st.tuples(st.just("number"), place, st.sampled_from(NUMBERS)),
    st.tuples(st.just("bytes"), place, st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("drop"), place, st.integers(1, 200)),
    st.tuples(st.just("repeat"), place, st.integers(1, 200)),
    st.tuples(st.just("cut"), place, st.none()),
    st.tuples(st.just("splice"), place, st.sampled_from(SEEDS)),
)
mutated = st.builds(
    lambda seed, changes, in_head: changed(seed, changes, 200 if in_head else len(seed)),
    st.sampled_from(SEEDS),
    st.lists(change, min_size=1, max_size=4),
    st.booleans(),
)


def changed(data, changes, reach):
    """Return a file with changes made to its first `reach` bytes."""
    for kind, where, what in changes:
        at = int(where * min(reach, len(data)))
        head, tail = data[:at], data[at:]
        if kind == "flip":
            data = head + bytes(byte ^ (1 << what) for byte in tail[:1]) + tail[1:]
        elif kind in ("number", "bytes"):
            data = head + what + tail[len(what) :]
        elif kind == "drop":
            data = head + tail[what:]
        elif kind == "repeat":
            data = head + tail[:what] * 3 + tail[what:]
        elif kind == "cut":
            data = head
        else:
            data = head + what[at:]
    return data


def memory_mb(field):
    """Return the memory in use (VmRSS) or its peak (VmHWM)."""
    lines = (PROC / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def outcome(data):
    """Return the code of the error, or "picture" for one within the limits."""
    try:
        picture = decode(data, LIMITS)
    except PictureError as error:
        return error.code
    assert to_pixels(picture).shape == (256, 256, 3)
    assert picture.width * picture.height <= LIMITS.max_pixels
    return "picture"


def check(data):
    """Read a file as a stranger's upload, and hold the outcome to what is promised."""
    weighs = (PROC / "clear_refs").exists()
    if weighs:
        (PROC / "clear_refs").write_text("5")  # the peak begins anew
        before = memory_mb("VmRSS")
    assert outcome(data) in {"picture", "undecodable", "unsupported_type", "too_large"}
    if weighs:
        assert memory_mb("VmHWM") - before < MOST_MB


PLAIN = settings(deadline=None, suppress_health_check=list(HealthCheck))


def test_seeds_are_of_every_format():
    """The mutations begin with real pictures of each kind that is read."""
    kinds = set()
    for data in SEEDS:
        try:
            kinds.add(decode(data, LIMITS).format)
        except PictureError:
            continue
    assert kinds >= {"JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"}


@settings(PLAIN, max_examples=500)
@given(mutated)
def test_decode_survives_mutations(data):
    """Nothing but a PictureError comes out of any of them, and no memory of note is taken."""
    check(data)


@pytest.mark.long
@settings(PLAIN, max_examples=20_000)
@given(mutated)
def test_decode_survives_mutations_for_minutes(data):
    """The same for minutes."""
    check(data)
