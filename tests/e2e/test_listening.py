from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys

import pytest

from service.process.health_check import connection
from tests.helpers.commands import plain_environment
from tests.helpers.paths import ROOT
from tests.helpers.servers import PATIENT, free_port, procfile_command
from tests.helpers.waiting import PATIENCE_S, wait_for


def has_ipv6():
    """Return whether a socket can listen on ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def accepts_ipv4():
    """Return whether an IPv6 socket of every address accepts IPv4 on this machine."""
    with socket.socket(socket.AF_INET6) as probe:
        return not probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 (::1)")


@contextlib.contextmanager
def listening(collection, log, **variables):
    """Start the server as the Procfile does, without an address on the command line."""
    settings = {"LOOKALIKE_DATA": str(collection.data), "LOOKALIKE_WORKERS": "1"} | PATIENT
    environment = plain_environment(**settings, **variables)
    with log.open("wb") as out:
        process = subprocess.Popen(
            procfile_command(), cwd=ROOT, env=environment, stdout=out, stderr=out
        )
    try:
        yield environment
    finally:
        process.terminate()
        assert process.wait(timeout=PATIENCE_S) == 0


def answer(address, path="/readyz"):
    """Return the status and the body of a response; None if nobody listens."""
    asked = connection(address, PATIENCE_S)
    with contextlib.closing(asked):
        try:
            asked.request("GET", path)
            response = asked.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return None


def is_ready(address):
    """Return whether the server at an address is ready."""
    return (answer(address) or (0,))[0] == 200


def health_check(environment):
    """Return the exit status of the container's health check."""
    command = [sys.executable, "-m", "service.process.health_check"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True).returncode


@needs_ipv6
def test_bind_address_of_an_ipv6_only_host(built, tmp_path):
    """On [::1] pages, API and health check are answered, and IPv4 is not."""
    address = f"[::1]:{(port := free_port())}"
    with listening(built, tmp_path / "log", LOOKALIKE_BIND=address) as environment:
        wait_for(lambda: is_ready(address))
        status, page = answer(address, "/")
        assert (status, b"<form" in page) == (200, True)
        status, body = answer(address, "/api/v1/images?limit=1")
        assert (status, len(json.loads(body)["images"])) == (200, 1)
        assert answer(f"127.0.0.1:{port}") is None
        assert health_check(environment) == 0


@needs_ipv6
@pytest.mark.skipif(has_ipv6() and not accepts_ipv4(), reason="net.ipv6.bindv6only is 1")
@pytest.mark.parametrize("bind", ["[::]", "0.0.0.0,[::]"])
def test_bind_address_of_both_families(built, tmp_path, bind):
    """[::] answers IPv6 and IPv4, on PORT, also if 0.0.0.0 is listed as well."""
    port = free_port()
    with listening(built, tmp_path / "log", LOOKALIKE_BIND=bind, PORT=str(port)) as environment:
        wait_for(lambda: is_ready(f"[::1]:{port}"))
        assert is_ready(f"127.0.0.1:{port}")
        assert health_check(environment) == 0
    assert "in use" not in (tmp_path / "log").read_text()


def test_bind_to_a_unix_socket(built, tmp_path):
    """A proxy on the same machine may reach the service by a socket in a folder."""
    address = f"unix:{tmp_path}/socket"
    with listening(
        built, tmp_path / "log", LOOKALIKE_BIND=address, LOOKALIKE_RATE_LIMIT="100/minute"
    ) as environment:
        wait_for(lambda: is_ready(address))
        status, body = answer(address, "/api/v1/images?limit=1")
        assert (status, len(json.loads(body)["images"])) == (200, 1)
        assert health_check(environment) == 0
    assert not (tmp_path / "socket").exists()


def test_kubernetes_service_named_lookalike(built, tmp_path):
    """The variables that Kubernetes sets for such a Service do not keep the server from starting.

    They do not move it either: it listens where PORT says.
    """
    port = free_port()
    injected = {
        "LOOKALIKE_SERVICE_HOST": "10.0.0.11",
        "LOOKALIKE_SERVICE_PORT": "80",
        "LOOKALIKE_SERVICE_PORT_HTTP": "80",
        "LOOKALIKE_PORT": "tcp://10.0.0.11:80",
        "LOOKALIKE_PORT_80_TCP": "tcp://10.0.0.11:80",
        "LOOKALIKE_PORT_80_TCP_PROTO": "tcp",
        "LOOKALIKE_PORT_80_TCP_PORT": "80",
        "LOOKALIKE_PORT_80_TCP_ADDR": "10.0.0.11",
    }
    with listening(built, tmp_path / "log", PORT=str(port), **injected) as environment:
        wait_for(lambda: is_ready(f"127.0.0.1:{port}"))
        assert health_check(environment) == 0
    assert health_check(environment) == 1
