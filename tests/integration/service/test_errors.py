from __future__ import annotations

import io
import json
import struct
import zlib

import pytest

from service.settings import Settings
from tests.helpers.apps import running_app
from tests.helpers.fakes import FakeEncoder
from tests.helpers.pictures import picture_bytes

SEARCH = "/api/v1/search"
FORM = "multipart/form-data; boundary=x"
HEADER = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
WIDE = b"IHDR" + struct.pack(">IIBBBBB", 24_576, 24_576, 8, 2, 0, 0, 0)  # 604 million pixels
WIDE_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\r" + WIDE + struct.pack(">I", zlib.crc32(WIDE))


def form(name=b"image", content=b"", end=b"\r\n--x--\r\n"):
    """Return a multipart body with one file."""
    return HEADER.replace(b"image", name) + content + end


def refused(answer):
    """Check that an error has the one form, and return status and code."""
    assert answer.is_json, answer.data
    assert set(answer.json) == {"error"}
    error = answer.json["error"]
    assert set(error) == {"code", "message", "details"}
    assert error["message"]
    for trace in ("Traceback", 'File "', "0x7f", "object at 0x"):
        assert trace not in json.dumps(error)
    return answer.status_code, error["code"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed"),
        (b"", "application/json", 400, "malformed"),
        (form(content=b"a", end=b""), FORM, 400, "malformed"),
        (b"nonsense", FORM, 400, "malformed"),
        (form(), "multipart/form-data", 400, "malformed"),
        (b"{}", "application/json", 422, "invalid"),
        (b'{"id": "a", "vector": [1]}', "application/json", 422, "invalid"),
        (b'{"id": "a", "colour": 1}', "application/json", 422, "invalid"),
        (b'{"vector": [1, 2]}', "application/json", 422, "invalid"),
        (b'{"vector": [0, 0, 0, 0]}', "application/json", 422, "invalid"),
        (b'{"image": "%%%"}', "application/json", 422, "invalid"),
        (b'{"image": ""}', "application/json", 422, "undecodable"),
        (b'{"image": "R0lGODlhAQ=="}', "application/json", 422, "undecodable"),
        (b'{"image": "PHN2Zy8+"}', "application/json", 415, "unsupported_type"),
        (b'{"id": "0000000000000000"}', "application/json", 404, "not_found"),
        (b'{"id": "\\ud800"}', "application/json", 400, "malformed"),
        (b"--x--\r\n", FORM, 422, "invalid"),
        (form(name=b"picture"), FORM, 422, "invalid"),
        (form(), FORM, 422, "undecodable"),
        (form(content=picture_bytes()[:60]), FORM, 422, "undecodable"),
        (form(content=b"%PDF-1.7"), FORM, 415, "unsupported_type"),
        (form(content=b"<svg xmlns='http://www.w3.org/2000/svg'/>"), FORM, 415, "unsupported_type"),
        (form(content=WIDE_PNG + picture_bytes()[33:]), FORM, 413, "too_large"),
        (b"id=a", "application/x-www-form-urlencoded", 415, "unsupported_type"),
        (picture_bytes(), "image/png", 415, "unsupported_type"),
        (b"{}", None, 415, "unsupported_type"),
    ],
)
def test_bad_search_gets_its_status_and_code(client, body, kind, status, code):
    """Whatever a client sends gets the documented answer, never a 500."""
    answer = client.post(SEARCH, data=body, content_type=kind)
    assert refused(answer) == (status, code)


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("/api/v1/images?limit=0", 422, "invalid"),
        ("/api/v1/images?limit=1&limit=2", 422, "invalid"),
        ("/api/v1/images?offset=99999999999999999999", 422, "invalid"),
        ("/api/v1/images?colour=red", 422, "invalid"),
        ("/api/v1/images/none", 404, "not_found"),
        ("/api/v1/images/none/file", 404, "not_found"),
        ("/api/v1/images/none/thumbnail", 404, "not_found"),
        ("/api/v1/images/none/similar", 404, "not_found"),
        ("/api/v1/images/..%2f..%2fetc%2fpasswd/file", 404, "not_found"),
        ("/api/v1/images/%ff%00/similar", 404, "not_found"),
        ("/api/v1/clusters/-1", 404, "not_found"),
        ("/api/v1/clusters/99999999999999999999", 404, "not_found"),
        ("/api/v1/nothing", 404, "not_found"),
        ("/api/v1/search", 405, "method_not_allowed"),
    ],
)
def test_bad_address_gets_its_status_and_code(client, address, status, code):
    """The same for what is asked in an address."""
    assert refused(client.get(address)) == (status, code)


def test_method_not_allowed_names_those_that_are(client):
    """A 405 keeps its Allow header."""
    assert "POST" in client.get(SEARCH).headers["Allow"]


def test_details_name_each_field(client):
    """Two wrong fields are two details."""
    answer = client.post(SEARCH, json={"id": "a", "limit": 0, "offset": -1})
    details = answer.json["error"]["details"]
    assert [detail["field"] for detail in details] == ["limit", "offset"]
    assert all(set(detail) == {"field", "message"} for detail in details)


def test_two_pictures_in_one_form_are_refused(client):
    """Neither of them is silently dropped."""
    files = [(io.BytesIO(picture_bytes()), "a"), (io.BytesIO(picture_bytes()), "b")]
    answer = client.post(SEARCH, data={"image": files})
    assert refused(answer) == (422, "invalid")
    assert "more than once" in answer.json["error"]["message"]


@pytest.mark.parametrize("kind", [FORM, "application/json"])
@pytest.mark.parametrize("says_length", [True, False], ids=["with length", "chunked"])
def test_large_body_is_refused(client, kind, says_length):
    """A body beyond the limit is not read, and the message names the limit."""
    stream = io.BytesIO(HEADER + bytes(9 * 2**20))
    how = {"content_length": len(stream.getvalue())} if says_length else {}
    environ = {} if says_length else {"wsgi.input_terminated": True}
    answer = client.post(
        SEARCH, input_stream=stream, content_type=kind, environ_overrides=environ, **how
    )
    assert refused(answer) == (413, "too_large")
    assert answer.json["error"]["message"] == "request too large: the limit is 8 MB"


def test_many_fields_are_refused(client):
    """A form of thousands of fields is no search."""
    answer = client.post(
        SEARCH, data={f"f{i}": "1" for i in range(50)}, content_type="multipart/form-data"
    )
    assert refused(answer) == (413, "too_large")
    assert "the limit is 20 fields" in answer.json["error"]["message"]


def test_large_text_field_is_refused(client):
    """A form is for a picture file; its text fields have a limit of their own."""
    head = b'--x\r\nContent-Disposition: form-data; name="filter"\r\n\r\n'
    answer = client.post(SEARCH, data=head + b"x" * 2**21 + b"\r\n--x--\r\n", content_type=FORM)
    assert refused(answer) == (413, "too_large")
    assert "1 MB of text" in answer.json["error"]["message"]


def test_upload_is_not_echoed(client):
    """What was uploaded stands in no message."""
    answer = client.post(SEARCH, data=form(content=b"<script>x"), content_type=FORM)
    assert b"script" not in answer.data


@pytest.mark.parametrize("address", ["/api/v1/images", "/api/v1/collection"])
def test_nothing_indexed_yet(empty_client, address):
    """Without a snapshot: 503, when to come again, and what to run."""
    answer = empty_client.get(address)
    assert refused(answer) == (503, "not_ready")
    assert int(answer.headers["Retry-After"]) > 0
    assert "lookalike build" in answer.json["error"]["message"]


def test_fault_of_ours_is_a_500_without_detail(place, caplog):
    """An error that nobody expected is logged once and shows nothing of itself."""

    class Broken(FakeEncoder):
        def encode(self, images):
            raise ZeroDivisionError("secret detail")

    place.publish()
    with running_app(Settings(data=place.data.root), lambda snapshot: Broken()) as app:
        client = app.test_client()
        answer = client.post(SEARCH, data={"image": (io.BytesIO(picture_bytes((9, 9, 9))), "a")})
        assert refused(answer) == (500, "internal")
        assert b"secret" not in answer.data
        page = client.post("/search", data={"image": (io.BytesIO(picture_bytes((9, 9, 9))), "a")})
        assert (page.status_code, page.mimetype) == (500, "text/html")
    assert sum("secret detail" in (record.exc_text or "") for record in caplog.records) == 2
