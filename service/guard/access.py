"""API keys: if keys are set, every route needs one, except those marked in the route table."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from flask import Flask, Request, Response, request

from service.errors import Unauthorized
from service.route_table import path_needs_key


class Keys:
    """The keys that give access to the service. All give the same access.

    Parameters
    ----------
    keys : sequence of str
    """

    def __init__(self, keys: Sequence[str]) -> None:
        # Digests have one length, so a comparison reveals nothing about the length of a key.
        self._digests = [_digest(key.encode()) for key in keys]

    def number(self, request: Request) -> int | None:
        """Return the position of the key that a request carries; None without a valid key."""
        given = _digest(given_key(request))
        # Compare with all keys, so that the time does not reveal which one matched.
        matches = [hmac.compare_digest(given, one) for one in self._digests]
        return matches.index(True) if any(matches) else None


def install(app: Flask, keys: Keys) -> None:
    """Make an application refuse requests without a key."""

    @app.before_request
    def check() -> None:
        if path_needs_key(request.path) and keys.number(request) is None:
            raise Unauthorized(
                "this service requires a key: send it as `X-API-Key` or `Authorization: Bearer`, "
                "or enter it as the password in a browser"
            )

    @app.after_request
    def keep_private(response: Response) -> Response:
        """Keep shared caches from storing a response that needed a key."""
        response.cache_control.private = True
        return response


def given_key(request: Request) -> bytes:
    """Return the key that a request carries, or b"".

    It is read from `X-API-Key`, or else from `Authorization`: a bearer token, or the password of
    HTTP Basic, which browsers can send (with any user name).
    """
    header = request.headers.get("X-API-Key")
    if header is not None:
        return _bytes(header)
    sent = request.authorization
    if sent is None:
        return b""
    if sent.type == "basic":
        return (sent.password or "").encode()
    return _bytes(sent.token or "") if sent.type == "bearer" else b""


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _bytes(header: str) -> bytes:
    return header.encode("latin-1", "replace")  # WSGI passes the bytes of a header as latin-1
