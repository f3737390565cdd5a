from __future__ import annotations

import io
import logging
import re

import pytest

from tests.helpers.pictures import picture_bytes

LINE = re.compile(r"request=(\S+) method=(\S+) route=(\S+) status=(\d+) ms=[\d.]+ mode=(\S+)")


@pytest.fixture
def lines(client, caplog):
    """Give a function that returns what the lines of the requests so far say."""
    caplog.set_level(logging.INFO, "service.process.request_log")

    def read():
        records = [r for r in caplog.records if r.name == "service.process.request_log"]
        return [LINE.fullmatch(record.getMessage()).groups() for record in records]

    caplog.clear()
    return read


def test_each_request_is_one_line(client, lines):
    """Id, route, status and mode stand in it; the id is in the answer, too."""
    files = {"image": (io.BytesIO(picture_bytes((3, 3, 3))), "a")}
    answers = [
        client.get("/"),
        client.get("/api/v1/images/none"),
        client.post("/api/v1/search", data=files),
        client.post("/api/v1/search/batch", json={"searches": [{"id": "none"}]}),
        client.put("/api/v1/search"),
    ]
    assert [line[1:] for line in lines()] == [
        ("GET", "/", "200", "-"),
        ("GET", "/api/v1/images/<image_id>", "404", "-"),
        ("POST", "/api/v1/search", "200", "encoded"),
        ("POST", "/api/v1/search/batch", "200", "batch"),
        ("-", "-", "405", "-"),
    ]
    assert [line[0] for line in lines()] == [a.headers["X-Request-ID"] for a in answers]
    assert len({line[0] for line in lines()}) == 5


def test_nothing_of_the_client_stands_in_the_log(client, caplog):
    """Neither address, nor file name, nor key is written down."""
    caplog.set_level(logging.INFO)
    data = {"image": (io.BytesIO(picture_bytes((3, 3, 3))), "holiday.png")}
    client.post("/search?who=me", data=data, headers={"X-API-Key": "geheim"})
    client.get("/holiday/secret?who=me")
    client.get("/similar/holiday")
    assert not re.search("holiday|me|geheim|secret", re.sub(r"method", "", caplog.text))


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-123_X", True), ("a b", False), ("x" * 65, False), ("", False)]
)
def test_id_of_a_proxy_is_kept(client, lines, given, kept):
    """An id that could not break a line of the log is taken over."""
    answer = client.get("/livez", headers={"X-Request-ID": given})
    assert (answer.headers["X-Request-ID"] == given) == kept
    assert lines()[-1][0] == answer.headers["X-Request-ID"]
