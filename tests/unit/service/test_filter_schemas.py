from __future__ import annotations

import json

import pytest

from index.search import filters
from service.errors import InvalidRequest
from service.schemas import Filter, FilteredPage, from_fields, from_json


def matches(key, value):
    """Return the condition that a key has a value."""
    return {"key": key, "match": {"value": value}}


@pytest.mark.parametrize("value", ["calm", "1", 1, 1.0, True, False, -(2**63), 2.5])
def test_value_keeps_its_type_on_the_way_to_the_search(value):
    """A text, a number and a boolean that Python calls equal stay apart."""
    body = json.dumps({"must": [matches("metadata.mood", value)]}).encode()
    (condition,) = from_json(Filter, body).to_search().must
    assert condition.test.value == value
    assert type(condition.test.value) is type(value)


def test_filter_becomes_a_plain_value():
    """Each list keeps its conditions in order; an end that is not given is None."""
    wanted = {
        "must": [matches("path", "cats/"), {"key": "width", "range": {"gte": 1}}],
        "should": [{"key": "cluster", "range": {"lte": 2.5}}],
        "must_not": [matches("cluster", 3)],
    }
    assert from_json(Filter, json.dumps(wanted).encode()).to_search() == filters.Filter(
        must=(
            filters.Condition("path", filters.Match("cats/")),
            filters.Condition("width", filters.Range(gte=1)),
        ),
        should=(filters.Condition("cluster", filters.Range(lte=2.5)),),
        must_not=(filters.Condition("cluster", filters.Match(3)),),
    )


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"musst": []}, "musst"),
        ({"must": {}}, "must"),
        ({"must": [{"key": "path"}]}, "must.0"),
        ({"must": [matches("path", "a") | {"range": {}}]}, "must.0"),
        ({"must": [{"match": {"value": 1}}]}, "must.0.key"),
        ({"must": [{"key": "width", "range": {"gt": 1}}]}, "must.0.range.gt"),
        ({"must": [{"key": "width", "range": {"gte": "1"}}]}, "must.0.range.gte"),
        ({"must": [{"key": "width", "range": {"gte": float("nan")}}]}, "must.0.range.gte"),
        ({"should": [matches("path", "a")] * 101}, "should"),
    ],
)
def test_ill_formed_filter_names_its_field(wanted, field):
    """What does not fit is named by its place, in a body and in an address alike."""
    with pytest.raises(InvalidRequest) as in_body:
        from_json(FilteredPage, json.dumps({"filter": wanted}).encode())
    with pytest.raises(InvalidRequest) as in_address:
        from_fields(FilteredPage, {"filter": [json.dumps(wanted)]})
    for raised in (in_body, in_address):
        assert raised.value.details[0][0] == f"filter.{field}"


@pytest.mark.parametrize("value", [None, [1], {}, float("inf")])
def test_value_that_nothing_can_equal_is_refused(value):
    """A value is a text, a number that a computer holds, or true or false."""
    with pytest.raises(InvalidRequest):
        from_json(Filter, json.dumps({"must": [matches("path", value)]}).encode())


@pytest.mark.parametrize("text", ["", "{", "{'must': []}", "\ud800"])
def test_filter_that_is_no_json(text):
    """In a form or an address it is a field like others: invalid, not malformed."""
    with pytest.raises(InvalidRequest, match="filter: is not valid JSON"):
        from_fields(FilteredPage, {"filter": [text]})


def test_filter_in_an_address_is_the_one_in_a_body():
    """Both ways give the same filter."""
    wanted = {"must": [matches("path", "a")], "must_not": [{"key": "width", "range": {"lte": 3}}]}
    body = from_json(FilteredPage, json.dumps({"filter": wanted}).encode())
    assert from_fields(FilteredPage, {"filter": [json.dumps(wanted)]}) == body
