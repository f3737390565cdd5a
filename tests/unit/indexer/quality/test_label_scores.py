"""Quality measures on rankings that can be worked out by hand."""

import numpy as np
import pytest

from index.snapshot import DataFolder
from indexer.errors import BadLabels, BadTable
from indexer.quality.label_scores import labels_of, rankings
from tests.helpers.matrices import at_angles
from tests.helpers.published import publish_vectors


def test_measures_on_four_pictures_worked_out_by_hand():
    """At 0, 10, 30.5 and 60 degrees, labelled a, a, b, b.

    Labels by rank: row 0: a b b; row 1: a b b; row 2, which is 30.5, 20.5 and 29.5 degrees from the
    others: a b a; row 3: b a a. The first neighbour is right for 3 of 4.
    """
    quality = rankings(at_angles(0, 10, 30.5, 60), np.array([0, 0, 1, 1])).quality()

    assert quality.n_queries == 4
    assert quality.p_at_1 == pytest.approx(3 / 4)
    assert quality.r_precision == pytest.approx(3 / 4)
    assert quality.mean_average_precision == pytest.approx((1 + 1 + 1 / 2 + 1) / 4)
    assert quality.p_at_10 == pytest.approx(1 / 3)
    assert quality.chance == pytest.approx(1 / 3)


def test_a_label_of_its_own_is_no_query_but_still_an_answer():
    """Of a, a, c the two a's are queries; c between them takes their first place."""
    quality = rankings(at_angles(0, 10, 4), np.array([0, 0, 1])).quality()

    assert quality.n_queries == 2
    assert quality.p_at_1 == 0
    assert quality.mean_average_precision == pytest.approx(1 / 2)


def test_labels_that_nobody_shares_are_refused():
    """There is nothing to measure, and the sentence says so."""
    with pytest.raises(BadLabels, match="No two labelled pictures share"):
        rankings(at_angles(0, 10, 20), np.array([0, 1, 2]))


@pytest.fixture
def snapshot(tmp_path, unit_vectors):
    """Give a snapshot of 3 pictures, 0.png to 2.png."""
    data = DataFolder(tmp_path / "data")
    publish_vectors(data, unit_vectors(3))
    with data.open_current() as opened:
        yield opened


def test_labels_are_read_by_path(snapshot, tmp_path):
    """Unknown paths and empty labels are passed over; the column may be chosen."""
    file = tmp_path / "labels.csv"
    file.write_text("path,species,sex\n0.png,fox,f\n2.png,,m\nother.png,lion,m\n")

    assert labels_of(snapshot, str(file)) == {0: "fox"}
    assert labels_of(snapshot, str(file), "sex") == {0: "f", 2: "m"}
    assert labels_of(snapshot, "folders") == {0: ".", 1: ".", 2: "."}


def test_lines_without_a_picture_are_counted(snapshot, tmp_path):
    """A path that is misspelt is not silently passed over."""
    file = tmp_path / "labels.csv"
    file.write_text("path,species\n0.png,fox\nother.png,lion\n1.jpg,owl\n")
    said = []

    assert labels_of(snapshot, str(file), say=said.append) == {0: "fox"}
    assert said == ["labels: 2 lines match no picture (the first: 'other.png')"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,species\n0.png,fox\n", "line 1 has no column `path`"),
        ("path,species\n0.png\n", "line 2 has 1 value for 2 columns"),
        ("path\n0.png\n", "needs the columns `path` and `a label`"),
        ("path,species\nelse/0.png,fox\n", "labels none of the pictures"),
    ],
)
def test_labels_that_cannot_be_used_are_explained(snapshot, tmp_path, text, sentence):
    """The sentence says which column or which paths are wanted."""
    (tmp_path / "labels.csv").write_text(text)

    with pytest.raises((BadLabels, BadTable), match=sentence):
        labels_of(snapshot, str(tmp_path / "labels.csv"))


def test_a_labels_file_that_is_missing_is_named(snapshot, tmp_path):
    """No traceback for a wrong path."""
    with pytest.raises(BadTable, match="nowhere.csv cannot be read"):
        labels_of(snapshot, str(tmp_path / "nowhere.csv"))


def test_classes_are_measured_one_by_one_the_worst_first():
    """Average precisions are 1, 1 for a and 1/2, 1 for b; each is only mistaken for the other."""
    found = rankings(at_angles(0, 10, 30.5, 60), np.array([0, 0, 1, 1]), ["a", "b"]).per_class()

    assert [(one.label, one.n_queries, one.mistaken_for) for one in found] == [
        ("b", 2, "a"),
        ("a", 2, "b"),
    ]
    assert [one.mean_average_precision for one in found] == pytest.approx([3 / 4, 1])
    assert [one.p_at_1 for one in found] == pytest.approx([1 / 2, 1])
    assert [one.p_at_10 for one in found] == pytest.approx([1 / 3, 1 / 3])


def test_the_worst_query_and_its_neighbours_are_known():
    """Row 2, at 30.5 degrees, has the lower average precision; its order is 1, 3, 0."""
    found = rankings(at_angles(0, 10, 30.5, 60), np.array([0, 0, 1, 1]))

    place = found.worst(1)[0]

    assert found.queries[place] == 2
    assert found.nearest[place].tolist() == [1, 3, 0]
    assert found.codes[found.nearest[place]].tolist() == [0, 1, 0]


def test_blocks_of_queries_change_nothing(monkeypatch, unit_vectors):
    """Ranked three at a time or all at once, every figure is the same."""
    vectors, codes = unit_vectors(20), np.arange(20) % 4
    whole = rankings(vectors, codes)
    monkeypatch.setattr("indexer.quality.label_scores.BLOCK", 3)

    parts = rankings(vectors, codes)

    np.testing.assert_array_equal(parts.nearest, whole.nearest)
    assert parts.quality() == whole.quality()
