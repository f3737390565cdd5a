"""The list of groups, and the pages of single groups."""

from __future__ import annotations

import re

import pytest

from service.settings import Settings


def test_no_groups(place, app_of):
    """Without groups, the page says how to make them."""
    place.publish()
    client = app_of(Settings(data=place.data.root)).test_client()
    assert "lookalike cluster" in client.get("/groups").text
    assert client.get("/groups/0").status_code == 404


def drawn(html, name):
    """Return the match of one polyline's or circle's coordinates in a drawing."""
    return re.search(rf'<(?:polyline class="{name}" points|circle class="{name}" cx)="(.*?)"', html)


@pytest.mark.parametrize(
    ("elbow_clear", "words"), [(True, "Clear elbow at 3 groups."), (False, "No clear elbow.")]
)
def test_elbow_is_drawn(place, app_of, elbow_clear, words):
    """Each number of groups has a point, the chosen one is marked, and the elbow is judged."""
    place.publish(n_clusters=3, elbow_clear=elbow_clear)
    html = app_of(Settings(data=place.data.root)).test_client().get("/groups").text
    points = drawn(html, "curve").group(1).split()
    assert len(points) == 3
    assert float(drawn(html, "chosen").group(1)) == float(points[1].split(",")[0])
    assert words in html


def test_group_shows_its_medoid_first(client):
    """Each group is shown by its medoid and the pictures closest to it."""
    html = client.get("/groups").text
    for cluster in client.get("/api/v1/clusters").json["clusters"]:
        card = html.split(f'href="/groups/{cluster["label"]}"')[1].split("</a>")[0]
        shown = re.findall(r'src="([^"]+)"', card)
        assert shown == [i["thumbnail_url"] for i in (cluster["medoid"], *cluster["closest"])]


@pytest.mark.parametrize("address", ["/groups?offset=500", "/groups/0?offset=500"])
def test_page_beyond_the_end_leads_back(client, address):
    """An empty page says so and links to the first. Only the first page has the drawing."""
    html = client.get(address).text
    assert "on this page. <a" in html
    assert "<svg" not in html
