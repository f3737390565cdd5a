"""The real server in a process of its own, started as the Procfile starts it."""

from __future__ import annotations

import contextlib
import random
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.commands import plain_environment
from tests.helpers.paths import ROOT
from tests.helpers.waiting import PATIENCE_S

PATIENT = {"LOOKALIKE_WAIT_S": str(PATIENCE_S), "LOOKALIKE_REQUEST_S": str(PATIENCE_S)}


@dataclass(frozen=True)
class Collection:
    """A folder of pictures and the data folder made of it."""

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

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def workers(self) -> list[int]:
        """Return the process ids of the workers (Linux only)."""
        return children(self.process.pid)


def free_port() -> int:
    """Return a port of this machine that nobody listens on.

    It is below the ports that the system gives to clients, so no connection takes it before the
    server is up.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 32_768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def serve_command(port: int, python: Path = Path(sys.executable)) -> list[str]:
    """Return the Procfile's command, listening on this machine only, as one Python runs it."""
    return [*procfile_command(python), "--bind", f"127.0.0.1:{port}"]


def procfile_command(python: Path = Path(sys.executable)) -> list[str]:
    """Return the Procfile's command, as one Python runs it; it listens as the settings say."""
    (line,) = (ROOT / "Procfile").read_text().splitlines()
    name, _, command = line.partition(":")
    assert name == "web"
    program, *arguments = shlex.split(command)
    found = python.with_name(program)
    return [str(found), *arguments]


@contextlib.contextmanager
def running(
    collection: Collection, log: Path, python: Path = Path(sys.executable), **variables
) -> Iterator[Server]:
    """Start the server, wait until it is ready, and stop it at the end.

    `variables` are settings. Without one of its own, a wait or a deadline of the service is so long
    that only a test of it, not a busy machine, runs into it.
    """
    port = free_port()
    settings = {"LOOKALIKE_DATA": str(collection.data)} | PATIENT | variables
    environment = plain_environment(**settings)
    with log.open("wb") as out:
        process = subprocess.Popen(
            serve_command(port, python), cwd=ROOT, env=environment, stdout=out, stderr=out
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, process, log)
        yield Server(url, process, collection)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)


def wait_until_ready(url: str, process: subprocess.Popen, log: Path) -> None:
    """Wait until /readyz says 200."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url + "/readyz", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise AssertionError(f"the server did not become ready: {log.read_text()}")


def children(pid: int) -> list[int]:
    """Return the processes that a process has started (Linux only)."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
