"""The results for a picture in the collection."""

from __future__ import annotations

import re

import pytest

from service.settings import Settings
from service.web.results import N_RESULTS
from tests.helpers.pages import result_ids

RIGHT_HALF = {"left": "50", "top": "0", "right": "100", "bottom": "100"}


def test_next_page_continues(large_client):
    """The second page continues where the first ends."""
    image_id = large_client.get("/api/v1/images?offset=2&limit=1").json["images"][0]["id"]
    first = large_client.get(f"/similar/{image_id}").text
    (link,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = large_client.get(link.replace("&amp;", "&")).text
    shown = result_ids(first) + result_ids(second)
    assert len(shown) == len(set(shown)) == N_RESULTS + 9
    assert "Page 2 of 2" in second
    (back,) = re.findall(r'rel="prev" href="([^"]+)"', second)
    assert result_ids(large_client.get(back).text) == result_ids(first)


def test_metadata_is_shown_escaped(client, ids):
    """The query picture and each result show their metadata as text."""
    own = client.get(f"/similar/{ids['later/black.png']}").text
    assert "<dt>mood</dt><dd>&lt;i&gt;dark&lt;/i&gt;</dd>" in own
    among = client.get(f"/similar/{ids['000.png']}").text
    assert ">mood: &lt;i&gt;dark&lt;/i&gt;</span>" in among
    assert "<dl" not in among
    assert "<i>" not in own + among


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, "yes"), (False, "no"), ([1, "two"], "1, two"), (2.5, "2.5"), ("", ""), ("a,b", "a,b")],
)
def test_metadata_of_every_kind_is_shown(place, app_of, value, shown):
    """Booleans are shown as words, lists with commas, and other values unchanged."""
    place.publish(metadata={"000.png": {"key": value}})
    client = app_of(Settings(data=place.data.root)).test_client()
    image = client.get("/api/v1/images?limit=1").json["images"][0]
    page = client.get(f"/similar/{image['id']}").text
    assert f"<dt>key</dt><dd>{shown}</dd>" in page


def test_region_has_an_address(client, ids):
    """A search with a region can be linked to, and the whole picture is one click away."""
    own = f"/similar/{ids['003.png']}"
    page = client.get(own, query_string=RIGHT_HALF)
    assert page.status_code == 200
    assert "32 × 48 pixels" in page.text
    body = {"id": ids["003.png"], "region": [0.5, 0, 0.5, 1], "limit": N_RESULTS}
    api = client.post("/api/v1/search", json=body).json
    assert result_ids(page.text) == [one["id"] for one in api["results"]]
    assert f'<a href="{own}">Search with the whole picture</a>' in page.text
    assert (
        client.get(own, query_string=dict.fromkeys(RIGHT_HALF, "")).text.count("data-region>") == 1
    )


@pytest.mark.parametrize(
    ("edges", "sentence"),
    [
        ({"left": "60", "right": "40"}, "The left edge must be less than the right"),
        ({"left": "-1"}, "left should be greater than or equal to 0"),
        ({"top": "99"}, "select at least 8 x 8"),
    ],
)
def test_invalid_region(client, ids, edges, sentence):
    """The page says what is wrong with the edges."""
    page = client.get(f"/similar/{ids['003.png']}", query_string=edges)
    assert page.status_code == 422
    assert sentence in page.text


def test_region_of_a_picture_whose_file_is_missing(client, place, ids):
    """A region needs the original. Without it, the page says so."""
    (place.pictures / "003.png").unlink()
    page = client.get(f"/similar/{ids['003.png']}", query_string=RIGHT_HALF)
    assert page.status_code == 404
    assert "003.png was not found in the picture folder" in page.text
