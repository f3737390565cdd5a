from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from index.snapshot import DataFolder
from service.settings import Settings
from service.web.pager import Pager
from service.web.results import N_RESULTS
from tests.helpers.pictures import noise_picture, picture_bytes, write_pictures
from tests.helpers.published import publish_pictures

RED = "later/red & <b>.png"
LIKE = "/like?positive={}&positive={}&negative={}"
PAGES = ["/", "/browse", "/groups", "/groups/0", "/duplicates", "/collection", "/docs"]


class Reader(HTMLParser):
    """Collect the tags of a page, and what each needs."""

    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        """Keep a tag and its attributes."""
        self.tags.append((tag, dict(attrs)))

    def all(self, tag, attribute):
        """Return one attribute of every tag of a kind that has it."""
        return [attrs[attribute] for name, attrs in self.tags if name == tag and attribute in attrs]


def search_page(client, data, **fields):
    """Return the page that answers an uploaded picture."""
    form = {"image": (io.BytesIO(data), "C:\\me\\<x>.png"), **fields}
    return client.post("/search", data=form)


def answered(html):
    """Return the ids that a results page shows, best first."""
    answers = html.split('<section class="answers"')[1]
    return re.findall(r'class="frame" href="/similar/([0-9a-f-]+)"', answers)


@pytest.mark.parametrize("address", PAGES)
def test_page_is_whole(client, address):
    """Every page has a title, a language, one heading, and text for every picture."""
    answer = client.get(address)
    page = Reader(answer.text)
    assert answer.status_code == 200
    assert answer.mimetype == "text/html"
    assert page.all("html", "lang") == ["en"]
    assert [tag for tag, _ in page.tags].count("h1") == 1
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert all("alt" in attrs for attrs in images)


@pytest.mark.parametrize("address", [*PAGES, "/nothing", "/api/v1/images"])
def test_headers_keep_everything_else_out(client, address):
    """Every answer carries the policy: nothing inline, nothing from elsewhere, no frames."""
    headers = client.get(address).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Referrer-Policy" in headers
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("address", PAGES)
def test_page_keeps_to_the_policy(client, address):
    """No inline script or style, and every file comes from this server and is there."""
    html = client.get(address).text
    page = Reader(html)
    assert "<style" not in html
    assert not [attrs for _, attrs in page.tags if "style" in attrs]
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    sources = page.all("script", "src") + page.all("link", "href") + page.all("img", "src")
    assert sources
    for source in set(sources):
        assert source.startswith("/")
        with client.get(source) as answer:
            assert answer.status_code == 200
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", html, re.S)
    assert not any(text.strip() for text in scripts)


@pytest.mark.parametrize("address", PAGES)
def test_links_lead_somewhere(client, address):
    """Every link of a page is answered."""
    page = Reader(client.get(address).text)
    for link in set(page.all("a", "href")) - {"#main"}:
        with client.get(link) as answer:
            assert answer.status_code == 200, link


def test_new_picture_is_shown_and_answered(client):
    """The page shows what was uploaded, and says that it is not in the collection."""
    answer = search_page(client, picture_bytes((3, 3, 3), (90, 30)))
    page = Reader(answer.text)
    (source,) = [src for src in page.all("img", "src") if src.startswith("data:")]
    shown = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))
    assert shown.size == (90, 30)
    assert max(shown.convert("L").getextrema()) < 10
    assert ">new</span>" in answer.text
    assert "This picture is not in the collection." in answer.text
    assert "90 × 30 pixels" in answer.text


def test_picture_of_the_collection_is_answered_as_by_id(client, ids, place):
    """The page of an uploaded known picture says so and has the results of the picture's own."""
    by_file = search_page(client, (place.pictures / "004.png").read_bytes())
    by_id = client.get(f"/similar/{ids['004.png']}")
    assert ">known</span>" in by_file.text
    assert "This picture is in the collection." in by_file.text
    assert answered(by_file.text) == answered(by_id.text)
    assert answered(by_id.text)[0] == ids["004.png"]
    assert "this picture" in by_id.text


def test_names_are_escaped(client, ids):
    """A file name with a tag in it is text, on every page where it stands."""
    for address in ("/browse", f"/similar/{ids[RED]}"):
        html = client.get(address).text
        assert "red &amp; &lt;b&gt;.png" in html
        assert "& <b>" not in html


def test_clients_file_name_is_not_shown(client):
    """What the client's file is called stays with the client."""
    assert "&lt;x&gt;" not in search_page(client, picture_bytes((3, 3, 3))).text


@pytest.mark.parametrize(
    ("data", "status", "title"),
    [
        (b"", 422, "That did not work"),
        (b"hello", 415, "Not a supported picture"),
        (picture_bytes()[:50], 422, "Picture cannot be read"),
        (bytes(9 * 2**20), 413, "Picture too large"),
    ],
    ids=["empty", "text", "truncated", "too large"],
)
def test_bad_upload_keeps_the_form(client, data, status, title):
    """The page says what was wrong, with the right status, and another picture can be chosen."""
    body = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    kind = "multipart/form-data; boundary=x"
    answer = client.post("/search", data=body + data + b"\r\n--x--\r\n", content_type=kind)
    assert (answer.status_code, answer.mimetype) == (status, "text/html")
    assert f"<h1>{title}</h1>" in answer.text
    assert Reader(answer.text).all("input", "name") == ["image"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("", "Choose a picture."), ("a.jpg", "This file is empty. Choose another picture.")],
    ids=["nothing chosen", "empty file"],
)
def test_empty_upload_is_told_from_no_upload(client, name, sentence):
    """Browsers send an unnamed empty file when none was chosen; a named one is really empty."""
    part = f'Content-Disposition: form-data; name="image"; filename="{name}"'
    body = f"--x\r\n{part}\r\n\r\n\r\n--x--\r\n".encode()
    answer = client.post("/search", data=body, content_type="multipart/form-data; boundary=x")
    assert answer.status_code == 422
    assert sentence in answer.text


@pytest.mark.parametrize("address", ["/similar/none", "/groups/77", "/nothing", "/browse/x"])
def test_unknown_page_is_a_kind_404(client, address):
    """People get a page, not JSON."""
    answer = client.get(address)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "<h1>Not found</h1>" in answer.text


def test_reload_of_an_answer_leads_to_the_form(client):
    """The address of an answer opened anew is the form."""
    answer = client.get("/search")
    assert (answer.status_code, answer.location) == (302, "/")


@pytest.fixture
def large_client(tmp_path, place, app_of):
    """Give a client of a collection of more than one page of answers."""
    write_pictures(place.pictures, N_RESULTS + 6)
    place.publish(top_k=10)
    return app_of(Settings(data=place.data.root)).test_client()


def test_answers_go_on_by_link(large_client):
    """The second page of a known picture goes on where the first ended."""
    image_id = large_client.get("/api/v1/images?offset=2&limit=1").json["images"][0]["id"]
    first = large_client.get(f"/similar/{image_id}").text
    (link,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = large_client.get(link.replace("&amp;", "&")).text
    shown = answered(first) + answered(second)
    assert len(shown) == len(set(shown)) == N_RESULTS + 9
    assert "Page 2 of 2" in second
    (back,) = re.findall(r'rel="prev" href="([^"]+)"', second)
    assert answered(large_client.get(back).text) == answered(first)


def test_answers_of_an_upload_go_on_without_being_kept(large_client):
    """The next page of an uploaded picture is asked for with its pixels; nothing is stored."""
    out = io.BytesIO()
    noise_picture(99, (300, 100)).save(out, "PNG")
    first = search_page(large_client, out.getvalue()).text
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', first))
    (offset,) = re.findall(r'name="offset" value="(\d+)"', first)
    second = large_client.post(
        "/search", data={**hidden, "offset": offset}, content_type="multipart/form-data"
    ).text
    shown = answered(first) + answered(second)
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
    """What comes back from a page is checked like everything else."""
    answer = client.post("/search", data=fields, content_type="multipart/form-data")
    assert answer.status_code in (415, 422)


def test_pages_before_the_first_snapshot(empty_client):
    """Without a snapshot each page says so kindly, and what to run."""
    for address in set(PAGES) - {"/docs"}:  # which needs none
        answer = empty_client.get(address)
        assert "lookalike build" in answer.text
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0


def test_shared_link_with_more_in_it(client):
    """What others append to an address is ignored on pages."""
    assert client.get("/browse?offset=2&fbclid=x").status_code == 200


def test_groups_page_without_groups(place, app_of):
    """Where no groups have been made the page says how to make them."""
    place.publish()
    client = app_of(Settings(data=place.data.root)).test_client()
    assert "lookalike cluster" in client.get("/groups").text
    assert client.get("/groups/0").status_code == 404


def drawn(html, name):
    """Return the coordinates of one polyline or circle of a drawing."""
    return re.search(rf'<(?:polyline class="{name}" points|circle class="{name}" cx)="(.*?)"', html)


@pytest.mark.parametrize(
    ("elbow_clear", "words"), [(True, "Clear elbow at 3 groups."), (False, "No clear elbow.")]
)
def test_elbow_is_drawn_and_said(place, app_of, elbow_clear, words):
    """Each number tried has its point, the chosen one is marked, an unclear elbow is owned up."""
    place.publish(n_clusters=3, elbow_clear=elbow_clear)
    html = app_of(Settings(data=place.data.root)).test_client().get("/groups").text
    points = drawn(html, "curve").group(1).split()
    assert len(points) == 3
    assert float(drawn(html, "chosen").group(1)) == float(points[1].split(",")[0])
    assert words in html


def test_groups_page_shows_medoid_and_members(client):
    """Each group is shown by its medoid and the pictures closest to that."""
    html = client.get("/groups").text
    for cluster in client.get("/api/v1/clusters").json["clusters"]:
        card = html.split(f'href="/groups/{cluster["label"]}"')[1].split("</a>")[0]
        shown = re.findall(r'src="([^"]+)"', card)
        assert shown == [i["thumbnail_url"] for i in (cluster["medoid"], *cluster["closest"])]


@pytest.mark.parametrize("address", ["/groups?offset=500", "/groups/0?offset=500"])
def test_page_beyond_the_end_leads_back(client, address):
    """An empty page says so and links to the first; the drawing is on the first page only."""
    html = client.get(address).text
    assert "on this page. <a" in html
    assert "<svg" not in html


@pytest.mark.parametrize(
    ("pager", "expected"),
    [
        (Pager(0, 10, 0), (1, 1, None, None)),
        (Pager(0, 10, 10), (1, 1, None, None)),
        (Pager(0, 10, 11), (1, 2, None, 10)),
        (Pager(10, 10, 11), (2, 2, 0, None)),
        (Pager(5, 10, 100), (1, 10, 0, 15)),
        (Pager(500, 10, 11), (51, 2, 490, None)),
    ],
)
def test_pager(pager, expected):
    """Number, count, and the offsets before and after."""
    assert (pager.number, pager.n_pages, pager.previous, pager.next) == expected


def test_search_within_a_group(client, ids):
    """A group's page asks only its own pictures, for an upload and for a known picture alike."""
    group = client.get("/api/v1/clusters/0").json
    members = {member["image"]["id"] for member in group["members"]}
    (hidden,) = re.findall(r'name="cluster" value="(\d+)"', client.get("/groups/0").text)
    assert hidden == "0"
    by_upload = search_page(client, picture_bytes((3, 3, 3)), cluster="0").text
    assert set(answered(by_upload)) == members
    assert 'in <a href="/groups/0">group 0</a>' in by_upload
    outsider = next(image_id for image_id in ids.values() if image_id not in members)
    assert set(answered(client.get(f"/similar/{outsider}?cluster=0").text)) == members


def test_answers_within_a_group_go_on(large_client, place):
    """The second page of a search within a group is of that group, too."""
    place.publish(n_clusters=1)
    large_client.application.extensions["lookalike"].holder.look()
    first = search_page(large_client, picture_bytes((3, 3, 3)), cluster="0").text
    hidden = dict(
        re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', first.split("pager")[1])
    )
    assert hidden["cluster"] == "0"
    image_id = answered(first)[0]
    assert "cluster=0" in large_client.get(f"/similar/{image_id}?cluster=0").text.split("pager")[1]


def test_duplicates_page(client):
    """The copy stands beside its original, with kind, size and a link to both."""
    html = client.get("/duplicates?threshold=1").text
    assert "1 group of duplicates" in html
    (card,) = html.split('<section class="copies"')[1:]
    assert "Identical files" in card
    assert card.count("64 × 48") == 2
    assert len(set(re.findall(r'href="(/api/v1/images/[^"]+/file)"', card))) == 2


def test_duplicates_page_without_any(tmp_path, app_of):
    """A collection without duplicates is told so."""
    place = DataFolder(tmp_path / "data")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.png").write_bytes(picture_bytes((255, 0, 0)))
    (tmp_path / "p" / "b.png").write_bytes(picture_bytes((0, 0, 255)))
    publish_pictures(place, tmp_path / "p")
    html = app_of(Settings(data=place.root)).test_client().get("/duplicates").text
    assert "No pictures are this similar." in html


def test_metadata_is_shown_escaped(client, ids):
    """With the picture that was asked with, and with each answer; as text, whatever it is."""
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
    """Truth values in words, lists with commas, the rest as it is."""
    place.publish(metadata={"000.png": {"key": value}})
    client = app_of(Settings(data=place.data.root)).test_client()
    image = client.get("/api/v1/images?limit=1").json["images"][0]
    page = client.get(f"/similar/{image['id']}").text
    assert f"<dt>key</dt><dd>{shown}</dd>" in page


def test_ticked_pictures_are_asked_with_together(client, ids):
    """The page answers as the API does, shows what was ticked, ticked, and leaves it out."""
    wanted = [ids["000.png"], ids["003.png"], ids[RED]]
    page = client.get(LIKE.format(*wanted))
    body = {"positive": wanted[:2], "negative": wanted[2:], "limit": N_RESULTS}
    api = client.post("/api/v1/search", json=body).json
    assert answered(page.text) == [one["id"] for one in api["results"]]
    assert not set(answered(page.text)) & set(wanted)
    boxes = [attrs for tag, attrs in Reader(page.text).tags if attrs.get("type") == "checkbox"]
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
def test_ticks_that_cannot_be_answered(client, address, status, sentence):
    """The page says what to do."""
    page = client.get(address)
    assert page.status_code == status
    assert sentence in page.text


def test_pages_of_ticked_pictures_go_on_with_them(place, app_of):
    """The links to other pages carry all examples, and hold each other picture once."""
    write_pictures(place.pictures, 40)
    place.publish()
    client = app_of(Settings(data=place.data.root)).test_client()
    images = client.get("/api/v1/images?limit=3").json["images"]
    wanted = [image["id"] for image in images]
    first = client.get(LIKE.format(*wanted)).text
    (address,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = client.get(address.replace("&amp;", "&")).text
    shown = answered(first) + answered(second)
    assert len(shown) == len(set(shown)) == 43 - 3
    assert not set(shown) & set(wanted)


def two_colours(size=(120, 60)):
    """Return the file of a picture that is red on the left and black on the right."""
    picture = Image.new("RGB", size, (0, 0, 0))
    picture.paste((255, 0, 0), (0, 0, size[0] // 2, size[1]))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


EDGES = {"left": "50", "top": "0", "right": "100", "bottom": "100"}


def hidden(page):
    """Return the hidden fields of the form for a part, by name."""
    form = page.text.split("data-region>")[1].split("</form>")[0]
    fields = [attrs for tag, attrs in Reader(form).tags if attrs.get("type") == "hidden"]
    return {field["name"]: field["value"] for field in fields}


def test_part_of_an_uploaded_picture_without_sending_it_again(client, ids):
    """The page's own form asks with the right half, which is black; its next page with it again."""
    page = search_page(client, two_colours())
    assert "120 × 60 pixels" in page.text
    part = client.post("/search", data=hidden(page) | EDGES)
    assert part.status_code == 200
    assert answered(part.text)[0] == ids["later/black.png"]
    assert "60 × 60 pixels" in part.text
    assert "You searched with this region of the picture." in part.text
    assert "data-region>" not in part.text


def test_part_of_a_picture_of_the_collection_has_an_address(client, ids):
    """It can be linked to; the whole picture is one step away."""
    own = f"/similar/{ids['003.png']}"
    page = client.get(own, query_string=EDGES)
    assert page.status_code == 200
    assert "32 × 48 pixels" in page.text
    body = {"id": ids["003.png"], "region": [0.5, 0, 0.5, 1], "limit": N_RESULTS}
    api = client.post("/api/v1/search", json=body).json
    assert answered(page.text) == [one["id"] for one in api["results"]]
    assert f'<a href="{own}">Search with the whole picture</a>' in page.text
    assert client.get(own, query_string=dict.fromkeys(EDGES, "")).text.count("data-region>") == 1


@pytest.mark.parametrize(
    ("edges", "sentence"),
    [
        ({"left": "60", "right": "40"}, "The left edge must be less than the right"),
        ({"left": "-1"}, "left should be greater than or equal to 0"),
        ({"top": "99"}, "select at least 8 x 8"),
    ],
)
def test_part_that_is_none(client, ids, edges, sentence):
    """The page says what is wrong with the edges."""
    page = client.get(f"/similar/{ids['003.png']}", query_string=edges)
    assert page.status_code == 422
    assert sentence in page.text


def test_part_of_a_picture_whose_file_is_gone(client, place, ids):
    """Its thumbnail is there still, but no part can be cut from what is not; the page says so."""
    (place.pictures / "003.png").unlink()
    page = client.get(f"/similar/{ids['003.png']}", query_string=EDGES)
    assert page.status_code == 404
    assert "003.png was not found in the picture folder" in page.text
