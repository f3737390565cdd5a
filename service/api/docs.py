"""The OpenAPI document (/openapi.json), and a page to try the API in the browser (/docs).

Swagger UI's files come from the package flask-swagger-ui. The page is our own, because the
package's page has an inline script. See docs/decisions/0033-openapi.md.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Response, abort, make_response, render_template, request
from flask import send_from_directory as send

from service.api.openapi import document
from service.context import context
from service.guard.security_headers import POLICY_OF_DOCS

bp = Blueprint("docs", __name__)

_FILES = ("swagger-ui.css", "swagger-ui-bundle.js")
_A_DAY = 86_400  # seconds


@bp.get("/openapi.json")
def openapi() -> Response:
    """Return the OpenAPI document."""
    found = document(context().bounds)
    if request.script_root:
        found = found | {"servers": [{"url": request.script_root}]}
    # Not sorted by key: the routes are in reading order.
    return Response(json.dumps(found), mimetype="application/json")


@bp.get("/docs")
def docs() -> Response:
    """Show the API page."""
    response = make_response(render_template("docs.html"))
    # The only page with a script that sends requests to this server.
    response.headers["Content-Security-Policy"] = POLICY_OF_DOCS
    return response


@bp.get("/docs/<name>")
def docs_file(name: str) -> Response:
    """Return one of Swagger UI's files."""
    if name not in _FILES:
        abort(404)
    return send(_swagger_folder(), name, max_age=_A_DAY)


def _swagger_folder() -> Path:
    """Return the folder of the files without importing their package."""
    found = find_spec("flask_swagger_ui")
    if found is None or found.origin is None:
        abort(404)
    return Path(found.origin).parent / "dist"
