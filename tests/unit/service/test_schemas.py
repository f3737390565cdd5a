from __future__ import annotations

import base64
import json

import pytest

from service.errors import InvalidRequest, MalformedBody
from service.schemas import (
    BatchBody,
    Bounds,
    Options,
    SearchBody,
    decode_base64,
    from_fields,
    from_json,
)


def body_error(**body):
    """Return the details that a JSON search is refused with."""
    with pytest.raises(InvalidRequest) as raised:
        from_json(SearchBody, json.dumps(body).encode())
    return raised.value.details


def test_defaults_are_those_of_the_contract():
    """Ten answers from the first on, the picture itself among them, no vectors."""
    body = from_json(SearchBody, b'{"id": "a"}')
    assert (body.limit, body.offset, body.score_threshold) == (10, 0, None)
    assert (body.include_self, body.with_vector) == (True, False)


@pytest.mark.parametrize("text", [b"", b"{", b"{'id': 1}", b'"\xff"', b"[" * 100_000], ids=repr)
def test_what_is_no_json_is_malformed(text):
    """A body that cannot be parsed is told from one that does not fit."""
    with pytest.raises(MalformedBody):
        from_json(SearchBody, text)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"id": "a", "limit": 0}, "limit"),
        ({"id": "a", "limit": 1001}, "limit"),
        ({"id": "a", "limit": "10"}, "limit"),
        ({"id": "a", "limit": 1.5}, "limit"),
        ({"id": "a", "offset": -1}, "offset"),
        ({"id": "a", "offset": 10**30}, "offset"),
        ({"id": "a", "score_threshold": 1.01}, "score_threshold"),
        ({"id": "a", "score_threshold": float("nan")}, "score_threshold"),
        ({"id": "a", "include_self": "yes"}, "include_self"),
        ({"id": 7}, "id"),
        ({"vector": [1, "x"]}, "vector.1"),
        ({"vector": [1, float("inf")]}, "vector.1"),
        ({"id": "a", "colour": "red"}, "colour"),
    ],
)
def test_wrong_field_is_named(body, field):
    """Every field problem says which field, in words."""
    ((name, message),) = body_error(**body)
    assert name == field
    assert message
    assert "Input" not in message


@pytest.mark.parametrize(
    "body", [{}, {"id": "a", "vector": [1.0]}, {"id": None}], ids=["none", "two", "null"]
)
def test_exactly_one_query_is_asked_for(body):
    """Neither none nor two queries are taken."""
    ((name, message),) = body_error(**body)
    assert name == ""
    assert message.startswith("give exactly one of id, image, vector and positive")


def test_list_instead_of_an_object_does_not_fit():
    """JSON of another shape is JSON, but invalid."""
    with pytest.raises(InvalidRequest):
        from_json(SearchBody, b"[1]")


def test_few_details_for_many_mistakes():
    """A vector of 4096 words is answered with ten lines."""
    assert len(body_error(vector=["x"] * 4096)) == 10


def test_form_fields_are_text():
    """In a form or an address, numbers and claims come as text."""
    fields = {"limit": ["3"], "score_threshold": ["0.5"], "include_self": ["false"]}
    options = from_fields(Options, fields)
    assert (options.limit, options.score_threshold, options.include_self) == (3, 0.5, False)


def test_field_that_comes_twice_is_refused():
    """Of two limits neither is silently dropped."""
    with pytest.raises(InvalidRequest, match="limit: is given more than once"):
        from_fields(Options, {"limit": ["3", "4"]})


@pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
def test_base64_is_read_with_or_without_a_head(head):
    """What a browser's FileReader gives is taken as it is."""
    assert decode_base64(head + base64.b64encode(b"\x00picture").decode()) == b"\x00picture"


@pytest.mark.parametrize("text", ["a", "äöü=", "ab$c"])
def test_what_is_no_base64_is_refused(text):
    """The field is named."""
    with pytest.raises(InvalidRequest, match="image: is not valid base64"):
        decode_base64(text)


@pytest.mark.parametrize("limit", [1000, 1001])
def test_bounds_are_those_of_the_operator(limit):
    """1,000 answers unless it was set otherwise; what is too much is said with the bound."""
    body, fields = json.dumps({"id": "a", "limit": limit}).encode(), {"limit": [str(limit)]}
    assert from_json(SearchBody, body, Bounds(limit=1001)).limit == limit
    assert from_fields(Options, fields, Bounds(limit=1001)).limit == limit
    with pytest.raises(InvalidRequest) as caught:
        from_json(SearchBody, body, Bounds(limit=999))
    assert caught.value.details == [("limit", "should be less than or equal to 999")]
    with pytest.raises(InvalidRequest) as caught:
        from_fields(Options, fields, Bounds(limit=999))
    assert caught.value.details == [("limit", "should be less than or equal to 999")]


def test_batch_is_bounded_by_the_operator():
    """Three searches where two are allowed."""
    body = json.dumps({"searches": [{}, {}, {}]}).encode()
    assert len(from_json(BatchBody, body, Bounds(batch=3)).searches) == 3
    with pytest.raises(InvalidRequest) as caught:
        from_json(BatchBody, body, Bounds(batch=2))
    assert caught.value.details == [("searches", "should have at most 2 items")]
