"""The page that shows an error."""

from __future__ import annotations

from flask import Response, make_response, render_template

from models.image_files.formats import formats_in_words
from service.errors import Failure
from service.web.rendering import max_mb

_TITLES = {  # by the code of the failure
    "unauthorized": "Key required",
    "not_found": "Not found",
    "method_not_allowed": "Not possible here",
    "too_large": "Too large",
    "unsupported_type": "Not a supported picture",
    "undecodable": "Picture cannot be read",
    "invalid": "That did not work",
    "rate_limited": "Too many requests",
    "overloaded": "Busy right now",
    "not_ready": "Not ready yet",
}
_TEMPLATES = {401: "locked.html", 503: "not_ready.html"}  # by the status; else error.html


def error_page(failure: Failure) -> Response:
    """Return a page that explains a failure and, where it helps, offers the upload form."""
    html = render_template(
        _TEMPLATES.get(failure.status, "error.html"),
        title=_TITLES.get(failure.code, "Something went wrong"),
        message=_message(failure),
        formats=formats_in_words(),
        max_mb=max_mb(),
    )
    response = make_response(html, failure.status)
    response.headers.update(failure.headers)
    return response


def _message(failure: Failure) -> str:
    if not failure.details:
        return failure.message
    return "; ".join(_sentence(**detail) for detail in failure.details)


def _sentence(field: str, message: str) -> str:
    """Return the message on a field; one in lower case continues the name of the field."""
    return message if message[:1].isupper() else f"{field} {message}".strip()
