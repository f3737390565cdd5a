"""One line a request in the log: id, route, status, milliseconds, mode.

The route, not the address: nothing that a client has sent stands in the log, no picture's name and
no key.
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
    """Let every request of an application be logged; call before others add their functions."""
    app.before_request(_begin)
    app.after_request(_end)


def note_mode(mode: str) -> None:
    """Remember how the request at hand had its query's vector."""
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
