from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.guard.shared_counts import SharedCounts
from tests.helpers.waiting import PATIENCE_S


@pytest.fixture
def path(tmp_path):
    """Give where the counts lie."""
    return tmp_path / "rates.sqlite"


@pytest.fixture
def open_counts():
    """Give a function path -> counts; they are closed at the end."""
    opened = []

    def open_(path):
        opened.append(SharedCounts(path))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def add_often(path, n):
    """Count one client n times, as one of several workers."""
    counts = SharedCounts(path)
    for _ in range(n):
        counts.incr("client", 60)
    counts.close()


def test_count_grows_and_ends(path, open_counts, monkeypatch):
    """A count adds up until its time is over, and then begins anew."""
    counts, now = open_counts(path), time.time()
    monkeypatch.setattr("time.time", lambda: now)
    assert [counts.incr("a", 10), counts.incr("a", 10, 3), counts.incr("b", 10)] == [1, 4, 1]
    assert (counts.get("a"), counts.get("b"), counts.get("c")) == (4, 1, 0)
    assert counts.get_expiry("a") == now + 10
    later = now + 11
    monkeypatch.setattr("time.time", lambda: later)
    assert counts.get("a") == 0
    assert counts.incr("a", 10) == 1
    assert counts.get_expiry("a") == pytest.approx(later + 10)


def test_counts_can_be_forgotten(path, open_counts):
    """One by one, or all."""
    counts = open_counts(path)
    for key in "abc":
        counts.incr(key, 60)
    counts.clear("a")
    assert (counts.get("a"), counts.get("b")) == (0, 1)
    assert counts.check()
    assert counts.reset() == 2
    assert counts.get("b") == 0


def test_processes_count_together(path, open_counts):
    """Of three workers that count at the same time, no count is lost."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=add_often, args=(path, 200)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE_S)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert open_counts(path).get("client") == 600


def test_threads_count_together(open_counts):
    """So do the threads of one, also where nothing is shared and the counts are in memory."""
    counts = open_counts(None)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: counts.incr("client", 60), range(400)))
    assert counts.get("client") == 400


def test_what_is_over_is_swept_out(path, open_counts, monkeypatch):
    """Addresses that ask no more do not stay for ever."""
    counts = open_counts(path)
    for number in range(500):
        counts.incr(f"client {number}", 1)
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 5)
    for _ in range(500):
        counts.incr("other", 60)
    assert counts.reset() == 1
