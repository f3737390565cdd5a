"""`python -m service.process.health_check`: ask /livez of the service with the same settings.

For HEALTHCHECK of a container: it finds the address by itself, also a Unix socket. The exit status
is 1 with a sentence if the service does not answer.
"""

from __future__ import annotations

import http.client
import socket
import sys

from service.errors import SettingsError
from service.settings import Settings

_TIMEOUT_S = 4.0
_OWN_ADDRESS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # of what listens on every address


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def connection(address: str, timeout_s: float = _TIMEOUT_S) -> http.client.HTTPConnection:
    """Return a connection to one of `Settings.addresses`; it opens with the first request."""
    if address.startswith("unix:"):
        return _UnixConnection(address.removeprefix("unix:"), timeout_s)
    host, _, port = address.rpartition(":")
    host = _OWN_ADDRESS.get(host, host).strip("[]")
    return http.client.HTTPConnection(host, int(port), timeout=timeout_s)


def main() -> None:
    """Exit with 0 if the service answers."""
    try:
        address = Settings.from_environment().addresses[0]
        asked = connection(address)
        asked.request("GET", "/livez")
        status = asked.getresponse().status
    except (OSError, SettingsError, http.client.HTTPException) as error:
        sys.exit(f"the service does not answer: {error}")
    if status != 200:
        sys.exit(f"the service at {address} answers with {status}")


if __name__ == "__main__":
    main()
