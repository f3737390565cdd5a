"""The examples of docs/http-api.md work as they stand, and each route has one."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from service.api.openapi import OPERATIONS
from tests.helpers.paths import ROOT
from tests.helpers.pictures import noise_picture

TEXT = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")
LOUD = 'curl() { command curl --silent --show-error --fail-with-body "$@"; echo; }\n'


def blocks(language):
    """Return the fenced blocks of a language that ask a server."""
    found = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.S | re.M)
    return [block for block in found if "curl" in block or language == "python"]


@pytest.fixture
def folder(tmp_path):
    """Give a folder with a picture to ask with."""
    noise_picture(7).save(tmp_path / "QUERY.jpg")
    return tmp_path


def run(command, script, server, folder):
    """Run a script against the server and return what it printed."""
    done = subprocess.run(
        [*command, script.replace("http://127.0.0.1:8000", server.url)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_shell_examples_run(server, folder):
    """Every one of them, in their order, is answered with 200."""
    script = "\n".join(blocks("sh"))
    assert script.count("curl") >= 20
    printed = run(["bash", "-euo", "pipefail", "-c"], LOUD + script, server, folder)
    answers = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert {"cached", "encoded", "vector"} <= {answer.get("mode") for answer in answers}
    assert (folder / "original.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "small.jpg").read_bytes().startswith(b"\xff\xd8\xff")


def test_python_examples_run(server, folder):
    """They run one after the other, and print neighbours, the number of pictures and an error."""
    script = "\n".join(blocks("python"))
    lines = run([sys.executable, "-c"], script, server, folder).splitlines()
    scores = [float(line.split()[0]) for line in lines[:5]]
    assert scores == sorted(scores, reverse=True)
    assert lines[0].endswith("007.png")
    assert lines[5] == "41 pictures"
    assert lines[6].startswith("404 not_found ")


@pytest.mark.parametrize(
    "operation",
    OPERATIONS,
    ids=lambda o: f"{o.method} {o.path}",
)
def test_each_route_has_an_example(operation):
    """There is a line with curl for it."""
    place = re.sub(r"\\\{\w+\\\}", r"[^/\\s?'\"]+", re.escape(operation.path))
    assert re.search(rf"^curl .*127.0.0.1:8000{place}(?=[\s?'\"]|$)", "\n".join(blocks("sh")), re.M)
