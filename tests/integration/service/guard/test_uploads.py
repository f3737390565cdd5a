from __future__ import annotations

import io
import tempfile

import numpy as np
import pytest
import werkzeug.formparser
from flask import Request
from PIL import Image
from werkzeug.test import EnvironBuilder

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
