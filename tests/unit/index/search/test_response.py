from __future__ import annotations

import json

import numpy as np
import pytest

from index.search.queries import query_of_row
from index.search.ranking import Options
from index.search.response import respond


def test_response_has_the_fields_of_the_contract(colours):
    """The JSON value of the response, in full, but for its duration."""
    value = respond(colours, query_of_row(colours, 1), Options(limit=1)).as_dict()
    assert value.pop("time_ms") >= 0
    assert json.loads(json.dumps(value)) == {
        "snapshot": colours.id,
        "mode": "cached",
        "total": 4,
        "results": [
            {
                "id": colours.catalogue.image(1).id,
                "score": 1.0,
                "path": "1.png",
                "cluster": None,
                "width": 8,
                "height": 8,
                "thumbnail_url": None,
                "metadata": {},
            }
        ],
    }


@pytest.mark.parametrize("root", ["", "/lookalike"])
def test_thumbnail_url_begins_with_the_root_of_the_service(colours, root, monkeypatch):
    """The path is that of the API, below wherever the service is reached."""
    monkeypatch.setattr(colours, "thumbnails", object())
    value = respond(colours, query_of_row(colours, 1), Options(limit=1)).as_dict(root)
    image_id = colours.catalogue.image(1).id
    assert value["results"][0]["thumbnail_url"] == f"{root}/api/v1/images/{image_id}/thumbnail"


def test_vectors_are_those_stored(colours):
    """`with_vector` gives each result its own vector, and else none is read."""
    query = query_of_row(colours, 1)
    for result in respond(colours, query, Options(with_vector=True)).results:
        stored = colours.store.vectors(np.array([result.image.row]))[0]
        np.testing.assert_array_equal(result.vector, stored)
    plain = respond(colours, query, Options())
    assert all(result.vector is None for result in plain.results)
    assert all("vector" not in result for result in plain.as_dict()["results"])


def test_offset_beyond_the_end_is_an_empty_page(colours):
    """A page after the last is empty, its total still right."""
    found = respond(colours, query_of_row(colours, 0), Options(offset=1_000_000))
    assert (found.results, found.total) == ([], 4)
