"""A collection made by the real indexer, and the real server over it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.commands import run_process
from tests.helpers.paths import ROOT
from tests.helpers.pictures import write_pictures
from tests.helpers.servers import Collection, Server, running
from tests.helpers.sharing import made_once

N_PICTURES = 40


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Collection:
    """Give a collection that the real indexer has trained on, for a few steps; do not change it.

    Its pictures are 000.png to 039.png and copy.png, a copy of the first.
    """
    folder = made_once(tmp_path_factory, "built", build)
    return Collection(folder / "pictures", folder / "data")


def build(folder: Path) -> None:
    """Write pictures and index them."""
    first = write_pictures(folder / "pictures", N_PICTURES)[0]
    shutil.copy(first, folder / "pictures" / "copy.png")
    how = ("--data", folder / "data", "--steps", 3, "--clusters", 4)
    ended = run_process("build", folder / "pictures", *how)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture
def collection(built, tmp_path) -> Collection:
    """Give a copy of the collection's data that a test may change."""
    shutil.copytree(built.data, tmp_path / "data")
    return Collection(built.pictures, tmp_path / "data")


@pytest.fixture(scope="module")
def server(built, tmp_path_factory) -> Iterator[Server]:
    """Give the server of the Procfile, with two workers."""
    log = tmp_path_factory.mktemp("server") / "log"
    with running(built, log, LOOKALIKE_WORKERS="2", LOOKALIKE_POLL_S="0.1") as one:
        yield one


@pytest.fixture(scope="session")
def small_environment(tmp_path_factory) -> Path:
    """Give the Python of a new environment with the serving requirements only."""
    return made_once(tmp_path_factory, "venv", install) / "bin" / "python"


def install(folder: Path) -> None:
    """Make an environment and install the serving requirements."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", ROOT / "requirements-service.txt"], check=True)
