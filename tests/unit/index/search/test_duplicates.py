"""Duplicates are stars around the largest picture, whatever the table's k and the rows' order."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.search.duplicates import COLOUR_TOLERANCE, describe, duplicate_groups
from index.search.faiss_store import FaissStore
from index.search.reference import ReferenceStore
from index.search.topk import TopKTable
from index.snapshot import DataFolder
from tests.helpers.matrices import at_angles, unit
from tests.helpers.published import publish_vectors

TEN_DEGREES = np.cos(np.radians(10))


@pytest.fixture
def groups_of(tmp_path):
    """Give a function: vectors, threshold, and how to publish them -> groups as lists of rows."""
    data = DataFolder(tmp_path / "data")

    def find(vectors, threshold, **how):
        publish_vectors(data, vectors, **how)
        with data.open_current() as snapshot:
            return [group.tolist() for group in duplicate_groups(snapshot, threshold)]

    return find


def by_brute_force(vectors, threshold, sizes, fulls, colours):
    """Compare every picture with every other: keepers first, then the members of each."""
    scores = np.round(np.float64(vectors) @ np.float64(vectors).T, 6)
    order = sorted(range(len(vectors)), key=lambda row: (-sizes[row], f"{row}.png"))
    first = {row: next(one for one in order if fulls[one] == fulls[row]) for row in order}
    different = [row for row in order if first[row] == row]
    keepers = []
    keeper_of = {}
    for row in different:
        near = [
            one
            for one in keepers
            if scores[row, one] >= threshold and are_alike(colours[row], colours[one])
        ]
        if near:
            keeper_of[row] = max(near, key=lambda one: (scores[row, one], -keepers.index(one)))
        else:
            keepers.append(row)
            keeper_of[row] = row
    groups = {keeper: [r for r in order if keeper_of[first[r]] == keeper] for keeper in keepers}
    several = [group for group in groups.values() if len(group) > 1]
    return sorted(several, key=lambda group: (-len(group), group[0]))


def are_alike(one, other):
    """Say whether two pictures, each with its single colour or None, may be duplicates."""
    if one is None or other is None:
        return one is other
    levels = zip(bytes.fromhex(one[1:]), bytes.fromhex(other[1:]), strict=True)
    return max(abs(a - b) for a, b in levels) <= COLOUR_TOLERANCE


def test_a_group_is_one_star_and_not_a_chain(groups_of):
    """Within 10 degrees of the keeper: 0 takes 8, and 16 stays alone; 90 takes 91."""
    vectors = at_angles(0, 60, 8, 16, 90, 91)

    assert groups_of(vectors, TEN_DEGREES) == [[0, 2], [4, 5]]


def test_the_largest_picture_is_the_keeper(groups_of):
    """With 8 the largest, it takes 0 and 16, which are within 10 degrees of it."""
    vectors = at_angles(0, 60, 8, 16, 90, 91)

    assert groups_of(vectors, TEN_DEGREES, sizes=[8, 8, 9, 8, 7, 9]) == [[2, 0, 3], [5, 4]]


def test_a_picture_goes_to_the_most_similar_keeper(groups_of):
    """9 is near both 0 and 12, which are not near each other, and joins 12 although 0 is larger."""
    vectors = at_angles(0, 12, 9)

    assert groups_of(vectors, TEN_DEGREES, sizes=[9, 8, 7]) == [[1, 2]]


def test_a_keeper_is_never_smaller_than_a_member(groups_of):
    """9 is nearer to 12 than to 0, but larger than 12: it stays with 0, and 12 is alone."""
    vectors = at_angles(0, 12, 9)

    assert groups_of(vectors, TEN_DEGREES, sizes=[9, 7, 8]) == [[0, 2]]


def test_equal_pictures_are_joined_whatever_the_threshold(groups_of):
    """Byte-identical files are duplicates even above a threshold that nothing reaches."""
    assert groups_of(at_angles(0, 40, 0, 40, 0), 1.1) == [[0, 2, 4], [1, 3]]


def test_equal_pixels_are_joined_at_full_size_only(groups_of):
    """Equal after shrinking is near with score 1; above 1, only the same pixels count."""
    vectors = at_angles(0, 0, 0, 50)
    how = {"pixels": ["p", "p", "p", "q"], "fulls": ["a", "b", "a", "c"]}

    assert groups_of(vectors, 1.1, **how) == [[0, 2]]
    assert groups_of(vectors, 1.0, **how) == [[0, 1, 2]]


def test_pictures_of_schema_1_are_equal_by_their_pixel_digest(groups_of):
    """Without a full digest they go with the first picture of their pixel digest that has one."""
    vectors = at_angles(0, 0, 0, 0, 50)
    how = {"pixels": ["p", "p", "p", "p", "q"], "fulls": [None, "b", None, "a", "c"]}

    assert groups_of(vectors, 1.1, **how) == [[0, 1, 2]]
    assert groups_of(vectors, 1.1, pixels=how["pixels"], fulls=[None] * 5) == [[0, 1, 2, 3]]


def test_a_line_full_of_duplicates_is_searched(groups_of):
    """With k = 2 the table shows each of eight near copies one other; still they are one group."""
    vectors = at_angles(0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 90)

    assert groups_of(vectors, 0.999, top_k=2) == [[0, 1, 2, 3, 4, 5, 6, 7]]


RED, NEARLY_RED, BLUE = "#ff0000", "#f70800", "#0000ff"


@pytest.mark.parametrize(
    ("colours", "wanted"),
    [
        ([RED, RED, BLUE, BLUE], [[0, 1], [2, 3]]),
        ([RED, NEARLY_RED, BLUE, None], [[0, 1]]),
        ([RED, BLUE, None, None], [[2, 3]]),
        (["#000000", "#080808", "#090909", "#ffffff"], [[0, 1]]),
    ],
)
def test_single_colours_are_compared_by_colour(groups_of, colours, wanted):
    """An encoder may give the same vector to all of them: a picture without pattern."""
    fulls = ["a", "b", "c", "d"]
    vectors = at_angles(0, 0, 0, 0)

    assert groups_of(vectors, 0.98, fulls=fulls, colours=colours) == wanted
    assert groups_of(vectors, 0.98, fulls=fulls, colours=colours, top_k=2) == wanted


def test_zero_encodings_are_similar_to_nothing_but_their_colour(groups_of):
    """The constant vector, here at 45 degrees, stands for them; equal pictures stay equal."""
    vectors = at_angles(45, 45, 45, 45, 45, 44)
    fulls = ["a", "b", "b", "c", "d", "e"]
    colours = [None, None, None, "#000000", "#000000", None]

    assert groups_of(vectors, 0.98, fulls=fulls, colours=colours) == [[1, 2], [3, 4]]


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(2, 40),
    k=st.integers(1, 8),
    threshold=st.floats(0.5, 1.05),
    seed=st.integers(0, 2**32 - 1),
)
def test_groups_equal_those_of_brute_force(tmp_path_factory, n, k, threshold, seed):
    """Sizes tie often, some pictures are equal, some have one colour, and k is often too small."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 4, n).tolist()
    shown = rng.integers(0, n, n).tolist()  # what each file shows: some show the same
    vectors = unit(rng.standard_normal((n, 4)))[rng.integers(0, n, n)][shown]  # some score 1
    palette = [None, None, RED, NEARLY_RED, BLUE]
    colour_of = [palette[one] for one in rng.integers(0, len(palette), n)]
    colours, fulls = [colour_of[one] for one in shown], list(map(str, shown))
    data = DataFolder(tmp_path_factory.mktemp("data"))
    publish_vectors(data, vectors, top_k=k, sizes=sizes, pixels=fulls, fulls=fulls, colours=colours)
    with data.open_current() as snapshot:
        found = [group.tolist() for group in duplicate_groups(snapshot, threshold)]
        least = [min(describe(snapshot, np.array(group)).scores) for group in found]

    assert found == by_brute_force(vectors, threshold, sizes, fulls, colours)
    assert min(least, default=threshold) >= min(threshold, 1)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 30), seed=st.integers(0, 2**32 - 1), threshold=st.floats(0.5, 0.99))
def test_the_order_of_the_rows_changes_nothing(tmp_path_factory, n, seed, threshold):
    """Pictures of different sizes form the same groups in whichever rows they are."""
    rng = np.random.default_rng(seed)
    vectors, sizes = unit(rng.standard_normal((n, 3))), rng.permutation(n) + 1
    shuffled = rng.permutation(n)
    found = []
    for rows in (np.arange(n), shuffled):
        data = DataFolder(tmp_path_factory.mktemp("data"))
        publish_vectors(data, vectors[rows], top_k=3, sizes=sizes[rows].tolist())
        with data.open_current() as snapshot:
            groups = duplicate_groups(snapshot, threshold)
        found.append({tuple(rows[group].tolist()) for group in groups})

    assert found[0] == found[1]


class CountingStore(ReferenceStore):
    """A store that counts the vectors that are read from it: one for each comparison."""

    n_read = 0

    def vectors(self, rows):
        """Count the rows."""
        self.n_read += len(rows)
        return super().vectors(rows)


class EqualSizes(SimpleNamespace):
    """A catalogue of different pictures of one size, in the order of their rows."""

    def rows_largest_first(self):
        """Return all rows."""
        return list(range(self.n_images))

    def single_colours(self):
        """Return that no picture has only one colour."""
        return iter([])

    def shared_pixels(self):
        """Return that all pictures are different."""
        return iter([])


def counted_groups(vectors, threshold):
    """Return the groups of vectors, with ten neighbours each, and the number of comparisons."""
    store = CountingStore.from_vectors(vectors)
    table = TopKTable.compute(FaissStore.from_vectors(vectors), 10)
    catalogue = EqualSizes(n_images=len(vectors))
    searchable = SimpleNamespace(store=store, topk=table, catalogue=catalogue)
    return duplicate_groups(searchable, threshold), store.n_read


def test_nearly_equal_frames_need_few_comparisons():
    """20,000 frames of one scene: each is read to look for zeros, roughly scored, and scored."""
    rng = np.random.default_rng(0)
    vectors = unit(np.array([1, 0.5, 0, 0, 0, 0]) + 0.01 * rng.standard_normal((20_000, 6)))

    groups, n_compared = counted_groups(vectors, 0.98)

    assert [len(group) for group in groups] == [20_000]
    assert n_compared <= 3 * 20_000 + 1


def test_a_long_fade_needs_one_pass_for_each_keeper():
    """20,000 frames along a quarter of a circle: 8 groups of 11.5 degrees, not 20,000 passes."""
    vectors = at_angles(*np.linspace(0, 90, 20_000))

    groups, n_compared = counted_groups(vectors, 0.98)

    assert len(groups) == 8
    assert sum(map(len, groups)) == 20_000
    for group in groups:
        scores = vectors[group].astype(np.float64) @ vectors[group[0]].astype(np.float64)
        assert scores.min() >= 0.98 - 5e-7
    assert n_compared <= (1 + 2 * len(groups)) * 20_000


def test_a_group_is_described_with_its_keeper_first(tmp_path):
    """Kind, members and scores with the first one."""
    data = DataFolder(tmp_path / "data")
    publish_vectors(data, at_angles(0, 0, 5))
    with data.open_current() as snapshot:
        exact = describe(snapshot, np.array([0, 1]))
        near = describe(snapshot, np.array([0, 1, 2]))

    assert (exact.kind, [r.row for r in exact.images], exact.scores) == ("exact", [0, 1], [1, 1])
    assert near.kind == "near"
    assert near.scores == [1, 1, round(np.cos(np.radians(5)), 6)]


@pytest.mark.parametrize(
    ("fulls", "kind"),
    [
        (["a", "a", "a"], "pixels"),
        (["a", None, "a"], "pixels"),
        ([None, None, None], "pixels"),
        (["a", "b", "a"], "near"),
        (["a", "b", None], "near"),
    ],
)
def test_pixels_means_equal_at_full_size(tmp_path, fulls, kind):
    """A picture of schema 1 is taken for equal to those that share its pixel digest."""
    data = DataFolder(tmp_path / "data")
    publish_vectors(data, at_angles(0, 0, 0), pixels=["p"] * 3, fulls=fulls)
    with data.open_current() as snapshot:
        assert describe(snapshot, np.arange(3)).kind == kind
