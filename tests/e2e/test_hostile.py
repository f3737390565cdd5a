"""Hostile files against the real server: the answers, the worker's life and its memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.servers import running
from tests.hostile.corpus import BY_NAME, CASES
from tests.hostile.server import post, send_all

MOST_MB = 100
# Of each kind of attack a few; the whole corpus goes through the application in
# tests/integration/service/guard/test_hostile.py, and by `python -m tests.hostile` to a server.
SAMPLE = [
    case
    for case in CASES
    if case.code == "too_large"
    or case.name.startswith(("cut-half", "turn-6", "animated", "10000", "icc", "drawing"))
    or case.name.endswith((".svg", "tail.jpg"))
    or "pieces" in case.name
    or "strips" in case.name
]


@pytest.fixture(scope="module")
def ghostscript(tmp_path_factory):
    """Give a folder with programs called gs and gswin64c, which leave a mark when they run."""
    folder = tmp_path_factory.mktemp("gs")
    for name in ("gs", "gswin64c", "gswin32c"):
        program = folder / name
        program.write_text(f"#!/bin/sh\ntouch {folder}/ran\n")
        program.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def server(built, ghostscript, tmp_path_factory):
    """Give a server of one worker, which finds a Ghostscript."""
    log = tmp_path_factory.mktemp("server") / "log"
    path = f"{ghostscript}:/usr/local/bin:/usr/bin:/bin"
    with running(built, log, LOOKALIKE_WORKERS="1", PATH=path) as one:
        yield one


@pytest.fixture(scope="module")
def worker(server):
    """Give the worker's process id, warm: its first picture starts the encoder."""
    (pid,) = server.workers()
    for _ in range(3):
        assert post(server.url, "/api/v1/search", BY_NAME["1x30000.png"].make(), "a")[0] == 200
    return pid


@pytest.mark.parametrize("route", ["/api/v1/search", "/search"])
def test_sample_is_answered_and_costs_little(server, worker, route):
    """Each gets its status; none kills the worker or makes it grow by 100 MB."""
    assert len(SAMPLE) >= 40
    sent = list(send_all(server.url, worker, route, SAMPLE))
    assert {one.case.name: one.status for one in sent} == {
        case.name: case.status for case in SAMPLE
    }
    grown = {one.case.name: one.grown_mb for one in sent if (one.grown_mb or 0) > MOST_MB}
    assert grown == {}
    assert server.workers() == [worker]


def test_postscript_starts_no_program(server, worker, ghostscript):
    """EPS is refused by its first bytes; the Ghostscript that is there never runs."""
    for name in ("drawing.eps", "drawing-in-dos.eps", "other.eps"):
        status, body = post(server.url, "/api/v1/encode", BY_NAME[name].make(), name)
        assert (status, json.loads(body)["error"]["code"]) == (415, "unsupported_type")
    assert not (ghostscript / "ran").exists()


def test_log_holds_nothing_of_an_upload(server, worker):
    """Neither the file's name nor its bytes stand in the log."""
    secret = b"a-secret-in-the-file"
    name = "<b>name-of-the-file</b>.png"
    post(server.url, "/api/v1/search", BY_NAME["1x1.png"].make() + secret, name)
    post(server.url, "/api/v1/search", secret, name)
    log = Path(f"/proc/{server.process.pid}/fd/2").resolve().read_text()
    assert "status=415" in log
    assert "name-of-the-file" not in log
    assert secret.decode() not in log
