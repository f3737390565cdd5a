"""The top-k table equals a search for every row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.errors import CorruptSnapshot
from index.search.faiss_store import FaissStore
from index.search.reference import ReferenceStore
from index.search.topk import TopKTable, itself_first
from tests.helpers.compare import assert_same_neighbours


@pytest.mark.parametrize(("n", "k"), [(1, 100), (5, 100), (300, 20), (257, 257)])
def test_the_table_equals_the_reference(unit_vectors, n, k):
    """Fewer pictures than k, k = n, one picture, more than one block."""
    vectors = unit_vectors(n)

    table = TopKTable.compute(FaissStore.from_vectors(vectors), k)

    wanted = ReferenceStore.from_vectors(vectors).search(vectors, min(k, n))
    assert table.rows.dtype == np.int32
    assert table.scores.dtype == np.float32
    assert (len(table), table.k) == (n, min(k, n))
    assert_same_neighbours(table.scores, table.rows, *wanted)


def test_each_row_leads_its_own_line_even_among_copies(unit_vectors):
    """Ten copies of one picture: each is its own first neighbour, the others follow by row."""
    vectors = np.repeat(unit_vectors(1), 10, axis=0)

    table = TopKTable.compute(FaissStore.from_vectors(vectors), 4)

    assert table.rows[:, 0].tolist() == list(range(10))
    assert all(len(set(line)) == 4 for line in table.rows.tolist())


def test_itself_first_moves_only_the_own_row():
    """The others keep their order; a row pushed out by ties takes the last place's."""
    scores = np.array([[1.0, 1.0, 0.5], [1.0, 1.0, 1.0]], np.float32)
    rows = np.array([[4, 7, 2], [0, 1, 2]])

    new_scores, new_rows = itself_first(scores, rows, np.array([7, 9]))

    assert new_rows.tolist() == [[7, 4, 2], [9, 0, 1]]
    assert new_scores.tolist() == [[1.0, 1.0, 0.5], [1.0, 1.0, 1.0]]


@settings(max_examples=60, deadline=None)
@given(
    n_old=st.integers(1, 40),
    n_new=st.integers(0, 20),
    k=st.integers(1, 12),
    n_distinct=st.integers(1, 60),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_an_updated_table_equals_a_rebuilt_one(n_old, n_new, k, n_distinct, seed, data):
    """Whatever goes, comes or moves, copies included: as if computed from the beginning."""
    rng = np.random.default_rng(seed)
    distinct = rng.standard_normal((n_distinct, 8)).astype(np.float32)
    distinct /= np.linalg.norm(distinct, axis=1, keepdims=True)
    old = distinct[rng.integers(0, n_distinct, n_old)]
    kept = rng.permutation(n_old)[: data.draw(st.integers(0, n_old))]
    old_rows = rng.permutation(np.concatenate([kept, np.full(n_new, -1)]))
    if len(old_rows) == 0:
        return
    new = np.where(old_rows[:, None] >= 0, old[old_rows], 0).astype(np.float32)
    new[old_rows < 0] = distinct[rng.integers(0, n_distinct, n_new)]
    store = FaissStore.from_vectors(new)

    table = TopKTable.compute(FaissStore.from_vectors(old), k).updated(store, old_rows, k)

    wanted = TopKTable.compute(store, k)
    assert table.rows[:, 0].tolist() == list(range(len(new)))
    assert_same_neighbours(table.scores, table.rows, wanted.scores, wanted.rows)


def test_an_update_searches_only_what_the_change_asks_for(unit_vectors, monkeypatch):
    """One new picture among 200: one search, for that picture."""
    vectors = unit_vectors(201)
    table = TopKTable.compute(FaissStore.from_vectors(vectors[:200]), 5)
    store, searched = FaissStore.from_vectors(vectors), []
    search = store.search
    monkeypatch.setattr(store, "search", lambda q, k: searched.append(len(q)) or search(q, k))

    table.updated(store, np.append(np.arange(200), -1), 5)

    assert sum(searched) == 1


def test_a_saved_table_is_mapped_and_equal(unit_vectors, tmp_path):
    """What is opened is what was computed, from a memory map."""
    table = TopKTable.compute(FaissStore.from_vectors(unit_vectors(30)), 5)
    table.save(tmp_path)

    opened = TopKTable.open(tmp_path)

    np.testing.assert_array_equal(opened.rows, table.rows)
    np.testing.assert_array_equal(opened.scores, table.scores)
    assert isinstance(opened.rows, np.memmap)


@pytest.mark.parametrize("damage", ["missing", "short", "shape", "dtype"])
def test_a_damaged_table_is_refused(unit_vectors, tmp_path, damage):
    """A missing, short or mismatched file is an error, not a wrong neighbour."""
    TopKTable.compute(FaissStore.from_vectors(unit_vectors(30)), 5).save(tmp_path)
    file = tmp_path / "topk_rows.npy"
    whole = file.read_bytes()
    file.unlink()
    if damage == "short":
        file.write_bytes(whole[:-8])
    if damage == "shape":
        np.save(file, np.zeros((30, 4), np.int32))
    if damage == "dtype":
        np.save(file, np.zeros((30, 5), np.int64))

    with pytest.raises(CorruptSnapshot, match="top"):
        TopKTable.open(tmp_path)
