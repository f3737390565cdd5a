"""The ordered, bounded map in threads."""

import itertools
import threading
import time
import weakref

import pytest

from models.runtime.threads import ordered_map

TIMEOUT_S = 30  # only a test that fails waits for so long


class Counted:
    """Numbers from 0 on, and how many of them have been taken."""

    def __init__(self):
        self.n_taken = 0

    def __iter__(self):
        for number in itertools.count():
            self.n_taken += 1
            yield number


def test_results_come_in_the_order_of_the_items():
    """A result that is ready early waits for those before it."""
    second_is_done = threading.Event()

    def late_first(item):
        if item == 0:
            assert second_is_done.wait(TIMEOUT_S)
        if item == 1:
            second_is_done.set()
        return item * item

    assert list(ordered_map(late_first, range(20), n_threads=2)) == [i * i for i in range(20)]


@pytest.mark.parametrize("n_ahead", [1, 2, 7])
def test_only_so_many_items_are_taken_ahead(n_ahead):
    """An endless iterable is read no further than the bound allows."""
    items = Counted()
    results = ordered_map(lambda item: item, items, n_threads=2, n_ahead=n_ahead)

    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert items.n_taken == 4 + n_ahead
    results.close()


def test_two_for_each_thread_are_taken_ahead_by_default():
    """Every thread has its next item waiting."""
    items = Counted()
    results = ordered_map(lambda item: item, items, n_threads=3)

    next(results)

    assert items.n_taken == 6
    results.close()


def test_calls_run_at_the_same_time():
    """Two threads meet at a barrier that one alone never passes."""
    barrier = threading.Barrier(2, timeout=TIMEOUT_S)

    def met(item):
        barrier.wait()
        return item

    assert list(ordered_map(met, range(4), n_threads=2)) == [0, 1, 2, 3]


def test_an_error_comes_in_its_place():
    """The results before it are given, and nothing after it."""

    def failing(item):
        if item == 3:
            raise ZeroDivisionError("item 3")
        return item

    results = ordered_map(failing, itertools.count(), n_threads=2)

    assert list(itertools.islice(results, 3)) == [0, 1, 2]
    with pytest.raises(ZeroDivisionError, match="item 3"):
        next(results)
    assert list(results) == []


def test_an_error_of_the_items_ends_the_work():
    """It reaches the caller as it is."""

    def broken():
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(ordered_map(str, broken()))


class Item:
    """A number that can be watched from afar."""

    def __init__(self, number):
        self.number = number


def test_closing_early_cancels_what_has_not_begun():
    """The call at work is waited for; those behind it are never made."""
    items = [Item(number) for number in range(10)]
    waiting = weakref.ref(items[5])
    has_begun = threading.Event()
    called = []

    def slow(item):
        called.append(item.number)
        if item.number == 1:
            has_begun.set()
            for _ in range(100 * TIMEOUT_S):
                if waiting() is None:  # its call has been cancelled, so nothing holds it now
                    return
                time.sleep(0.01)

    results = ordered_map(slow, (items.pop(0) for _ in range(10)), n_threads=1, n_ahead=10)
    next(results)
    assert has_begun.wait(TIMEOUT_S)

    results.close()

    assert called == [0, 1]


@pytest.mark.parametrize("n_threads", [1, 4])
def test_no_thread_outlives_the_last_result(n_threads):
    """The threads are gone when the iterator is exhausted."""
    before = threading.active_count()

    assert list(ordered_map(str, range(9), n_threads=n_threads)) == list("012345678")

    assert threading.active_count() == before


def test_nothing_gives_nothing():
    """An empty iterable has no results."""
    assert list(ordered_map(str, [])) == []
