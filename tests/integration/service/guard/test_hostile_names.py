"""File names and metadata made to break out: on every page, in every answer, on the disk."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser

import pytest

from index.snapshot import DataFolder
from service.settings import Settings
from tests.helpers.apps import running_app
from tests.helpers.pictures import noise_picture
from tests.helpers.published import publish_pictures

NAMES = [
    b"<img src=x onerror=alert(1)>.png",
    b'"><script>alert(2)<&.png',
    b"' onmouseover='alert(3).png",
    b"javascript:alert(4).png",
    b"line\nbreak\r\nSet-Cookie: a=1.png",
    b"caf\xe9\xff.png",  # not UTF-8
    b"{{7*7}}{% raw %}.png",
    b"%2e%2e%2f%00.png",
    b"..\\..\\up.png",
    b"--><!--.png",
    b"</title><svg onload=alert(5)>.png".replace(b"/", b""),
    "\u202egnp.exe\u2028.png".encode(),
    b"$(touch x);`touch y`.png",
]
METADATA = {
    "<b onclick=alert(6)>": "</td><script>alert(7)</script>",
    "'\"": ["<img src=x onerror=alert(8)>", {'a"b': "'><x-y>"}],
}
PAGES = [
    "/",
    "/browse",
    "/groups",
    "/groups/0",
    "/groups/1",
    "/duplicates?threshold=0",
    "/collection",
    "/docs",
]
API = ["images?limit=1000", "clusters", "clusters/0", "duplicates?threshold=0", "collection"]


class Tags(HTMLParser):
    """Collect what a browser would make of a page: tags, with their attributes, and text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        """Keep a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        """Keep text."""
        self.text += data


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Give a client, the folder of pictures, and the folder around it."""
    around = tmp_path_factory.mktemp("names")
    pictures = around / "pictures"
    (pictures / "a").mkdir(parents=True)
    (around / "secret.png").write_bytes(b"not of the collection")
    for seed, name in enumerate(NAMES):
        with open(os.fsencode(pictures) + b"/a/" + name, "wb") as file:
            noise_picture(seed).save(file, "PNG")
    data = DataFolder(around / "data")
    everyone = {os.fsdecode(name): METADATA for name in NAMES}
    publish_pictures(data, pictures, n_clusters=2, metadata=everyone)
    with running_app(Settings(data=data.root)) as app:
        yield app.test_client(), pictures, around


@pytest.fixture(scope="module")
def client(place):
    """Give the client alone."""
    return place[0]


@pytest.fixture(scope="module")
def images(client):
    """Give every picture as the API describes it."""
    return client.get("/api/v1/images?limit=1000").json["images"]


def fetch(client, address):
    """Return an answer that has been read whole, its file closed."""
    with client.get(address) as answer:
        answer.get_data()
    return answer


def all_pages(client, images):
    """Yield every page that shows names, as (address, answer)."""
    for address in [*PAGES, *(f"/similar/{image['id']}" for image in images)]:
        yield address, fetch(client, address)
    yield "404", fetch(client, "/similar/<script>alert(9)</script>")
    yield "422", fetch(client, "/duplicates?threshold=<script>alert(10)</script>")


def test_names_and_metadata_are_text_on_every_page(client, images):
    """No name makes a tag, an attribute with a script, or an address that is one."""
    shown = ""
    for address, answer in all_pages(client, images):
        page = Tags(answer.get_data(as_text=True))
        shown += page.text + str(page.tags)
        for tag, attributes in page.tags:
            assert not [name for name in attributes if name.startswith("on")], (address, tag)
            links = [attributes.get(name) or "" for name in ("href", "src", "action")]
            assert not [link for link in links if link.strip().lower().startswith("java")]
            if tag == "script":
                assert attributes.keys() <= {"src", "defer", "type"}, address
                assert attributes["src"].startswith("/")
        assert "x-y" not in [tag for tag, _ in page.tags]
    assert "onerror=alert(1)" in shown  # the name was there, as text
    assert "{{7*7}}" in shown


def test_no_answer_sets_a_cookie_or_an_injected_header(client, images):
    """Not a page, not the API, not a file whose name holds a line break."""
    answers = [answer for _, answer in all_pages(client, images)]
    answers += [fetch(client, f"/api/v1/{route}") for route in API]
    for image in images:
        answers += [fetch(client, image[key]) for key in ("file_url", "thumbnail_url")]
        answers.append(fetch(client, f"/api/v1/images/{image['id']}/similar"))
    assert len(answers) > 50
    for answer in answers:
        assert not {"set-cookie"} & {name.lower() for name, _ in answer.headers}
        assert all("\n" not in value for _, value in answer.headers)


def test_api_gives_names_and_metadata_unchanged_as_json(client, images):
    """JSON is data: names come back as they are on the disk, and are never of type HTML."""
    assert {image["path"] for image in images} == {
        "a/" + name.decode("utf-8", "backslashreplace") for name in NAMES
    }
    assert all(image["metadata"] == METADATA for image in images)
    for route in API:
        answer = fetch(client, f"/api/v1/{route}")
        assert answer.mimetype == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_originals_of_odd_names_are_sent(place, images):
    """Each file comes back byte for byte, as a picture, never as a page."""
    client, pictures, _ = place
    by_path = {name.decode("utf-8", "backslashreplace"): name for name in NAMES}
    for image in images:
        answer = fetch(client, image["file_url"])
        with open(os.fsencode(pictures) + b"/a/" + by_path[image["path"][2:]], "rb") as file:
            assert answer.data == file.read()
        assert answer.mimetype == "image/png"


@pytest.mark.parametrize(
    "way_out",
    ["../secret.png", "..%2fsecret.png", "%2e%2e/secret.png", "....//secret.png", "/etc/passwd",
     "%2fetc%2fpasswd", "..%5csecret.png", "a%00/../../secret.png", "..%252fsecret.png"],
)  # fmt: skip
@pytest.mark.parametrize("route", ["file", "thumbnail", "similar"])
def test_no_address_leads_out_of_the_collection(client, way_out, route):
    """An id is looked up, never used as a path."""
    for address in (f"/api/v1/images/{way_out}/{route}", f"/similar/{way_out}"):
        answer = fetch(client, address)
        assert answer.status_code in (308, 404)
        assert b"not of the collection" not in answer.data
        assert b"root:" not in answer.data


def test_link_that_leads_out_is_not_followed(place, images):
    """A picture that has become a link to a file outside of the root is not sent."""
    client, pictures, around = place
    image = images[0]
    (name,) = [n for n in NAMES if n.decode("utf-8", "backslashreplace") == image["path"][2:]]
    path = os.fsencode(pictures) + b"/a/" + name
    kept = path + b".kept"
    os.rename(path, kept)
    try:
        os.symlink(around / "secret.png", path)
        answer = fetch(client, image["file_url"])
        os.unlink(path)
    finally:
        os.rename(kept, path)
    assert answer.status_code == 404
    assert b"not of the collection" not in answer.data


def test_error_pages_say_nothing_of_the_address(client):
    """What was asked for stands in no error page as a tag, nor does a path of this machine."""
    answer = fetch(client, "/nothing/<script>alert(11)</script>")
    text = answer.get_data(as_text=True)
    assert answer.status_code == 404
    assert "alert(11)" not in re.sub(r"&lt;.*?&gt;", "", text)
    assert str(os.getcwd()) not in text
