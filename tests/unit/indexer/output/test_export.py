"""Exported files have the forms of the original, with the values of the snapshot."""

import csv
import json

import numpy as np
import pytest

from index.snapshot import DataFolder
from indexer.output.export import export
from tests.helpers.published import publish_vectors

SQUARE = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6]], np.float32)


@pytest.fixture
def snapshot(tmp_path):
    """Give a snapshot of four vectors whose cosines are 0, 0.6, 0.8 and 0.96."""
    data = DataFolder(tmp_path / "data")
    publish_vectors(data, SQUARE, top_k=2)
    with data.open_current() as opened:
        yield opened


def test_encodings_and_catalogue_are_in_the_same_order(snapshot, tmp_path):
    """Line r of the one is row r of the other."""
    export(snapshot, tmp_path / "out")

    np.testing.assert_array_equal(np.load(tmp_path / "out" / "encodings.npy"), SQUARE)
    with (tmp_path / "out" / "catalogue.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["row", "id", "path", "sha256", "width", "height", "cluster"]
    assert [line["row"] for line in lines] == ["0", "1", "2", "3"]
    assert [line["path"] for line in lines] == ["0.png", "1.png", "2.png", "3.png"]


def test_the_square_files_hold_negated_cosines(snapshot, tmp_path):
    """-1 is most alike; each list starts with it."""
    export(snapshot, tmp_path / "out")

    matrix = np.load(tmp_path / "out" / "cosine_similarity_matrix.npy")
    np.testing.assert_allclose(matrix[0], [-1, 0, -0.6, -0.8], atol=1e-6)
    assert matrix.dtype == np.float32
    lists = json.loads((tmp_path / "out" / "sim_mat_sorted.json").read_text())
    assert lists[0] == [["0", -1.0], ["3", -0.8], ["2", -0.6], ["1", 0.0]]
    assert [[pair[0] for pair in line] for line in lists[1:]] == [
        ["1", "2", "3", "0"],
        ["2", "3", "1", "0"],
        ["3", "2", "0", "1"],
    ]


def test_above_the_limit_the_table_stands_in(snapshot, tmp_path):
    """No square file, the k nearest in the same form, and a sentence that says so."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cosine_similarity_matrix.npy").write_bytes(b"old")

    sentences = export(snapshot, tmp_path / "out", full_limit=3)

    assert "exceed --full-limit 3" in sentences[0]
    assert not (tmp_path / "out" / "cosine_similarity_matrix.npy").exists()
    lists = json.loads((tmp_path / "out" / "sim_mat_sorted.json").read_text())
    assert lists[0] == [["0", -1.0], ["3", -0.8]]


def test_without_groups_there_is_no_groups_file(snapshot, tmp_path):
    """An old file is not left to be taken for the new one."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "k_groups.json").write_text("[[0], [[0]]]")

    sentences = export(snapshot, tmp_path / "out")

    assert "Run `bin/lookalike cluster` first" in sentences[-1]
    assert not (tmp_path / "out" / "k_groups.json").exists()
