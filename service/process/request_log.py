"""One log line per request: id, route, status, milliseconds, mode.

The log has the route and not the address, so it contains nothing that a client has sent: no file
name and no key.
"""

from __future__ import annotations

import logging
import re
import secrets
import time

from flask import Flask, Response, g, request

log = logging.getLogger(__name__)

ID_HEADER = "X-Request-ID"
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


def install(app: Flask) -> None:
    """Log every request of an application; call before the other `install` functions."""
    app.before_request(_begin)
    app.after_request(_end)


def note_mode(mode: str) -> None:
    """Record where the query vector of this request came from."""
    g.mode = mode


def _begin() -> None:
    g.started = time.perf_counter()
    given = request.headers.get(ID_HEADER, "")
    g.request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)


def _end(response: Response) -> Response:
    response.headers[ID_HEADER] = g.request_id
    log.info(
        "request=%s method=%s route=%s status=%d ms=%.1f mode=%s",
        g.request_id,
        request.method if request.url_rule else "-",
        request.url_rule.rule if request.url_rule else "-",
        response.status_code,
        1000 * (time.perf_counter() - g.started),
        g.get("mode", "-"),
    )
    return response
