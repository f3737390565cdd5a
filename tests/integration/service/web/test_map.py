"""The map over HTTP and as a page."""

import io
import re

import numpy as np
import pytest

from service.api.schemas import MapPoint
from service.settings import Settings
from service.web import map_drawing

PLACES = np.linspace(0, 1, 26).reshape(13, 2).astype(np.float32)


@pytest.fixture
def map_client(place, app_of):
    """Give a function -> client of 13 pictures with a map."""
    content = io.BytesIO()
    np.save(content, PLACES)

    def make(**how):
        place.publish(files={"map.npy": content.getvalue()}, **how)
        return app_of(Settings(data=place.data.root)).test_client()

    return make


def test_places_are_told_in_pages(map_client):
    """In the order of rows, five decimals, with group, path and thumbnail."""
    client = map_client(n_clusters=3)
    answer = client.get("/api/v1/map?limit=5&offset=4").json
    assert answer["total"] == 13
    assert len(answer["points"]) == 5
    images = client.get("/api/v1/images?limit=5&offset=4").json["images"]
    for point, image, (x, y) in zip(answer["points"], images, PLACES[4:9], strict=True):
        assert (point["x"], point["y"]) == (round(float(x), 5), round(float(y), 5))
        assert {k: image[k] for k in ("id", "path", "cluster", "thumbnail_url")}.items() <= (
            point.items()
        )


def test_filter_leaves_only_what_passes(map_client):
    """As on the list of pictures."""
    client = map_client()
    wanted = '{"must": [{"key": "path", "match": {"value": "later/"}}]}'
    answer = client.get("/api/v1/map", query_string={"filter": wanted}).json
    assert [point["path"] for point in answer["points"]] == [
        "later/black.png",
        "later/red & <b>.png",
    ]


def test_page_has_a_link_for_each_picture(map_client):
    """The dots, and the three that stand for groups; names are escaped."""
    page = map_client(n_clusters=3).get("/map")
    assert page.status_code == 200
    assert page.text.count("<circle") == 13
    assert page.text.count("<rect") == 3
    assert "<title>later/red &amp; &lt;b&gt;.png</title>" in page.text
    assert "All 13 pictures" in page.text


def test_one_group_stands_out(map_client):
    """The others are grey, and no landmarks hide it."""
    client = map_client(n_clusters=3)
    size = client.get("/api/v1/clusters").json["clusters"][1]["size"]
    page = client.get("/map?cluster=1").text
    assert page.count('class="off"') == 13 - size
    assert page.count("<rect") == 0
    assert re.search(r'<option value="1" selected>', page)


def test_without_groups_there_are_dots_only(map_client):
    """No form for groups, no landmarks."""
    page = map_client(thumbnails=False).get("/map").text
    assert page.count("<circle") == 13
    assert "<rect" not in page
    assert "<select" not in page
    assert "data-picture" not in page


def test_without_a_map_it_is_said(client):
    """A 404 with a sentence in the API; the page says it, too, and what to do."""
    answer = client.get("/api/v1/map")
    assert (answer.status_code, answer.json["error"]["code"]) == (404, "not_found")
    assert "no map has been made yet" in answer.json["error"]["message"]
    page = client.get("/map")
    assert page.status_code == 200
    assert "Run this on the server to make the map" in page.text


def test_drawing_is_upright_and_inside():
    """A y of 1 is on top; nothing reaches over the edge."""
    corners = [
        MapPoint(id="a", path="a", x=x, y=y, cluster=None, thumbnail_url=None)
        for x, y in ((0, 0), (1, 1))
    ]
    low, high = map_drawing.draw(corners)
    assert (low.x, low.y) == (high.y, high.x)
    assert 0 < low.x < high.x < map_drawing.SIDE


class Large:
    """Stand for a snapshot of many pictures in two groups, the second one small."""

    def __init__(self, n, n_second):
        self.n = n
        self.clusters = type("Groups", (), {"labels": np.repeat([0, 1], [n - n_second, n_second])})

    def __len__(self):
        return self.n


def test_large_collections_are_thinned_out_but_for_one_group():
    """At most 3,000 from all over; of the group that is asked for every one, and on top."""
    snapshot = Large(100_000, 50)
    rows = map_drawing.rows_to_show(snapshot)
    assert len(rows) == map_drawing.MAX_DOTS
    assert (rows[0], rows[-1]) == (0, 99_999)
    assert max(np.diff(rows)) <= 34
    assert map_drawing.rows_to_show(snapshot, 1)[-50:] == list(range(99_950, 100_000))
    assert map_drawing.rows_to_show(Large(5, 1)) == [0, 1, 2, 3, 4]
