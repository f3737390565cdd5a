"""Send the corpus to a running server, and see what each file costs its worker."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.helpers.clients import FORM, form
from tests.hostile.case import Case


@dataclass(frozen=True)
class Sent:
    """What came of one file.

    Attributes
    ----------
    case : Case
    size_bytes : int
    status : int
    code : str or None
        The error's, of a route that answers JSON.
    ms : float
        From the first byte sent to the last received.
    grown_mb : float or None
        By how much the worker's resident memory rose above what it had before, at its peak;
        None where the system does not tell.
    body : bytes
    """

    case: Case
    size_bytes: int
    status: int
    code: str | None
    ms: float
    grown_mb: float | None
    body: bytes


def send_all(url: str, worker: int, route: str, cases: Iterable[Case]) -> Iterator[Sent]:
    """Upload files one after the other.

    Parameters
    ----------
    url : str
        Of the server.
    worker : int
        Process id of its one worker.
    route : str
    cases : iterable of Case
    """
    for case in cases:
        data = case.make()
        before = _begin_peak(worker)
        started = time.perf_counter()
        status, body = post(url, route, data, case.name)
        ms = 1000 * (time.perf_counter() - started)
        grown = None if before is None else memory_mb(worker, "VmHWM") - before
        yield Sent(case, len(data), status, _code(body), ms, grown, body)


def post(url: str, route: str, data: bytes, name: str) -> tuple[int, bytes]:
    """Upload one file as a form; return status and body."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    try:
        connection.request("POST", route, form(data, name), {"Content-Type": FORM})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def memory_mb(pid: int, field: str) -> float:
    """Return VmRSS (now) or VmHWM (the peak) of a process (Linux only)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def _begin_peak(pid: int) -> float | None:
    """Let the peak begin anew, and return the memory in use now."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return None
    return memory_mb(pid, "VmRSS")


def _code(body: bytes) -> str | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None  # a page
    return answer.get("error", {}).get("code")
