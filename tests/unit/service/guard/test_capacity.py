from __future__ import annotations

import threading
import time

import pytest

from service.errors import Overloaded
from service.guard.capacity import Room


class Visitor(threading.Thread):
    """A thread that goes into a room, says that it is in, and stays until it is let go."""

    def __init__(self, room, size=0, wait_s=30.0):
        super().__init__(daemon=True)
        self.room, self.size, self.wait_s = room, size, wait_s
        self.inside, self.go, self.turned_away = (threading.Event() for _ in range(3))
        self.start()

    def run(self):
        """Go in, or be turned away."""
        try:
            with self.room.place(self.wait_s, self.size):
                self.inside.set()
                self.go.wait(30)
        except Overloaded:
            self.turned_away.set()

    def leave(self):
        """Go out again."""
        self.go.set()
        self.join(30)


def wait_for(claim, within_s=30):
    """Wait until a claim holds."""
    end = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < end, "did not come true"
        time.sleep(0.005)


def test_no_more_than_the_places_are_in():
    """Of three visitors two are in; the third comes in when one leaves."""
    room = Room(places=2, name="test")
    first, second = Visitor(room), Visitor(room)
    assert first.inside.wait(30)
    assert second.inside.wait(30)
    third = Visitor(room)
    assert not third.inside.wait(0.1)
    first.leave()
    assert third.inside.wait(30)
    second.leave()
    third.leave()


def test_waiting_has_an_end():
    """Whoever finds no place in time hears what is full."""
    room = Room(places=1, name="decoding")
    with room.place(0), pytest.raises(Overloaded, match="decoding") as caught:
        room.enter(0.01)
    assert caught.value.what == "decoding"
    with room.place(0):
        pass  # the place is free again


def test_only_so_many_may_wait():
    """Who finds the queue full is turned away at once, however long it would wait."""
    room = Room(places=1, most_waiting=1, name="queue")
    first = Visitor(room)
    assert first.inside.wait(30)
    second = Visitor(room)
    wait_for(lambda: len(room._waiting) == 1)
    with pytest.raises(Overloaded):
        room.enter(wait_s=1e6)
    first.leave()
    assert second.inside.wait(30)
    second.leave()


def test_no_queue_still_lets_in_who_finds_a_place():
    """A queue of 0 turns away only those who would have to wait."""
    room = Room(places=1, most_waiting=0, name="queue")
    with room.place(0), pytest.raises(Overloaded):
        room.enter(1e6)
    with room.place(0):
        pass


def test_sizes_add_up_to_the_capacity():
    """Two of 40 are in together where 100 fit; a third is not."""
    room = Room(places=9, capacity=100, name="test")
    with room.place(0, 40), room.place(0, 40), pytest.raises(Overloaded):
        room.enter(0.01, 40)


def test_one_that_is_too_large_goes_in_alone():
    """What is larger than the room is let in when nobody else is, and nobody beside it."""
    room = Room(places=9, capacity=100, name="test")
    with room.place(0, 1), pytest.raises(Overloaded):
        room.enter(0.01, 500)
    with room.place(0, 500), pytest.raises(Overloaded):
        room.enter(0.01, 1)


def test_large_one_is_not_passed_by_small_ones():
    """First come, first served: a small one waits behind a large one that does not fit yet."""
    room = Room(places=9, capacity=100, name="test")
    here = Visitor(room, 60)
    assert here.inside.wait(30)
    large = Visitor(room, 90)
    wait_for(lambda: len(room._waiting) == 1)
    small = Visitor(room, 1)
    assert not small.inside.wait(0.1)
    here.leave()
    assert large.inside.wait(30)
    assert small.inside.wait(30)
    large.leave()
    small.leave()


def test_one_who_gives_up_does_not_hold_up_the_next():
    """When the first of the queue has waited too long, the one behind it gets its chance."""
    room = Room(places=9, capacity=100, name="test")
    here = Visitor(room, 60)
    assert here.inside.wait(30)
    large = Visitor(room, 90, wait_s=0.2)
    wait_for(lambda: len(room._waiting) == 1)
    small = Visitor(room, 1)
    assert large.turned_away.wait(30)
    assert small.inside.wait(30)
    here.leave()
    small.leave()
