"""Duplicates are found as connected groups, whatever the table's k."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN

from index.search.duplicates import describe, duplicate_groups
from index.snapshot import DataFolder
from tests.helpers.matrices import at_angles
from tests.helpers.published import publish_vectors


@pytest.fixture
def groups_of(tmp_path):
    """Give a function: vectors, threshold, k -> groups as lists of rows."""
    data = DataFolder(tmp_path / "data")

    def find(vectors, threshold, top_k=100):
        publish_vectors(data, vectors, top_k=top_k)
        with data.open_current() as snapshot:
            return [group.tolist() for group in duplicate_groups(snapshot, threshold)]

    return find


def test_groups_are_chains_of_near_pictures(groups_of):
    """Within 10 degrees: 0, 8 and 16 join through the middle one; 60 stays alone; 90, 91 pair."""
    vectors = at_angles(0, 60, 8, 16, 90, 91)

    assert groups_of(vectors, np.cos(np.radians(10))) == [[0, 2, 3], [4, 5]]


def test_equal_pictures_are_joined_whatever_the_threshold(groups_of):
    """Byte-identical files are duplicates even above a threshold that nothing reaches."""
    assert groups_of(at_angles(0, 45, 0, 45, 0), 1.1) == [[0, 2, 4], [1, 3]]


def test_a_line_full_of_duplicates_is_searched(groups_of):
    """With k = 2 the table shows each of eight near copies one other; still they are one group."""
    vectors = at_angles(0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 90)

    assert groups_of(vectors, 0.999, top_k=2) == [[0, 1, 2, 3, 4, 5, 6, 7]]


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(2, 40),
    k=st.integers(1, 8),
    threshold=st.floats(0.5, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_groups_equal_those_of_another_library(tmp_path_factory, n, k, threshold, seed):
    """DBSCAN with one neighbour is single linkage at a threshold: the same groups."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    data = DataFolder(tmp_path_factory.mktemp("data"))
    publish_vectors(data, vectors, top_k=k)
    with data.open_current() as snapshot:
        scores = snapshot.store.scores(vectors, np.tile(np.arange(n), (n, 1)))
        found = duplicate_groups(snapshot, threshold)

    joined = np.where(scores >= np.float32(threshold), 0.0, 1.0)
    labels = DBSCAN(eps=0.5, min_samples=1, metric="precomputed").fit(joined).labels_
    wanted = [np.flatnonzero(labels == label).tolist() for label in set(labels.tolist())]
    assert sorted(g.tolist() for g in found) == sorted(g for g in wanted if len(g) > 1)


def test_a_group_is_described_with_its_largest_picture_first(tmp_path):
    """Kind, members and scores with the first one."""
    data = DataFolder(tmp_path / "data")
    publish_vectors(data, at_angles(0, 0, 5))
    with data.open_current() as snapshot:
        exact = describe(snapshot, np.array([0, 1]))
        near = describe(snapshot, np.array([0, 1, 2]))

    assert (exact.kind, [r.row for r in exact.images], exact.scores) == ("exact", [0, 1], [1, 1])
    assert near.kind == "near"
    assert near.scores == pytest.approx([1, 1, np.cos(np.radians(5))], abs=1e-6)
