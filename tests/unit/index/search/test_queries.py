from __future__ import annotations

import numpy as np
import pytest

from index.errors import InvalidQuery, UnknownImage
from index.search.queries import (
    query_of_examples,
    query_of_id,
    query_of_picture,
    query_of_row,
    query_of_vector,
)
from index.search.ranking import Options
from index.search.response import respond

UNKNOWN = "0" * 64
DARK_RED = np.float32([[0.8, 0, 0, 0.6], [0, 0, 1, 0]])  # and one crop vector


def never():
    """Fail: this step was not needed."""
    raise AssertionError("computed what was not needed")


def test_known_file_is_neither_decoded_nor_encoded(colours):
    """The digest of the file alone gives the row and its stored vector."""
    query = query_of_picture(colours, colours.catalogue.image(2).sha256, never, never, never)
    assert (query.mode, query.row, query.examples) == ("cached", 2, ())
    np.testing.assert_array_equal(query.vectors, colours.store.vectors(np.array([2])))


def test_known_pixels_are_not_encoded(colours):
    """Another file with the same pixels gives the same query as the row."""
    known = colours.catalogue.image(1)
    query = query_of_picture(
        colours, UNKNOWN, lambda: known.pixel_digest, lambda: known.full_digest, never
    )
    assert (query.mode, query.row) == ("cached", 1)
    np.testing.assert_array_equal(query.vectors, query_of_row(colours, 1).vectors)


def test_picture_that_is_equal_only_after_shrinking_is_encoded(colours):
    """The encoder sees the same pixels, but the pictures are different."""
    digest = colours.catalogue.image(1).pixel_digest
    query = query_of_picture(colours, UNKNOWN, lambda: digest, lambda: UNKNOWN, lambda: DARK_RED)
    assert (query.mode, query.row) == ("encoded", None)


@pytest.mark.parametrize(
    ("full_digests", "row"),
    [
        (["a", "b", "c"], 1),
        (["b", "b", "b"], 0),
        (["a", "c", "d"], None),
        ([None, "b", "b"], 1),
        (["a", None, "c"], 1),
        (["a", None, None], 1),
        ([None, None, None], 0),
    ],
)
def test_full_digest_decides_among_equal_pixel_digests(snapshot_of, full_digests, row):
    """The same picture first; else a row of schema 1, which has no full digest; else none."""
    snapshot = snapshot_of(
        [[0, 1]] * 3 + [[1, 0]], pixels="p" * 3 + "q", fulls=[*full_digests, "b"]
    )
    full = never if set(full_digests) == {None} else lambda: "b"
    query = query_of_picture(snapshot, UNKNOWN, lambda: "p", full, lambda: np.float32([[1, 0]]))
    assert query.row == row
    assert query.mode == ("encoded" if row is None else "cached")


def test_unknown_picture_is_encoded(colours):
    """The vectors are those given: the picture's own, then its crop vectors."""
    query = query_of_picture(colours, UNKNOWN, lambda: UNKNOWN, never, lambda: DARK_RED)
    assert (query.mode, query.row) == ("encoded", None)
    np.testing.assert_array_equal(query.vectors, DARK_RED)
    np.testing.assert_array_equal(query.vector, DARK_RED[0])


def test_of_copies_the_lowest_row_is_recognised(snapshot_of):
    """A picture that the collection has twice is the first of the two."""
    snapshot = snapshot_of([[0, 1], [1, 0], [1, 0]])
    query = query_of_picture(snapshot, snapshot.catalogue.image(2).sha256, never, never, never)
    assert query.row == 1


def test_unknown_id_is_an_error(colours):
    """An id that the collection does not have is named."""
    with pytest.raises(UnknownImage, match="ffff"):
        query_of_id(colours, "ffff")


def test_vector_is_normalised(colours):
    """A vector ten times as long finds the same as the unit one; it is no stored picture's."""
    query = query_of_vector(colours, [0, 0, 0, 10.0])
    found = respond(colours, query, Options(include_self=False))
    assert query.mode == "vector"
    assert [one.image.row for one in found.results] == [0, 1, 2, 3]
    assert found.results[0].score == 1.0


def test_huge_vector_is_normalised_without_overflow(colours):
    """Numbers whose squares are beyond a float64 still have a direction."""
    query = query_of_vector(colours, [1e300, 0, 0, 0.5e300])
    np.testing.assert_allclose(query.vector, [2 / np.sqrt(5), 0, 0, 1 / np.sqrt(5)], rtol=1e-6)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([1, 0, 0], "has 3 numbers: the vectors of this collection have 4"),
        ([0, 0, 0, 0], "not 0"),
        ([1, 0, 0, float("inf")], "finite"),
    ],
    ids=["length", "zero", "infinite"],
)
def test_vector_without_direction_is_refused(colours, numbers, words):
    """The error names the field and says what is wrong with it."""
    with pytest.raises(InvalidQuery, match=words) as raised:
        query_of_vector(colours, numbers)
    assert raised.value.field == "vector"


def test_examples_that_leave_no_direction_are_refused(snapshot_of):
    """Opposite pictures have no middle, and twice the one less the other way may be nothing."""
    snapshot = snapshot_of([[1, 0], [-1, 0], [0, 1]])
    ids = [snapshot.catalogue.image(row).id for row in range(3)]
    with pytest.raises(InvalidQuery, match="no direction") as raised:
        query_of_examples(snapshot, ids[:2], [])
    assert raised.value.field == "negative"
    query = query_of_examples(snapshot, ids[:2], ids[2:])
    np.testing.assert_allclose(query.vector, [0, -1], atol=1e-7)
    assert (query.examples, query.mode, query.row) == ((0, 1, 2), "vector", None)
