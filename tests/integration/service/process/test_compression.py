from __future__ import annotations

import gzip
import json
import sys

import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LONG = "/api/v1/images?limit=1000"
READ = {"gzip": gzip.decompress, "zstd": zstd.decompress}


def get(client, address, accepts, **headers):
    """Ask as a client that takes some encodings."""
    return client.get(address, headers={"Accept-Encoding": accepts, **headers})


@pytest.mark.parametrize(
    ("accepts", "chosen"),
    [
        ("gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.5, gzip", "gzip"),
        ("br", None),
        ("identity", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("address", [LONG, "/", "/openapi.json", "/metrics"])
def test_answer_is_as_small_as_the_client_can_take(client, address, accepts, chosen):
    """What comes out is what would have come without; caches are told what it depends on."""
    plain = client.get(address)
    answer = get(client, address, accepts)
    assert answer.headers.get("Content-Encoding") == chosen
    assert "Accept-Encoding" in answer.headers["Vary"]
    data = answer.get_data()
    assert answer.content_length == len(data)
    if chosen:
        assert len(data) < len(plain.get_data()) / 2
        data = READ[chosen](data)
    if address == LONG:
        assert json.loads(data) == plain.json
    else:
        assert data[:200] == plain.get_data()[:200]  # behind that, counts may have grown


def test_pictures_are_sent_as_they_are(client):
    """Neither originals nor thumbnails are compressed again, and they may be cached as before."""
    image = client.get(LONG).json["images"][0]
    for address in (image["file_url"], image["thumbnail_url"]):
        with get(client, address, "gzip, zstd") as answer, client.get(address) as plain:
            assert "Content-Encoding" not in answer.headers
            assert "Vary" not in answer.headers
            assert answer.headers["ETag"] == plain.headers["ETag"]
            assert answer.data == plain.data
            etag = answer.headers["ETag"]
        with get(client, address, "gzip", **{"If-None-Match": etag}) as again:
            assert (again.status_code, again.data) == (304, b"")
    with get(client, image["file_url"], "gzip", Range="bytes=0-9") as part:
        assert (part.status_code, len(part.data)) == (206, 10)


def test_short_answers_and_errors_stay_plain(client):
    """What fits into a packet gains nothing."""
    for address in ("/livez", "/api/v1/images/none"):
        assert "Content-Encoding" not in get(client, address, "gzip").headers


def test_thumbnails_may_be_kept_and_originals_are_asked_about(client):
    """A thumbnail's address stands for one content for ever; an original may be replaced."""
    image = client.get(LONG).json["images"][0]
    with client.get(image["thumbnail_url"]) as small, client.get(image["file_url"]) as original:
        assert small.cache_control.immutable
        assert small.cache_control.max_age == 31_536_000
        assert original.cache_control.no_cache
