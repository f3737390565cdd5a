"""Errors that the service raises on purpose, and the form in which a client sees any error.

::

    ServiceError
    ├── SettingsError       a setting is unknown or invalid; stops the start
    ├── NoGroups            404 not_found     the snapshot has no groups, or none with this label
    ├── NoMap               404 not_found     the snapshot has no map
    ├── NoThumbnail         404 not_found     the snapshot has no thumbnail of this picture
    ├── NoReconstruction    404 not_found     the snapshot has no decoder
    ├── NoPictureFile       404 not_found     the original is not in the picture folder
    ├── MalformedBody       400 malformed     the body cannot be parsed
    ├── InvalidPrefix       400 malformed     a proxy sent a prefix that is not a path
    ├── KeptPrefix          404 not_found     a proxy sent a prefix and kept it in the path
    ├── UnsupportedBody     415 unsupported_type   the route does not accept such a body
    ├── Unauthorized        401 unauthorized   no key, or an invalid one
    ├── InvalidRequest      422 invalid       fields are missing, unknown or out of range
    ├── TooSlow             408 too_slow      the body does not arrive in time
    ├── RateLimited         429 rate_limited  too many requests from one client
    ├── Overloaded          503 overloaded    no free slot, or no time left
    └── NotReady            503 not_ready     there is no snapshot yet

Errors of `models` and `index` that a client can cause are translated here too, by name. Any other
error is a fault of the service: it is logged once and answered with 500, without details.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from werkzeug.exceptions import HTTPException

from index.errors import InvalidQuery, UnknownImage
from models.errors import (
    ImageTooLarge,
    PictureError,
    UndecodableImage,
    UnknownFormat,
    UnsupportedPicture,
)

RETRY_AFTER_S = 5
RETRY_OVERLOADED_S = 2

_STATUS_OF_PICTURE = {
    UnknownFormat.code: 415,
    UndecodableImage.code: 422,
    ImageTooLarge.code: 413,
}
CODES = {
    400: "malformed",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
    415: "unsupported_type",
    422: "invalid",
    429: "rate_limited",
    500: "internal",
    503: "not_ready",
}


class ServiceError(Exception):
    """Base of every error that this package raises on purpose.

    Attributes
    ----------
    status : int
        HTTP status of the response.
    """

    status: ClassVar[int] = 500


class SettingsError(ServiceError):
    """A setting is unknown or has an impossible value."""


class NoGroups(ServiceError):
    """The live snapshot has no groups, or no group with this label."""

    status = 404


class NoMap(ServiceError):
    """The live snapshot has no map."""

    status = 404


class NoThumbnail(ServiceError):
    """The live snapshot has no thumbnail of this picture."""

    status = 404


class NoReconstruction(ServiceError):
    """The live snapshot has no decoder to reconstruct pictures with."""

    status = 404


class NoPictureFile(ServiceError):
    """The original picture was not found in the picture folder."""

    status = 404


class MalformedBody(ServiceError):
    """The body does not match its Content-Type."""

    status = 400


class InvalidPrefix(ServiceError):
    """The `X-Forwarded-Prefix` of a trusted proxy is not a path."""

    status = 400


class KeptPrefix(ServiceError):
    """There is nothing at this address, because the proxy has not removed the prefix."""

    status = 404


class UnsupportedBody(ServiceError):
    """The route does not accept bodies with this Content-Type."""

    status = 415


class Unauthorized(ServiceError):
    """The request has no key, or an invalid one."""

    status = 401


class InvalidRequest(ServiceError):
    """One or more fields are invalid.

    Parameters
    ----------
    details : list of (field, message)
        At least one. `field` is "" if the whole request is invalid.
    """

    status = 422

    def __init__(self, details: list[tuple[str, str]]) -> None:
        self.details = details
        super().__init__("; ".join(f"{name}: {why}" if name else why for name, why in details))


class TooSlow(ServiceError):
    """The body is incomplete, or did not arrive in time."""

    status = 408


class RateLimited(ServiceError):
    """A client has reached its rate limit.

    Parameters
    ----------
    message : str
    retry_after_s : int
        Seconds until the client may send the next request.
    """

    status = 429

    def __init__(self, message: str, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class Overloaded(ServiceError):
    """There is no free slot, or the request has used its time.

    Parameters
    ----------
    message : str
    what : str
        What is full, in a word, for the metrics.
    """

    status = 503

    def __init__(self, message: str, what: str) -> None:
        self.what = what
        super().__init__(message)


class NotReady(ServiceError):
    """There is no snapshot to answer from."""

    status = 503


CLIENT_ERRORS = (ServiceError, PictureError, UnknownImage, InvalidQuery)


@dataclass(frozen=True)
class Failure:
    """An error as a client sees it.

    Attributes
    ----------
    status : int
        HTTP status.
    code : str
        One of the codes in docs/http-api.md.
    message : str
        One sentence.
    details : list of dict or None
        {"field", "message"} for each invalid field.
    headers : dict
        Headers of the response: Allow, Retry-After, WWW-Authenticate.
    what : str
        What is full, if the service is overloaded.
    """

    status: int
    code: str
    message: str
    details: list[dict[str, str]] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    what: str = ""

    @property
    def reason(self) -> str:
        """The label under which the metrics count it."""
        return f"{self.code}_{self.what}" if self.what else self.code

    @property
    def error(self) -> dict[str, Any]:
        """The error as JSON values."""
        return {"code": self.code, "message": self.message, "details": self.details}

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        return {"error": self.error}


def to_failure(error: Exception) -> Failure:
    """Translate an error that a client can cause.

    Raises
    ------
    TypeError
        For any other error.
    """
    message = str(error)
    if isinstance(error, PictureError):
        return Failure(_STATUS_OF_PICTURE[error.code], error.code, _picture_message(error))
    if isinstance(error, UnknownImage):
        return Failure(404, "not_found", message)
    if isinstance(error, InvalidQuery):
        details = [{"field": error.field, "message": error.reason}]
        return Failure(422, "invalid", message, details)
    if isinstance(error, InvalidRequest):
        details = [{"field": name, "message": why} for name, why in error.details]
        return Failure(422, "invalid", message, details)
    if isinstance(error, NotReady):
        return Failure(503, "not_ready", message, headers={"Retry-After": str(RETRY_AFTER_S)})
    if isinstance(error, Overloaded):
        after = {"Retry-After": str(RETRY_OVERLOADED_S)}
        return Failure(503, "overloaded", message, headers=after, what=error.what)
    if isinstance(error, RateLimited):
        after = {"Retry-After": str(error.retry_after_s)}
        return Failure(429, "rate_limited", message, headers=after)
    if isinstance(error, Unauthorized):
        asks = {"WWW-Authenticate": 'Basic realm="Lookalike", charset="UTF-8"'}
        return Failure(401, "unauthorized", message, headers=asks)
    if isinstance(error, ServiceError):
        return Failure(error.status, CODES[error.status], message)
    if isinstance(error, HTTPException):
        return _of_http(error)
    raise TypeError(f"{error!r} is not a client's error")


def _picture_message(error: PictureError) -> str:
    """Return a message without the decoder's words, which may quote the uploaded file."""
    # Imported here because it loads NumPy, which gunicorn's parent must not load.
    from models.image_files.formats import formats_in_words

    if isinstance(error, UnsupportedPicture):
        return str(error)
    if isinstance(error, UnknownFormat):
        return f"this file type is not supported; send {formats_in_words()}"
    if isinstance(error, UndecodableImage):
        return "the picture is empty, truncated or damaged; send a complete picture file"
    return str(error)


def _of_http(error: HTTPException) -> Failure:
    """Keep the status of an error that Flask or Werkzeug raised."""
    status = error.code or 500
    code = CODES.get(status, error.name.lower().replace(" ", "_"))
    kept = ("Allow", "Retry-After", "Content-Range", "WWW-Authenticate")
    headers = {name: value for name, value in error.get_headers() if name in kept}
    message = _SENTENCES.get(status, error.description or error.name)
    return Failure(status, code, message, headers=headers)


_SENTENCES = {
    400: "the request cannot be parsed; check its body and its Content-Type",
    404: "there is nothing at this address; check it for typing errors",
    405: "this address does not accept this method; see the Allow header",
    500: "an internal error occurred and was logged; try again later",
}
