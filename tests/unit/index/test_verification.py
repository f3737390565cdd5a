"""verify names what is wrong, and is silent about what is not."""

import numpy as np
import pytest

from index.search.faiss_store import FaissStore
from index.search.topk import TopKTable
from index.snapshot import DataFolder
from index.verification import verify
from tests.helpers.published import publish_vectors


@pytest.fixture
def data(tmp_path):
    """Give an empty data folder."""
    return DataFolder(tmp_path / "data")


def findings(data, **options):
    """Return what verify says of the live snapshot."""
    with data.open_current() as snapshot:
        return list(verify(snapshot, **options))


@pytest.mark.parametrize("all_rows", [False, True])
def test_a_sound_snapshot_has_no_findings(data, unit_vectors, all_rows):
    """Copies tie in any order, and that is no fault."""
    vectors = np.concatenate([unit_vectors(300), np.repeat(unit_vectors(1, seed=5), 9, axis=0)])
    publish_vectors(data, vectors, top_k=4)

    assert findings(data, all_rows=all_rows) == []


def test_a_flipped_byte_in_a_large_file_is_named(data, unit_vectors):
    """Opening does not read it; verify does."""
    file = data.snapshots / publish_vectors(data, unit_vectors(300, 1024)) / "vectors.faiss"
    with file.open("r+b") as opened:
        opened.seek(700_000)
        opened.write(b"\x00\x01\x02\x03")

    assert any("vectors.faiss" in finding for finding in findings(data))


def test_a_table_of_other_vectors_is_found(data, unit_vectors):
    """The table of another collection of the same size differs in every line."""
    other = FaissStore.from_vectors(unit_vectors(20, seed=1))
    publish_vectors(data, unit_vectors(20), top_k=5, table_of=other)

    found = findings(data, all_rows=True)

    assert len([f for f in found if "differs from a search" in f]) == 20
    assert "19.png (row 19)" in found[-1]


def test_a_wrong_row_with_right_scores_is_found(data, unit_vectors, monkeypatch):
    """A neighbour exchanged for a stranger is no tie."""
    vectors = unit_vectors(20)
    table = TopKTable.compute(FaissStore.from_vectors(vectors), 5)
    stranger = next(row for row in range(20) if row not in table.rows[3])
    table.rows[3, 2] = stranger
    monkeypatch.setattr(TopKTable, "compute", lambda *_, **__: table)
    publish_vectors(data, vectors, top_k=5)

    assert findings(data) == ["the top-k table of 3.png (row 3) differs from a search"]


def test_a_vector_of_another_length_is_found(data, unit_vectors):
    """A vector twice as long beats every other picture's own: both are told."""
    vectors = unit_vectors(10)
    vectors[4] *= 2
    publish_vectors(data, vectors, top_k=3)

    assert "the vector of row 4 does not have unit length" in findings(data)
