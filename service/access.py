"""Who may ask: with keys set, every route but the health checks wants one of them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from flask import Request, Response, request

from service.errors import Unauthorized

OPEN = ("/livez", "/readyz")  # for load balancers, which have no key


def gate(keys: Sequence[str]) -> Callable[[], None]:
    """Return a function that lets the request at hand pass, or raises Unauthorized.

    Parameters
    ----------
    keys : sequence of str
        At least one; each is as good as the others.
    """
    # Digests are of one length, so comparing them tells nothing of a key's.
    wanted = [hashlib.sha256(key.encode()).digest() for key in keys]

    def check() -> None:
        if request.path in OPEN:
            return
        given = hashlib.sha256(given_key(request)).digest()
        # All are compared, so that the time tells nothing of which one it was.
        matches = [hmac.compare_digest(given, one) for one in wanted]
        if not any(matches):
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


def _bytes(header: str) -> bytes:
    return header.encode("latin-1", "replace")  # WSGI hands on a header's bytes as latin-1
