"""Every file of the corpus over HTTP: the answer, and what must not be in it."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest

from index.snapshot import DataFolder
from service.settings import Settings
from tests.helpers.apps import running_app
from tests.helpers.clients import FORM, form
from tests.helpers.pictures import write_pictures
from tests.helpers.published import publish_pictures
from tests.hostile.corpus import BY_NAME, CASES

DRAWN = re.compile(rb"(?<=base64,|value=\")[A-Za-z0-9+/]{20,}=*(?=\")")
ROUTES = ("/api/v1/search", "/api/v1/encode", "/search")
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Give a client of one application over three pictures, for all cases."""
    folder = tmp_path_factory.mktemp("hostile")
    write_pictures(folder / "pictures", 3)
    data = DataFolder(folder / "data")
    publish_pictures(data, folder / "pictures")
    with running_app(Settings(data=data.root)) as app:
        app.config["PROPAGATE_EXCEPTIONS"] = False  # a fault is a 500, as it is for a stranger
        yield app.test_client()


def upload(client, route, data, name="a"):
    """Send a file and return the answer; Werkzeug's own way would write large ones to disk."""
    return client.post(route, data=form(data, name), content_type=FORM)


def without_pictures(body):
    """Return a page without the pictures in it, which were drawn anew, and those pictures."""
    packed = [value for value in DRAWN.findall(body) if len(value) > 100]
    return DRAWN.sub(b"", body), [base64.b64decode(value) for value in packed]


def echoed(data, body):
    """Say whether 24 bytes in a row of an upload, as they are or in base64, stand in an answer."""
    places = range(0, max(1, len(data) - 24), max(24, len(data) // 50))
    pieces = [data[at : at + 24] for at in places]
    return any(
        len(set(piece)) > 4 and (piece in body or base64.b64encode(piece) in body)
        for piece in pieces
    )


@every_case
@pytest.mark.parametrize("route", ROUTES)
def test_upload_is_answered_as_documented(client, route, case):
    """The status and code that docs/http-api.md promises, no 500, and nothing of the upload."""
    data = case.make()
    answer = upload(client, route, data, case.name)
    assert answer.status_code == case.status
    assert "Set-Cookie" not in answer.headers
    text, pictures = without_pictures(answer.data)
    assert not echoed(data, text)
    assert not any(b"alert(" in part for part in (text, *pictures))
    if route.startswith("/api/") and case.code:
        assert answer.json["error"]["code"] == case.code


def test_echo_would_be_noticed():
    """The test above can fail: a body with a piece of the upload is one that echoes it."""
    data = BY_NAME["half-clear.png"].make()
    assert echoed(data, b"your picture: " + data)
    assert echoed(data, b"data:" + base64.b64encode(data[:48]))
    assert not echoed(data, b"nothing")


def test_page_shows_the_picture_drawn_anew(client):
    """What was in the file beside its pixels is in no picture of the page."""
    answer = upload(client, "/search", BY_NAME["html-text.png"].make())
    text, pictures = without_pictures(answer.data)
    assert len(pictures) == 2  # the one to look at, and the pixels for the other forms
    assert len(text) < len(answer.data)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.colour], ids=lambda case: case.name
)
def test_picture_is_encoded_for_what_it_shows(client, case):
    """The vector of the encoder that takes mean colours says which they were."""
    vector = np.array(upload(client, "/api/v1/encode", case.make()).json["vector"])
    colour = vector[:3] / vector[3] * 0.5 * 255
    assert np.abs(colour - case.colour).max() <= case.tolerance + 1


@pytest.mark.parametrize(
    "name", ["1x1.png", "no-palette.png", "huge-tile.tiff", "page.html", "604-megapixels.png"]
)
def test_base64_is_answered_as_a_file(client, name):
    """In JSON the same file gets the same answer."""
    case = BY_NAME[name]
    body = {"image": base64.b64encode(case.make()).decode()}
    for route in ROUTES[:2]:
        assert client.post(route, json=body).status_code == case.status


def test_file_of_too_many_bytes_is_refused(client):
    """A picture with 21 MB after its end is too large, by its bytes."""
    data = BY_NAME["half-clear.png"].make() + bytes(21 << 20)
    for route in ROUTES:
        assert upload(client, route, data).status_code == 413
