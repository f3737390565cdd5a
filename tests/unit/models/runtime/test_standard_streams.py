"""Processes that are started without standard streams."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

CODE = """
import os, sys
from models.runtime.standard_streams import open_standard_streams
open_standard_streams()
with open(sys.argv[1], "w") as file:
    os.write(2, b"from a C library")
    print("result", flush=True)
    sys.stderr.write("progress")
    sys.stderr.flush()
    file.write(f"only this, {sys.stdin.read()!r}")
"""


@pytest.mark.parametrize("closed", ["", "2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_no_file_takes_the_place_of_a_closed_stream(tmp_path, closed):
    """What is written to a closed stream is lost, and does not end up in a file."""
    command = f'exec "$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", command, "sh", sys.executable, "-c", CODE, tmp_path / "file"],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (tmp_path / "file").read_text() == "only this, ''"
    assert done.stdout == ("" if ">&-" in closed.split() else "result\n")
    assert done.stderr == ("" if "2>&-" in closed else "from a C libraryprogress")
