from __future__ import annotations

import gzip
import io
import tempfile

import numpy as np
import pytest
import werkzeug.formparser
from flask import Request
from PIL import Image
from werkzeug.test import EnvironBuilder

from tests.helpers.pictures import picture_bytes

KIND = "multipart/form-data; boundary=x"
HEAD = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'


@pytest.fixture
def no_disk(monkeypatch):
    """Make every kind of temporary file fail."""

    def refuse(*args, **options):
        raise AssertionError("an upload touched the disk")

    for module in (tempfile, werkzeug.formparser):
        for name in ("SpooledTemporaryFile", "TemporaryFile", "NamedTemporaryFile", "mkstemp"):
            monkeypatch.setattr(module, name, refuse, raising=False)


@pytest.fixture(scope="module")
def large_form():
    """Give a form with a picture of 5 MB, put together by hand: Werkzeug's tests use the disk."""
    pixels = np.random.default_rng(0).integers(0, 256, (1300, 1300, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=0)
    assert out.tell() > 5_000_000
    return HEAD + out.getvalue() + b"\r\n--x--\r\n"


@pytest.mark.parametrize("address", ["/api/v1/search", "/search"])
def test_large_upload_stays_in_memory(client, no_disk, large_form, address):
    """A picture of 5 MB is answered without a temporary file, by the API and by the page."""
    assert client.post(address, data=large_form, content_type=KIND).status_code == 200


def test_flasks_own_request_would_use_the_disk(no_disk, large_form):
    """The test above can fail: without our request class, the upload goes to the disk."""
    stream = io.BytesIO(large_form)
    builder = EnvironBuilder(method="POST", input_stream=stream, content_type=KIND)
    builder.content_length = len(large_form)
    with pytest.raises(AssertionError, match="touched the disk"):
        _ = Request(builder.get_environ()).files


API, ENCODE, PAGE = "/api/v1/search", "/api/v1/encode", "/search"
AS_TEXT = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
FILTER = b'--x\r\nContent-Disposition: form-data; name="filter"\r\n\r\n'
END = b"\r\n--x--\r\n"
MB = 1 << 20


def error_of(answer, status, code):
    """Check status and code of an error of the API; return its message."""
    assert answer.status_code == status, answer.text
    assert answer.json["error"]["code"] == code
    return answer.json["error"]["message"]


@pytest.mark.parametrize("n_bytes", [9, MB - 1, MB, MB + 1, 5 * MB], ids="{:,}".format)
@pytest.mark.parametrize("address", [API, ENCODE])
def test_picture_without_a_file_name_is_to_be_sent_as_a_file(client, address, n_bytes):
    """`curl -F image=<FILE` sends text. It is no picture, however small or large it is."""
    answer = client.post(address, data=AS_TEXT + b"x" * n_bytes + END, content_type=KIND)
    message = error_of(answer, 422, "invalid")
    assert message == "image: is text without a file name: send it as a file"
    assert answer.json["error"]["details"][0]["field"] == "image"


@pytest.mark.parametrize("n_bytes", [9, 5 * MB], ids="{:,}".format)
def test_picture_without_a_file_name_on_the_page(client, n_bytes):
    """The page says the same in a sentence, and keeps the form."""
    answer = client.post(PAGE, data=AS_TEXT + b"x" * n_bytes + END, content_type=KIND)
    assert answer.status_code == 422
    assert "image is text without a file name: send it as a file" in answer.text
    assert "<form" in answer.text


def test_large_picture_as_text_beside_other_fields(client):
    """The text of all fields is counted together, in any order."""
    data = FILTER + b"y" * (MB // 2) + b"\r\n" + AS_TEXT + b"x" * (MB // 2 + 1) + END
    answer = client.post(API, data=data, content_type=KIND)
    assert error_of(answer, 422, "invalid").startswith("image: is text without a file name")


def test_much_text_without_a_picture_is_too_large(client):
    """Two fields of 0.6 MB exceed the limit of 1 MB, which the message names."""
    data = FILTER + b"y" * (MB * 6 // 10) + b"\r\n"
    answer = client.post(API, data=data + data + END[2:], content_type=KIND)
    assert "20 fields with 1 MB of text" in error_of(answer, 413, "too_large")


@pytest.mark.parametrize("n_bytes", [9, 5 * MB], ids="{:,}".format)
def test_picture_in_a_url_encoded_form(client, n_bytes):
    """`curl -d image=...` is not read by the API; the page asks for a file, however large it is."""
    how = {"data": b"image=" + b"x" * n_bytes, "content_type": "application/x-www-form-urlencoded"}
    message = error_of(client.post(API, **how), 415, "unsupported_type")
    assert "send multipart/form-data with a picture in `image`" in message
    answer = client.post(PAGE, **how)
    assert answer.status_code == 422
    assert "image is text without a file name: send it as a file" in answer.text


@pytest.mark.parametrize("data", [b"a=" + b"x" * MB, b"a=1&" * 20 + b"a=1"], ids=["text", "fields"])
def test_large_url_encoded_form_is_refused(client, data):
    """It has the limits of other forms, or a body of 20 MB would become millions of fields."""
    answer = client.post(PAGE, data=data, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 413
    assert "20 fields with 1 MB of text" in answer.text


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (HEAD + b"x" + END, "multipart/form-data", "has no boundary: let the HTTP client set"),
        (HEAD + b"x", KIND, "it ends early"),
        (HEAD + b"x" + END, "multipart/form-data; boundary=y", "its boundary is not that of"),
        (HEAD.replace(b"image", b"\xff") + b"x" + END, KIND, "head of a part cannot be read"),
        (HEAD.replace(b'name="image"; ', b"") + b"x" + END, KIND, "a part has no name"),
        (
            HEAD.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n") + END,
            KIND,
            "a part has a Content-Transfer-Encoding; send plain bytes",
        ),
    ],
    ids=["no boundary", "cut off", "other boundary", "no UTF-8", "no name", "base64"],
)
def test_malformed_form_is_told_what_is_wrong(client, data, kind, words):
    """The sentence is about the form, not about the parser."""
    message = error_of(client.post(API, data=data, content_type=kind), 400, "malformed")
    assert words in message
    assert "State." not in message


@pytest.mark.parametrize("kind", [KIND, "application/json"])
def test_compressed_body_is_refused_as_such(client, kind):
    """It would look malformed, as nothing decompresses it."""
    answer = client.post(
        API, data=gzip.compress(b"{}"), content_type=kind, headers={"Content-Encoding": "gzip"}
    )
    message = error_of(answer, 415, "unsupported_type")
    assert message == "compressed body: send it without Content-Encoding"


def test_file_in_another_field_is_told_the_right_one(client):
    """`curl -F file=@FILE` is a common guess."""
    data = HEAD.replace(b"image", b"file") + b"x" + END
    message = error_of(client.post(API, data=data, content_type=KIND), 422, "invalid")
    assert message == "file: is not a file of this request: send the picture in image"


def test_address_instead_of_a_picture_is_refused_as_such(client):
    """JSON with the address of a picture is not fetched."""
    answer = client.post(API, json={"image": "https://example.org/a.jpg"})
    message = error_of(answer, 422, "invalid")
    assert message == "image: is an address, which is not fetched: send the picture as base64"


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
def test_text_field_is_read_in_its_charset(client, charset):
    """A part may name its charset; fields and files keep their values."""
    text = '{"must": [{"key": "path", "match": {"value": "é"}}]}'.encode(charset)
    head = FILTER.replace(
        b"\r\n\r\n", f"\r\nContent-Type: text/plain; charset={charset}\r\n\r\n".encode()
    )
    picture = HEAD + picture_bytes() + b"\r\n"
    answer = client.post(API, data=picture + head + text + END, content_type=KIND)
    assert (answer.status_code, answer.json["total"]) == (200, 0)
