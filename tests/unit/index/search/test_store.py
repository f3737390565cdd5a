"""Every engine keeps the contract of VectorStore."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.errors import CorruptSnapshot, DimensionMismatch, InvalidK
from index.search.faiss_store import FaissStore
from index.search.reference import ReferenceStore
from tests.helpers.compare import assert_same_neighbours

SQUARE = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6]], np.float32)


@pytest.fixture(params=[FaissStore, ReferenceStore], ids=["faiss", "reference"])
def store_class(request):
    """Give each engine in turn."""
    return request.param


def test_search_gives_the_scores_worked_out_by_hand(store_class):
    """(1, 0) has cosine 1, 0, 0.6 and 0.8 with the four vectors."""
    scores, rows = store_class.from_vectors(SQUARE).search(SQUARE[:1], 4)

    assert rows.tolist() == [[0, 3, 2, 1]]
    np.testing.assert_allclose(scores, [[1, 0.8, 0.6, 0]], atol=1e-7)
    assert scores.dtype == np.float32
    assert rows.dtype == np.int64


def test_equal_scores_come_lower_row_first(store_class):
    """Four copies of one vector tie; their order is that of their rows."""
    vectors = SQUARE[[1, 0, 0, 0, 0]]

    _, rows = store_class.from_vectors(vectors).search(SQUARE[:1], 5)

    assert rows.tolist() == [[1, 2, 3, 4, 0]]


def test_scores_never_leave_minus_one_to_one(store_class, unit_vectors):
    """Rounding may give 1.0000001; a score does not."""
    vectors = unit_vectors(200, 64)

    scores, _ = store_class.from_vectors(vectors).search(vectors, 200)

    assert scores.max() <= 1.0
    assert scores.min() >= -1.0


def test_a_score_depends_on_its_two_vectors_alone(store_class, unit_vectors):
    """One query or three hundred, 300 vectors or 500: each score is the same to the last bit."""
    vectors = unit_vectors(500, 257)

    together = store_class.from_vectors(vectors[:300]).search(vectors[:300], 20)
    larger = store_class.from_vectors(vectors)

    for row in range(0, 300, 37):
        scores, rows = larger.search(vectors[row : row + 1], 500)
        of_row = dict(zip(rows[0].tolist(), scores[0].tolist(), strict=True))
        assert together[0][row].tolist() == [of_row[r] for r in together[1][row].tolist()]
    exact = vectors[:1].astype(np.float64) @ vectors[:300].T.astype(np.float64)
    np.testing.assert_array_equal(
        together[0][0], np.clip(np.sort(exact[0])[::-1][:20].astype(np.float32), -1, 1)
    )


def test_a_saved_store_answers_the_same(store_class, unit_vectors, tmp_path):
    """Saving and opening changes neither vectors nor answers."""
    vectors = unit_vectors(50)
    store = store_class.from_vectors(vectors)
    store.save(tmp_path / "vectors")

    opened = store_class.open(tmp_path / "vectors")

    assert (len(opened), opened.dim) == (50, 16)
    np.testing.assert_array_equal(opened.vectors(np.array([3, 1, 3])), vectors[[3, 1, 3]])
    for ours, theirs in zip(opened.search(vectors, 7), store.search(vectors, 7), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_saving_never_overwrites(store_class, tmp_path):
    """A store is written once: an existing file is left as it is."""
    (tmp_path / "vectors").write_bytes(b"mine")

    with pytest.raises(FileExistsError):
        store_class.from_vectors(SQUARE).save(tmp_path / "vectors")

    assert (tmp_path / "vectors").read_bytes() == b"mine"


@pytest.mark.parametrize("k", [0, 5, -1])
def test_k_outside_its_range_is_refused(store_class, k):
    """Four vectors have one to four neighbours."""
    with pytest.raises(InvalidK, match="has 4 vectors"):
        store_class.from_vectors(SQUARE).search(SQUARE, k)


def test_queries_of_another_length_are_refused(store_class):
    """The sentence names both lengths and the cure."""
    with pytest.raises(DimensionMismatch, match=r"\(1, 3\).*\(n, 2\).*encode them"):
        store_class.from_vectors(SQUARE).search(np.ones((1, 3), np.float32), 1)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 60),
    dim=st.integers(1, 24),
    copies=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_faiss_equals_the_reference(n, dim, copies, seed, data):
    """Whatever the vectors, copies among them included, FAISS answers as NumPy does."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if copies:
        vectors = vectors[rng.integers(0, max(1, n // 3), n)]
    k = data.draw(st.integers(1, n))

    ours = FaissStore.from_vectors(vectors).search(vectors, k)
    wanted = ReferenceStore.from_vectors(vectors).search(vectors, k)

    assert_same_neighbours(*ours, *wanted)


@pytest.mark.parametrize("keep", [0, 10, 40, 200])
def test_a_truncated_index_is_refused(tmp_path, unit_vectors, keep):
    """A file cut short anywhere is named, not loaded."""
    FaissStore.from_vectors(unit_vectors(20)).save(tmp_path / "whole")
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:keep])

    with pytest.raises(CorruptSnapshot, match="cut is not a readable FAISS index"):
        FaissStore.open(tmp_path / "cut")


@pytest.mark.parametrize("sizes", [[1], [20, 30], [7, 0, 43], []])
def test_writing_in_blocks_gives_the_file_that_faiss_writes(tmp_path, unit_vectors, sizes):
    """However the rows are cut into blocks, the bytes are those of one call of FAISS."""
    vectors = unit_vectors(sum(sizes))
    blocks = np.split(vectors, np.cumsum(sizes)[:-1]) if sizes else []

    assert FaissStore.write(tmp_path / "blocks", 16, blocks) == len(vectors)

    FaissStore.from_vectors(vectors).save(tmp_path / "whole")
    assert (tmp_path / "blocks").read_bytes() == (tmp_path / "whole").read_bytes()


def test_no_vectors_of_no_rows():
    """Asking for nothing gives an empty array of the right width."""
    assert FaissStore.from_vectors(SQUARE).vectors(np.array([], np.int64)).shape == (0, 2)
