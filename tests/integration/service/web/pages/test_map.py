"""The map, as JSON and as a page."""

import io
import re

import numpy as np
import pytest

from service.settings import Settings

PLACES = np.linspace(0, 1, 26).reshape(13, 2).astype(np.float32)


@pytest.fixture
def map_client(place, app_of):
    """Give a function that returns a client of 13 pictures with a map."""
    content = io.BytesIO()
    np.save(content, PLACES)

    def make(**how):
        place.publish(files={"map.npy": content.getvalue()}, **how)
        return app_of(Settings(data=place.data.root)).test_client()

    return make


def test_positions_are_paged(map_client):
    """Positions come in catalogue order, with five decimals, group, path and thumbnail."""
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


def test_filter_applies(map_client):
    """Only the positions of pictures that pass the filter are returned."""
    client = map_client()
    wanted = '{"must": [{"key": "path", "match": {"value": "later/"}}]}'
    answer = client.get("/api/v1/map", query_string={"filter": wanted}).json
    assert [point["path"] for point in answer["points"]] == [
        "later/black.png",
        "later/red & <b>.png",
    ]


def test_page_has_a_link_for_each_picture(map_client):
    """Every picture has a dot, the three medoids have thumbnails, and names are escaped."""
    page = map_client(n_clusters=3).get("/map")
    assert page.status_code == 200
    assert page.text.count("<circle") == 13
    assert page.text.count("<rect") == 3
    assert "<title>later/red &amp; &lt;b&gt;.png</title>" in page.text
    assert "All 13 pictures" in page.text


def test_one_group_stands_out(map_client):
    """All other dots are grey, and no medoids hide the group."""
    client = map_client(n_clusters=3)
    size = client.get("/api/v1/clusters").json["clusters"][1]["size"]
    page = client.get("/map?cluster=1").text
    assert page.count('class="off"') == 13 - size
    assert page.count("<rect") == 0
    assert re.search(r'<option value="1" selected>', page)


def test_without_groups_there_are_dots_only(map_client):
    """Without groups there is no group menu, and there are no medoids."""
    page = map_client(thumbnails=False).get("/map").text
    assert page.count("<circle") == 13
    assert "<rect" not in page
    assert "<select" not in page
    assert "data-picture" not in page


def test_no_map(client):
    """Without a map, the API returns 404, and the page says how to make one."""
    answer = client.get("/api/v1/map")
    assert (answer.status_code, answer.json["error"]["code"]) == (404, "not_found")
    assert "this collection has no map yet" in answer.json["error"]["message"]
    page = client.get("/map")
    assert page.status_code == 200
    assert "Run this on the server to make the map" in page.text
