"""Scripts of other sites: which of them a browser lets read answers of the API (CORS).

Off unless origins are set. Never with credentials: a script sends a key in a header, if it has one,
and the password that somebody's browser has kept for this server stays unused.
Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Response, request
from werkzeug.datastructures import HeaderSet

from service.route_table import METHODS

ANY = "*"
_MAY_SEND = ("Authorization", "Content-Type", "X-API-Key", "X-Request-ID")
_MAY_READ = ("ETag", "Retry-After", "X-Request-ID")
_REMEMBERED_S = 3600


def install(app: Flask, origins: Sequence[str]) -> None:
    """Let scripts of some origins ask an application; call before what may refuse a request.

    Parameters
    ----------
    app : Flask
    origins : sequence of str
        "https://example.org", with its port if it has one; or "*" for all.
    """

    @app.before_request
    def answer_preflight() -> Response | None:
        if not _is_preflight():
            return None
        response = Response(status=204)
        if _allowed(origins) is not None:
            response.access_control_allow_methods = HeaderSet(METHODS)
            response.access_control_allow_headers = HeaderSet(_MAY_SEND)
            response.access_control_max_age = _REMEMBERED_S
        return response

    @app.after_request
    def allow(response: Response) -> Response:
        allowed = _allowed(origins)
        if allowed is not None:
            response.access_control_allow_origin = allowed
            response.access_control_expose_headers = HeaderSet(_MAY_READ)
        if ANY not in origins:
            response.vary.add("Origin")  # or a cache gives one site the answer for another
        return response


def _is_preflight() -> bool:
    asks = "Access-Control-Request-Method" in request.headers
    return request.method == "OPTIONS" and "Origin" in request.headers and asks


def _allowed(origins: Sequence[str]) -> str | None:
    """Return what to say of the origin at hand: it, "*", or None if it is not allowed."""
    if ANY in origins:
        return ANY
    origin = request.headers.get("Origin")
    return origin if origin in origins else None
