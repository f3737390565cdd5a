from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.artefacts.clusters import Clusters
from index.catalogue import Catalogue, ImageRecord, write_catalogue
from index.errors import InvalidQuery
from index.search.filters import Condition, Filter, Match, Range, passing_rows
from index.search.metadata_index import MetadataIndex

N = 40
PATHS = ["cats/a", "cats/b", "cats", "dogs/a", "Ö/a", "o"]
MOODS = ["calm", "wild", 1, 1.0, True, 2.5, "1", None, ["calm", 7], [], {"calm": 1}]


@dataclass
class Stored:
    """As much of a snapshot as a filter looks at."""

    catalogue: Catalogue
    clusters: Clusters | None
    metadata: MetadataIndex

    def __len__(self):
        return len(self.catalogue)


def record_of(row):
    """Return a picture of a kind that comes again after several others."""
    metadata = {} if row % 3 == 0 else {"mood": MOODS[row % len(MOODS)], "a.b": row}
    return ImageRecord(
        row, f"{row:016x}", f"{PATHS[row % len(PATHS)]}{row}", "", "", 1, 1,
        100 + row % 7, 200 - row % 5, "PNG", metadata,
    )  # fmt: skip


RECORDS = [record_of(row) for row in range(N)]
LABELS = np.arange(N, dtype=np.int32) % 4


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Give forty pictures in four groups, with metadata of every kind."""
    folder = tmp_path_factory.mktemp("stored")
    write_catalogue(folder / "catalogue.sqlite", RECORDS)
    catalogue = Catalogue.open(folder)
    scores = np.ones(N, np.float32)
    clusters = Clusters(LABELS, np.arange(4), scores, 0.0, "fasterpam", 0, 0.0)
    yield Stored(catalogue, clusters, MetadataIndex(catalogue.metadata()))
    catalogue.close()


def condition_of(one):
    """Return the condition that is given in the form of the HTTP API."""
    if "match" in one:
        return Condition(one["key"], Match(one["match"]["value"]))
    return Condition(one["key"], Range(**one["range"]))


def found(stored, wanted):
    """Return the rows that pass a filter, given in the form of the HTTP API."""
    lists = {name: tuple(map(condition_of, some)) for name, some in wanted.items()}
    return passing_rows(stored, Filter(**lists)).tolist()


def values_of(record, key):
    """Return what one picture has under a key."""
    if key == "cluster":
        return [int(LABELS[record.row])]
    if not key.startswith("metadata."):
        return [getattr(record, key)]
    value = record.metadata.get(key.removeprefix("metadata."))
    return value if isinstance(value, list) else [value]


def is_number(value):
    """Say whether a value can be compared with numbers; True cannot."""
    return type(value) in (int, float)


def holds(record, condition):
    """Say whether one picture meets one condition, in the plainest way."""
    values = values_of(record, condition["key"])
    if "match" in condition:
        wanted = condition["match"]["value"]
        if condition["key"] == "path":
            return record.path.startswith(wanted)
        return any(is_number(v) == is_number(wanted) and v == wanted for v in values)
    least, most = (condition["range"].get(end) for end in ("gte", "lte"))
    return any(
        is_number(v) and (least is None or v >= least) and (most is None or v <= most)
        for v in values
    )


def passes(record, wanted):
    """Say whether one picture passes a filter: the brute-force twin."""
    should = wanted.get("should", [])
    return (
        all(holds(record, one) for one in wanted.get("must", []))
        and not any(holds(record, one) for one in wanted.get("must_not", []))
        and (not should or any(holds(record, one) for one in should))
    )


def matches(key, value):
    """Return the condition that a key has a value."""
    return {"key": key, "match": {"value": value}}


numbers = st.one_of(st.integers(-1, 205), st.sampled_from([0.5, 2.5, 102.5, -1e300, 2**62, 2**70]))
ranges = st.fixed_dictionaries({}, optional={"gte": numbers, "lte": numbers})
conditions = st.one_of(
    st.builds(matches, st.sampled_from(["cluster", "width", "height"]), numbers),
    st.builds(
        matches, st.just("path"), st.sampled_from(["", "cats", "cats/", "d", "Ö", "x", "ca"])
    ),
    st.builds(
        matches,
        st.sampled_from(["metadata.mood", "metadata.a.b"]),
        st.sampled_from(["calm", "wild", "1", 1, True, False, 2.5, 7, 10]),
    ),
    st.builds(
        lambda key, bounds: {"key": key, "range": bounds},
        st.sampled_from(["cluster", "width", "height", "metadata.mood", "metadata.a.b"]),
        ranges,
    ),
)
some = st.lists(conditions, max_size=3)
filters = st.fixed_dictionaries({}, optional={"must": some, "should": some, "must_not": some})


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(wanted=filters)
def test_filter_passes_what_the_plain_way_passes(stored, wanted):
    """Any filter lets through exactly the pictures that a loop over all of them finds."""
    assert found(stored, wanted) == [r.row for r in RECORDS if passes(r, wanted)]


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({}, range(N)),
        ({"must": [matches("cluster", 1)]}, range(1, N, 4)),
        ({"must": [matches("path", "cats/")]}, [r for r in range(N) if r % 6 in (0, 1)]),
        ({"must": [matches("metadata.mood", 1)]}, [2, 13, 14, 25, 35]),
        ({"must": [matches("metadata.mood", True)]}, [4, 26, 37]),
        ({"must": [matches("metadata.mood", "calm")]}, [8, 11, 19, 22]),
        ({"must": [{"key": "metadata.a.b", "range": {"gte": 37}}]}, [37, 38]),
        ({"should": [matches("width", 106), matches("height", 196)], "must_not": []},
         sorted({*range(6, N, 7), *range(4, N, 5)})),
        ({"must_not": [{"key": "width", "range": {"lte": 105}}]}, range(6, N, 7)),
    ],
)  # fmt: skip
def test_filter_worked_out_by_hand(stored, wanted, rows):
    """Numbers, truth values and texts are told apart; of a list each element counts."""
    assert found(stored, wanted) == list(rows)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (matches("colour", 1), "unknown key 'colour': the keys are cluster, path, width, height, "
         "metadata.a.b, metadata.mood"),
        (matches("mood", 1), "unknown key 'mood'"),
        (matches("metadata.none", 1), "unknown key 'metadata.none'"),
        (matches("width", "wide"), "width must be a number, not 'wide'"),
        (matches("height", True), "height must be a number, not True"),
        (matches("path", 7), "path needs a match"),
        ({"key": "path", "range": {"gte": 1}}, "path needs a match"),
    ],
)  # fmt: skip
def test_condition_that_cannot_be_asked_says_why(stored, condition, words):
    """A key that there is not is answered with those that there are."""
    for name in ("must", "should", "must_not"):
        with pytest.raises(InvalidQuery) as raised:
            found(stored, {name: [condition]})
        assert words in raised.value.reason
        assert raised.value.field == "filter"


def test_many_keys_are_not_all_named(stored):
    """The sentence stays readable where every picture has keys of its own."""
    metadata = MetadataIndex([(0, {f"key{number:03}": 1 for number in range(500)})])
    with pytest.raises(InvalidQuery, match=r"metadata\.key015 and 484 more"):
        found(replace(stored, metadata=metadata), {"must": [matches("x", 1)]})


def test_cluster_without_groups(stored):
    """Without groups, a condition on the cluster is an error, instead of finding nothing."""
    with pytest.raises(InvalidQuery, match="no groups yet"):
        found(replace(stored, clusters=None), {"must": [matches("cluster", 0)]})


@pytest.mark.parametrize("key", ["gr\u00f6\u00dfe", "gro\u0308\u00dfe"])
@pytest.mark.parametrize("value", ["\u00fcber", "u\u0308ber"])
def test_metadata_is_compared_by_its_normal_form(stored, key, value):
    """Keys and texts with accents are the same however they are written."""
    forms = {"gro\u0308\u00dfe": ["u\u0308ber", 1]}, {"gr\u00f6\u00dfe": "\u00fcber"}, {"x": value}
    index = MetadataIndex(enumerate(forms))
    assert found(
        replace(stored, metadata=index), {"must": [matches(f"metadata.{key}", value)]}
    ) == [
        0,
        1,
    ]
