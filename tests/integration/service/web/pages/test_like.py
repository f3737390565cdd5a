"""The results for several ticked pictures."""

from __future__ import annotations

import re

import pytest

from service.settings import Settings
from service.web.results import N_RESULTS
from tests.helpers.pages import RED, Page, result_ids
from tests.helpers.pictures import write_pictures

LIKE = "/like?positive={}&positive={}&negative={}"


def test_ticked_pictures_give_the_results_of_the_api(client, ids):
    """The page has the API's results, without the ticked pictures, which stay ticked."""
    wanted = [ids["000.png"], ids["003.png"], ids[RED]]
    page = client.get(LIKE.format(*wanted))
    body = {"positive": wanted[:2], "negative": wanted[2:], "limit": N_RESULTS}
    api = client.post("/api/v1/search", json=body).json
    assert result_ids(page.text) == [one["id"] for one in api["results"]]
    assert not set(result_ids(page.text)) & set(wanted)
    boxes = [attrs for tag, attrs in Page(page.text).tags if attrs.get("type") == "checkbox"]
    ticked = [(box["name"], box["value"]) for box in boxes if "checked" in box]
    assert ticked == [("positive", wanted[0]), ("positive", wanted[1]), ("negative", wanted[2])]
    assert len(boxes) == 2 * (len(wanted) + len(api["results"]))


@pytest.mark.parametrize(
    ("address", "status", "sentence"),
    [
        ("/like", 422, "Tick “like” on at least one picture."),
        ("/like?negative=0", 422, "Tick “like” on at least one picture."),
        ("/like?positive=0", 404, "no picture of the collection has the id"),
        ("/like?" + "&".join(["positive=0"] * 65), 422, "at most 64"),
    ],
)
def test_invalid_ticks(client, address, status, sentence):
    """The page says what to do."""
    page = client.get(address)
    assert page.status_code == status
    assert sentence in page.text


def test_next_page_keeps_the_ticks(place, app_of):
    """The links to other pages carry all examples, and each other picture appears once."""
    write_pictures(place.pictures, 40)
    place.publish()
    client = app_of(Settings(data=place.data.root)).test_client()
    images = client.get("/api/v1/images?limit=3").json["images"]
    wanted = [image["id"] for image in images]
    first = client.get(LIKE.format(*wanted)).text
    (address,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = client.get(address.replace("&amp;", "&")).text
    shown = result_ids(first) + result_ids(second)
    assert len(shown) == len(set(shown)) == 43 - 3
    assert not set(shown) & set(wanted)
