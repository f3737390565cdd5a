from __future__ import annotations

import threading

import pytest

from models.errors import CapacityFull
from models.runtime.slots import Capacity
from tests.helpers.waiting import PATIENCE_S, wait_for


class User(threading.Thread):
    """A thread that takes a slot, says so, and holds the slot until it is told to let go."""

    def __init__(self, capacity, size=0, wait_s=PATIENCE_S):
        super().__init__(daemon=True)
        self.capacity, self.size, self.wait_s = capacity, size, wait_s
        self.holds, self.go, self.refused = (threading.Event() for _ in range(3))
        self.start()

    def run(self):
        """Take a slot, or be refused."""
        try:
            with self.capacity.slot(self.wait_s, self.size):
                self.holds.set()
                self.go.wait(PATIENCE_S)
        except CapacityFull:
            self.refused.set()

    def release(self):
        """Give the slot back."""
        self.go.set()
        self.join(PATIENCE_S)


def test_no_more_threads_run_than_there_are_slots():
    """Of three threads two get a slot; the third gets one when another is released."""
    capacity = Capacity(slots=2, name="test")
    first, second = User(capacity), User(capacity)
    assert first.holds.wait(PATIENCE_S)
    assert second.holds.wait(PATIENCE_S)
    third = User(capacity)
    assert not third.holds.wait(0.1)
    first.release()
    assert third.holds.wait(PATIENCE_S)
    second.release()
    third.release()


def test_waiting_has_an_end():
    """A thread that gets no slot in time is told what is full."""
    capacity = Capacity(slots=1, name="decoding")
    with capacity.slot(0), pytest.raises(CapacityFull, match="decoding") as caught:
        capacity.acquire(0.01)
    assert caught.value.name == "decoding"
    with capacity.slot(0):
        pass  # the slot is free again


def test_only_so_many_may_wait():
    """With a full queue the next is refused at once, however long it would wait."""
    capacity = Capacity(slots=1, most_waiting=1, name="queue")
    first = User(capacity)
    assert first.holds.wait(PATIENCE_S)
    second = User(capacity)
    wait_for(lambda: len(capacity._waiting) == 1)
    with pytest.raises(CapacityFull):
        capacity.acquire(wait_s=1e6)
    first.release()
    assert second.holds.wait(PATIENCE_S)
    second.release()


def test_without_a_queue_a_free_slot_is_still_given():
    """A queue of 0 refuses only those who would have to wait."""
    capacity = Capacity(slots=1, most_waiting=0, name="queue")
    with capacity.slot(0), pytest.raises(CapacityFull):
        capacity.acquire(1e6)
    with capacity.slot(0):
        pass


def test_sizes_add_up_to_the_total():
    """Two of size 40 run together within a total of 100; a third does not."""
    capacity = Capacity(slots=9, total_size=100, name="test")
    with capacity.slot(0, 40), capacity.slot(0, 40), pytest.raises(CapacityFull):
        capacity.acquire(0.01, 40)


def test_work_above_the_total_runs_alone():
    """It gets a slot when all others are free, and no other gets one beside it."""
    capacity = Capacity(slots=9, total_size=100, name="test")
    with capacity.slot(0, 1), pytest.raises(CapacityFull):
        capacity.acquire(0.01, 500)
    with capacity.slot(0, 500), pytest.raises(CapacityFull):
        capacity.acquire(0.01, 1)


def test_small_work_does_not_overtake_large_work():
    """First come, first served: small work waits behind large work that does not fit yet."""
    capacity = Capacity(slots=9, total_size=100, name="test")
    here = User(capacity, 60)
    assert here.holds.wait(PATIENCE_S)
    large = User(capacity, 90)
    wait_for(lambda: len(capacity._waiting) == 1)
    small = User(capacity, 1)
    assert not small.holds.wait(0.1)
    here.release()
    assert large.holds.wait(PATIENCE_S)
    assert small.holds.wait(PATIENCE_S)
    large.release()
    small.release()


def test_who_stops_waiting_does_not_block_the_next():
    """When the first in the queue has waited too long, the next one gets its chance."""
    capacity = Capacity(slots=9, total_size=100, name="test")
    here = User(capacity, 60)
    assert here.holds.wait(PATIENCE_S)
    large = User(capacity, 90, wait_s=0.2)
    wait_for(lambda: capacity._waiting or large.refused.is_set())
    small = User(capacity, 1)
    assert large.refused.wait(PATIENCE_S)
    assert small.holds.wait(PATIENCE_S)
    here.release()
    small.release()
