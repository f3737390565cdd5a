"""The page that shows an error."""

from __future__ import annotations

import pytest

from service.errors import Overloaded, to_failure
from service.web.error_page import error_page
from tests.helpers.pages import Page
from tests.helpers.pictures import picture_bytes


@pytest.mark.parametrize(
    ("data", "status", "title"),
    [
        (b"", 422, "That did not work"),
        (b"hello", 415, "Not a supported picture"),
        (picture_bytes()[:50], 422, "Picture cannot be read"),
        (bytes(9 * 2**20), 413, "Too large"),
    ],
    ids=["empty", "text", "truncated", "too large"],
)
def test_bad_upload_keeps_the_form(client, data, status, title):
    """The page names the problem, has its status, and offers the form for another picture."""
    body = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    kind = "multipart/form-data; boundary=x"
    answer = client.post("/search", data=body + data + b"\r\n--x--\r\n", content_type=kind)
    assert (answer.status_code, answer.mimetype) == (status, "text/html")
    assert f"<h1>{title}</h1>" in answer.text
    assert Page(answer.text).all("input", "name") == ["image"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("", "Choose a picture."), ("a.jpg", "This file is empty. Choose another picture.")],
    ids=["nothing chosen", "empty file"],
)
def test_empty_upload_is_told_from_no_upload(client, name, sentence):
    """Browsers send an unnamed empty file if none was chosen. A named one is really empty."""
    part = f'Content-Disposition: form-data; name="image"; filename="{name}"'
    body = f"--x\r\n{part}\r\n\r\n\r\n--x--\r\n".encode()
    answer = client.post("/search", data=body, content_type="multipart/form-data; boundary=x")
    assert answer.status_code == 422
    assert sentence in answer.text


def test_busy_service_says_so(empty_client):
    """An overloaded service is busy. It is not waiting for its first snapshot."""
    failure = to_failure(Overloaded("the service is busy: ask again", "time"))
    with empty_client.application.test_request_context("/"):
        page = error_page(failure)
    assert page.status_code == 503
    assert "<h1>Busy right now</h1>" in page.get_data(as_text=True)
    assert page.headers["Retry-After"]
