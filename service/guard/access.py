"""Who may ask: with keys set, every route but the health checks wants one of them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from flask import Request, Response, request

from service.errors import Unauthorized

OPEN = ("/livez", "/readyz")  # for load balancers, which have no key


class Keys:
    """The keys that open the service; each is as good as the others.

    Parameters
    ----------
    keys : sequence of str
    """

    def __init__(self, keys: Sequence[str]) -> None:
        # Digests are of one length, so comparing them tells nothing of a key's.
        self._digests = [_digest(key.encode()) for key in keys]

    def number(self, request: Request) -> int | None:
        """Return which key a request carries, or None if it carries none of them."""
        given = _digest(given_key(request))
        # All are compared, so that the time tells nothing of which one it was.
        matches = [hmac.compare_digest(given, one) for one in self._digests]
        return matches.index(True) if any(matches) else None


def gate(keys: Keys) -> Callable[[], None]:
    """Return a function that lets the request at hand pass, or raises Unauthorized."""

    def check() -> None:
        if request.path not in OPEN and keys.number(request) is None:
            raise Unauthorized(
                "this service asks for a key: send it as `X-API-Key`, as `Authorization: Bearer`, "
                "or in a browser as the password"
            )

    return check


def keep_private(response: Response) -> Response:
    """Tell caches on the way that an answer is only for who asked with a key."""
    response.cache_control.private = True
    return response


def given_key(request: Request) -> bytes:
    """Return the key that a request carries, or nothing.

    From `X-API-Key`, else from `Authorization`: a bearer token, or the password of HTTP Basic,
    which is what a browser can send (any user name will do).
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
    return header.encode("latin-1", "replace")  # WSGI hands on a header's bytes as latin-1
