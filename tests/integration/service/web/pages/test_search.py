"""The results for an uploaded picture."""

from __future__ import annotations

import base64
import io
import re

import pytest
from PIL import Image

from service.web.results import N_RESULTS
from tests.helpers.pages import Page, result_ids, upload
from tests.helpers.pictures import noise_picture, picture_bytes

RIGHT_HALF = {"left": "50", "top": "0", "right": "100", "bottom": "100"}


def test_new_picture_is_shown(client):
    """The page shows the uploaded picture, and says that it is not in the collection."""
    answer = upload(client, picture_bytes((3, 3, 3), (90, 30)))
    page = Page(answer.text)
    (source,) = [src for src in page.all("img", "src") if src.startswith("data:")]
    shown = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))
    assert shown.size == (90, 30)
    assert max(shown.convert("L").getextrema()) < 10
    assert ">new</span>" in answer.text
    assert "This picture is not in the collection." in answer.text
    assert "90 × 30 pixels" in answer.text


def test_known_picture_gives_the_results_of_its_own_page(client, ids, place):
    """The page of an uploaded known picture has the results of that picture's page."""
    by_file = upload(client, (place.pictures / "004.png").read_bytes())
    by_id = client.get(f"/similar/{ids['004.png']}")
    assert ">known</span>" in by_file.text
    assert "This picture is in the collection." in by_file.text
    assert result_ids(by_file.text) == result_ids(by_id.text)
    assert result_ids(by_id.text)[0] == ids["004.png"]
    assert "this picture" in by_id.text


def test_clients_file_name_is_not_shown(client):
    """The file name on the client's machine is not shown."""
    assert "&lt;x&gt;" not in upload(client, picture_bytes((3, 3, 3))).text


def test_reloaded_results_redirect_to_the_form(client):
    """The address of a results page, opened again, is the form."""
    answer = client.get("/search")
    assert (answer.status_code, answer.location) == (302, "/")


def test_next_page_carries_the_uploaded_picture(large_client):
    """The next page's form carries the picture's pixels, so the server keeps nothing."""
    out = io.BytesIO()
    noise_picture(99, (300, 100)).save(out, "PNG")
    first = upload(large_client, out.getvalue()).text
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', first))
    (offset,) = re.findall(r'name="offset" value="(\d+)"', first)
    second = large_client.post(
        "/search", data={**hidden, "offset": offset}, content_type="multipart/form-data"
    ).text
    shown = result_ids(first) + result_ids(second)
    assert len(shown) == len(set(shown)) == N_RESULTS + 9
    assert "300 × 100 pixels" in second
    (source,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', second)
    assert Image.open(io.BytesIO(base64.b64decode(source))).size == (256, 85)


@pytest.mark.parametrize(
    "fields",
    [{"picture": "%"}, {"picture": "AAAA"}, {"width": "x"}, {"offset": "-1"}],
    ids=["no base64", "no picture", "no number", "negative"],
)
def test_tampered_next_page_is_refused(client, fields):
    """What comes back from a page is validated like any other request."""
    answer = client.post("/search", data=fields, content_type="multipart/form-data")
    assert answer.status_code in (415, 422)


def test_search_within_a_group(client, ids):
    """A group's page searches only its own pictures, for an upload and a known picture alike."""
    group = client.get("/api/v1/clusters/0").json
    members = {member["image"]["id"] for member in group["members"]}
    (hidden,) = re.findall(r'name="cluster" value="(\d+)"', client.get("/groups/0").text)
    assert hidden == "0"
    by_upload = upload(client, picture_bytes((3, 3, 3)), cluster="0").text
    assert set(result_ids(by_upload)) == members
    assert 'in <a href="/groups/0">group 0</a>' in by_upload
    outsider = next(image_id for image_id in ids.values() if image_id not in members)
    assert set(result_ids(client.get(f"/similar/{outsider}?cluster=0").text)) == members


def test_next_page_stays_within_the_group(large_client, place):
    """The second page of a search within a group has only pictures of the group."""
    place.publish(n_clusters=1)
    large_client.application.extensions["lookalike"].holder.look()
    first = upload(large_client, picture_bytes((3, 3, 3)), cluster="0").text
    hidden = dict(
        re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', first.split("pager")[1])
    )
    assert hidden["cluster"] == "0"
    image_id = result_ids(first)[0]
    assert "cluster=0" in large_client.get(f"/similar/{image_id}?cluster=0").text.split("pager")[1]


def two_colours(size=(120, 60)):
    """Return the file of a picture that is red on the left and black on the right."""
    picture = Image.new("RGB", size, (0, 0, 0))
    picture.paste((255, 0, 0), (0, 0, size[0] // 2, size[1]))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def hidden_fields(page):
    """Return the hidden fields of the region form, by name."""
    form = page.text.split("data-region>")[1].split("</form>")[0]
    fields = [attrs for tag, attrs in Page(form).tags if attrs.get("type") == "hidden"]
    return {field["name"]: field["value"] for field in fields}


def test_region_of_an_uploaded_picture(client, ids):
    """The page's own form searches with the right half, which is black, without another upload."""
    page = upload(client, two_colours())
    assert "120 × 60 pixels" in page.text
    region = client.post("/search", data=hidden_fields(page) | RIGHT_HALF)
    assert region.status_code == 200
    assert result_ids(region.text)[0] == ids["later/black.png"]
    assert "60 × 60 pixels" in region.text
    assert "You searched with this region of the picture." in region.text
    assert "data-region>" not in region.text
