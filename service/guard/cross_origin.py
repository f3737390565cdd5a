"""CORS: which other sites may read responses with scripts in a browser.

It is off unless origins are set, and never allows credentials. A script sends its key in a header;
the password that a browser has stored for this server is not used.
Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Response, request
from werkzeug.datastructures import HeaderSet

from service.route_table import METHODS

ANY = "*"
_REQUEST_HEADERS = ("Authorization", "Content-Type", "X-API-Key", "X-Request-ID")
_RESPONSE_HEADERS = ("ETag", "Retry-After", "X-Request-ID")
_MAX_AGE_S = 3600


def install(app: Flask, origins: Sequence[str]) -> None:
    """Let scripts of some origins use an application; call before any guard that may refuse.

    Parameters
    ----------
    app : Flask
    origins : sequence of str
        Such as "https://example.org", with the port if it has one; "*" for all.
    """

    @app.before_request
    def answer_preflight() -> Response | None:
        if not _is_preflight():
            return None
        response = Response(status=204)
        if _allowed(origins) is not None:
            response.access_control_allow_methods = HeaderSet(METHODS)
            response.access_control_allow_headers = HeaderSet(_REQUEST_HEADERS)
            response.access_control_max_age = _MAX_AGE_S
        return response

    @app.after_request
    def allow(response: Response) -> Response:
        allowed = _allowed(origins)
        if allowed is not None:
            response.access_control_allow_origin = allowed
            response.access_control_expose_headers = HeaderSet(_RESPONSE_HEADERS)
        if ANY not in origins:
            response.vary.add(
                "Origin"
            )  # otherwise a cache could give one site the response for another
        return response


def _is_preflight() -> bool:
    names_method = "Access-Control-Request-Method" in request.headers
    return request.method == "OPTIONS" and "Origin" in request.headers and names_method


def _allowed(origins: Sequence[str]) -> str | None:
    """Return the value of Access-Control-Allow-Origin; None if the origin is not allowed."""
    if ANY in origins:
        return ANY
    origin = request.headers.get("Origin")
    return origin if origin in origins else None
