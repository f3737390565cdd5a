from __future__ import annotations

import threading

import numpy as np
import pytest

from index.snapshot import DataFolder
from service import duplicate_cache
from service.duplicate_cache import MAX_CACHED, DuplicateCache
from service.errors import InvalidRequest
from tests.helpers.matrices import at_angles
from tests.helpers.published import publish_vectors

# Rows 0 and 1 score 0.8, 2 and 3 score 1; all others 0.
VECTORS = np.array(
    [[1, 0, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32
)


@pytest.fixture
def snapshot(tmp_path):
    """Give five pictures of which two pairs are alike, with three neighbours each."""
    data = DataFolder(tmp_path)
    publish_vectors(data, VECTORS, top_k=3)
    with data.open_current() as opened:
        yield opened


@pytest.fixture
def searches(monkeypatch):
    """Give the list of thresholds that were really searched for."""
    made, search = [], duplicate_cache.duplicates.duplicate_groups

    def counted(snapshot, threshold, before_comparing):
        made.append(threshold)
        return search(snapshot, threshold, before_comparing)

    monkeypatch.setattr(duplicate_cache.duplicates, "duplicate_groups", counted)
    return made


@pytest.mark.parametrize(
    ("threshold", "expected"), [(0.9, [[2, 3]]), (0.8, [[0, 1], [2, 3]]), (1.0, [[2, 3]])]
)
def test_groups_are_those_that_reach_the_threshold(snapshot, threshold, expected):
    """A score of exactly the threshold joins."""
    assert [rows.tolist() for rows in DuplicateCache(snapshot).groups(threshold)] == expected


def test_each_threshold_is_searched_for_once(snapshot, searches):
    """Pages of the same threshold share one search, and so do requests at the same moment."""
    found = DuplicateCache(snapshot)
    threads = [threading.Thread(target=found.groups, args=(0.9,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert searches == [0.9]


def test_few_thresholds_are_remembered(snapshot, searches):
    """What was asked for longest ago is forgotten, so that nobody can fill the memory."""
    found = DuplicateCache(snapshot)
    thresholds = [0.9 + step / 100 for step in range(MAX_CACHED + 1)]
    for threshold in [*thresholds, thresholds[-1], thresholds[0]]:
        found.groups(threshold)
    assert searches == [*thresholds, thresholds[0]]


@pytest.mark.parametrize(("most", "is_answered"), [(3, True), (2, False)])
def test_long_search_is_stopped(snapshot, searches, monkeypatch, most, is_answered):
    """At 0, the line of row 0 is full, so it is compared with the three other pictures.

    The sentence says what to do. A second request does not search again.
    """
    monkeypatch.setattr(duplicate_cache, "_MAX_COMPARED", most)
    found = DuplicateCache(snapshot)
    for _ in range(2):
        if is_answered:
            assert [rows.tolist() for rows in found.groups(0.0)] == [[0, 1, 2, 3, 4]]
        else:
            with pytest.raises(InvalidRequest, match=r"threshold: 0.0 is too low: .* 0.0` on"):
                found.groups(0.0)
    assert searches == [0.0]


def test_nearly_equal_pictures_are_few_comparisons(tmp_path, monkeypatch):
    """Two hundred frames of a still scene fill each other's lines, and are compared with one."""
    monkeypatch.setattr(duplicate_cache, "_MAX_COMPARED", 199)
    data = DataFolder(tmp_path)
    publish_vectors(data, at_angles(*np.linspace(0, 1, 200)), top_k=10)
    with data.open_current() as snapshot:
        (group,) = DuplicateCache(snapshot).groups(0.99)
    assert len(group) == 200
