from __future__ import annotations

import contextlib
import threading
import time

import numpy as np
import pytest
from PIL import Image

from models.errors import ImageTooLarge, UnknownFormat
from models.preprocess import Limits, decode, full_digest, pixel_count, pixel_digest, to_pixels
from service.errors import Overloaded
from service.guard import deadline
from service.images import decoding
from service.images.decoding import Decoding
from tests.helpers.pictures import picture_bytes
from tests.helpers.waiting import PATIENCE_S, wait_for


@pytest.fixture
def no_deadline():
    """Leave no deadline behind for other tests."""
    yield
    deadline.begin(float("inf"))


def test_decoded_is_what_the_encoder_sees_and_little_more():
    """Pixels and size are those of the file; of the rest only a small picture is kept."""
    data = picture_bytes((9, 200, 30), (900, 300))
    found = Decoding(Limits()).decode(data)
    np.testing.assert_array_equal(found.pixels, to_pixels(decode(data)))
    assert found.size == (900, 300)
    assert found.small.size == (256, 85)
    assert found.small.getpixel((0, 0)) == (9, 200, 30)


def test_full_digest_is_computed_only_where_it_is_needed():
    """The pixel digest says whether."""
    data = picture_bytes((9, 200, 30), (900, 300))
    wanted = pixel_digest(to_pixels(decode(data)))
    found = Decoding(Limits()).decode(data)
    assert (found.pixel_digest, found.full_digest) == (wanted, None)
    found = Decoding(Limits()).decode(data, needs_full_digest=lambda digest: digest == wanted)
    assert found.full_digest == full_digest(decode(data))
    other = picture_bytes((9, 200, 31), (900, 300))
    found = Decoding(Limits()).decode(other, needs_full_digest=lambda digest: digest == wanted)
    assert found.full_digest is None


def test_pixels_are_counted_without_decoding():
    """The number is that of the header, also where the rest of the file is missing."""
    data = picture_bytes((1, 2, 3), (70, 30), "PNG")
    assert pixel_count(data) == 2100
    assert pixel_count(data[:60]) == 2100


@pytest.mark.parametrize(
    ("data", "limits", "error"),
    [
        (b"hello", Limits(), UnknownFormat),
        (picture_bytes(size=(20, 10)), Limits(max_pixels=199), ImageTooLarge),
        (picture_bytes(), Limits(max_bytes=10), ImageTooLarge),
    ],
    ids=["kind", "pixels", "bytes"],
)
def test_limits_hold_before_decoding(data, limits, error):
    """What may not be decoded is refused by its header, as in the indexer."""
    with pytest.raises(error):
        pixel_count(data, limits)
    with pytest.raises(error):
        Decoding(limits).decode(data)


@pytest.fixture
def held(monkeypatch):
    """Hold every decoding until it is let go; give how many run, the most so far, and the gate."""
    running, most, gate, lock = [0], [0], threading.Event(), threading.Lock()

    def slow(data, limits):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        gate.wait(PATIENCE_S)
        with lock:
            running[0] -= 1
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr(decoding, "decode", slow)
    yield most, gate
    gate.set()


@pytest.mark.parametrize(
    ("n_at_a_time", "pixels_at_a_time", "expected"), [(2, 10**9, 2), (9, 2500, 2), (9, 100, 1)]
)
def test_pictures_are_decoded_so_many_at_a_time(held, n_at_a_time, pixels_at_a_time, expected):
    """Neither their number nor their pixels together pass what was allowed."""
    most, gate = held
    work = Decoding(Limits(), n_at_a_time, pixels_at_a_time, wait_s=PATIENCE_S)
    data = picture_bytes(size=(40, 30))  # 1,200 pixels
    threads = [threading.Thread(target=work.decode, args=(data,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    wait_for(lambda: most == [expected])
    time.sleep(0.1)  # in which one too many would show
    gate.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert most == [expected]


def test_no_slot_in_time_is_overloaded(held):
    """Waiting is bounded; the error names what is full."""
    most, gate = held
    work = Decoding(Limits(), n_at_a_time=1, wait_s=0.05)
    first = threading.Thread(target=work.decode, args=(picture_bytes(),))
    first.start()
    wait_for(lambda: most[0])
    with pytest.raises(Overloaded) as caught:
        work.decode(picture_bytes())
    assert caught.value.what == "decoding"
    gate.set()
    first.join(PATIENCE_S)


def test_broken_picture_gives_its_slot_back():
    """After any number of pictures that cannot be decoded the next one gets a slot."""
    work = Decoding(Limits(), n_at_a_time=1, wait_s=0)
    for _ in range(5):
        with contextlib.suppress(Exception):
            work.decode(picture_bytes(size=(300, 300))[:-30])
    assert work.decode(picture_bytes()).size == (40, 30)


@pytest.mark.usefixtures("no_deadline")
def test_nothing_is_decoded_after_the_deadline():
    """A request that has used its time is not let into the next step."""
    deadline.begin(-1)
    with pytest.raises(Overloaded) as caught:
        Decoding(Limits()).decode(picture_bytes())
    assert caught.value.what == "time"


@pytest.mark.usefixtures("no_deadline")
def test_deadline_belongs_to_its_thread():
    """The time of one request is not that of another."""
    deadline.begin(-1)
    found = []
    thread = threading.Thread(target=lambda: found.append(deadline.left_s()))
    thread.start()
    thread.join(PATIENCE_S)
    assert found == [float("inf")]
