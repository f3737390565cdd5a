"""Clients of a running server, from whole requests to single bytes."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import urllib.request

from tests.helpers.servers import Server
from tests.helpers.waiting import PATIENCE_S

BOUNDARY = "27182818284590452353602874713526"  # in no picture
FORM = f"multipart/form-data; boundary={BOUNDARY}"
FORM_END = f"\r\n--{BOUNDARY}--\r\n".encode()
SEARCH_HEAD = f"POST /api/v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n"


def form(data: bytes, filename: str = "a") -> bytes:
    """Return a multipart body with one picture."""
    place = f'Content-Disposition: form-data; name="image"; filename="{filename}"'
    head = f"--{BOUNDARY}\r\n{place}\r\n\r\n"
    return head.encode() + data + FORM_END


def get(server: Server, address: str):
    """Return the JSON at an address."""
    return json.loads(get_bytes(server, address))


def get_bytes(server: Server, address: str) -> bytes:
    """Return the body at an address."""
    with urllib.request.urlopen(server.url + address, timeout=PATIENCE_S) as answer:
        return answer.read()


def post_json(server: Server, address: str, body):
    """Send JSON and return the JSON of the answer."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.url + address, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)


def search(server: Server, data: bytes):
    """Return the answer to an uploaded picture."""
    headers = {"Content-Type": FORM}
    request = urllib.request.Request(server.url + "/api/v1/search", form(data), headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)


def status_of(
    server: Server, address="/api/v1/collection", method="GET", body=None, **headers
) -> int:
    """Ask on a connection of its own, so that any worker may answer; return the status."""
    connection = http.client.HTTPConnection(*server.address, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request(method, address, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status


def connect(server: Server) -> socket.socket:
    """Open a connection."""
    return socket.create_connection(server.address, timeout=PATIENCE_S)


def answer_of(client: socket.socket):
    """Read one answer from a connection: status and JSON."""
    with contextlib.closing(http.client.HTTPResponse(client)) as answer:
        answer.begin()
        return answer.status, json.loads(answer.read() or b"null")


def metrics(server: Server) -> str:
    """Return /metrics as text."""
    return get_bytes(server, "/metrics").decode()


def value(text: str, sample: str) -> float:
    """Return the value of a sample, given as it stands in the text of /metrics; 0 without one."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.M)
    return float(found.group(1)) if found else 0.0


def n_in_flight(server: Server) -> float:
    """Return how many requests the server works on, this one among them."""
    return value(metrics(server), "lookalike_in_flight")
