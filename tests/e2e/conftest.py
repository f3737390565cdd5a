"""A collection made by the real indexer, and the real server over it."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import paths
from tests.helpers.fakes import write_pictures

REPOSITORY = paths.ROOT
N_PICTURES = 40


@dataclass(frozen=True)
class Collection:
    """Pictures 000.png to 039.png, a copy of the first, and the data folder made of them."""

    pictures: Path
    data: Path


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes
    ----------
    url : str
        Its address, without a slash at the end.
    process : Popen
        gunicorn's parent.
    collection : Collection
    """

    url: str
    process: subprocess.Popen
    collection: Collection


def plain_environment(**variables) -> dict[str, str]:
    """Return this process's environment without settings of Lookalike, and with some more."""
    kept = {k: v for k, v in os.environ.items() if k != "PORT" and not k.startswith("LOOKALIKE_")}
    return kept | variables


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve_command(port: int, python: Path = Path(sys.executable)) -> list[str]:
    """Return the Procfile's command, listening on this machine only, as one Python runs it."""
    (line,) = (REPOSITORY / "Procfile").read_text().splitlines()
    name, _, command = line.partition(":")
    assert name == "web"
    program, *arguments = shlex.split(command)
    found = python.with_name(program)
    return [str(found), *arguments, "--bind", f"127.0.0.1:{port}"]


@contextmanager
def running(
    collection: Collection, log: Path, python: Path = Path(sys.executable), **variables
) -> Iterator[Server]:
    """Start the server, wait until it is ready, and stop it at the end."""
    port = free_port()
    environment = plain_environment(LOOKALIKE_DATA=str(collection.data), **variables)
    with log.open("wb") as out:
        process = subprocess.Popen(
            serve_command(port, python), cwd=REPOSITORY, env=environment, stdout=out, stderr=out
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, process, log)
        yield Server(url, process, collection)
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait_until_ready(url: str, process: subprocess.Popen, log: Path) -> None:
    """Wait until /readyz says 200."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url + "/readyz", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise AssertionError(f"the server did not become ready: {log.read_text()}")


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Collection:
    """Give a collection that the real indexer has trained on, for a few steps; do not change it."""
    folder = tmp_path_factory.mktemp("built")
    collection = Collection(folder / "pictures", folder / "data")
    first = write_pictures(collection.pictures, N_PICTURES)[0]
    shutil.copy(first, collection.pictures / "copy.png")
    subprocess.run(
        [sys.executable, "-m", "indexer", "build", str(collection.pictures),
         "--data", str(collection.data), "--steps", "3", "--clusters", "4"],
        cwd=REPOSITORY, env=plain_environment(), check=True, capture_output=True,
    )  # fmt: skip
    return collection


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
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*install, "-r", REPOSITORY / "requirements-service.txt"], check=True)
    return python
