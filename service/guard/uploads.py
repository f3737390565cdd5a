"""Request bodies: kept in memory, limited in size, complete, and parsed strictly."""

from __future__ import annotations

import io
from typing import IO

from flask import Flask, Request
from gunicorn.http.errors import ParseException
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from service.errors import InvalidRequest, MalformedBody, TooSlow, UnsupportedBody
from service.guard.form_parser import MB, NO_FILE, TOO_LARGE, StrictParser


def install(app: Flask, max_body_bytes: int) -> None:
    """Let an application read bodies in memory and within the limits."""
    app.request_class = InMemoryRequest
    app.config.update(MAX_CONTENT_LENGTH=max_body_bytes)


class InMemoryRequest(Request):
    """A request that never writes an upload to the disk."""

    form_data_parser_class = StrictParser

    def _get_file_stream(self, *_: object, **__: object) -> IO[bytes]:
        """Collect an uploaded file in memory; `MAX_CONTENT_LENGTH` limits its size.

        Werkzeug itself would use a temporary file from 500 kB on.
        """
        return io.BytesIO()


class CountedBody:
    """A body that counts the bytes read from it.

    Parameters
    ----------
    stream : binary file
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._ended = False
        self.n_bytes = 0

    def read(self, *size: int) -> bytes:
        """Read, as from any binary file."""
        data = self._stream.read(*size)
        self.n_bytes += len(data)
        self._ended = self._ended or not data
        return data

    def is_cut_off(self, length: int | None) -> bool:
        """Return whether the body ended before its announced length."""
        return self._ended and length is not None and self.n_bytes < length


def receive(request: Request) -> None:
    """Read the whole body now; `files`, `form` and `get_data` then find it in memory.

    Raises
    ------
    RequestEntityTooLarge
        If the body or a part of the form exceeds its limit.
    MalformedBody
        If the body is not the form that its Content-Type announces.
    InvalidRequest
        If the picture of a form is not a file.
    UnsupportedBody
        If the body is compressed.
    TooSlow
        If the body is incomplete: the client has gone, or was too slow and has been cut off.
    """
    body = CountedBody(request.environ["wsgi.input"])
    request.environ["wsgi.input"] = body
    try:
        if request.mimetype == "multipart/form-data" and not _is_compressed(request):
            _ = request.files
        else:
            request.get_data()
    except ParseException as error:  # of a chunked body
        raise MalformedBody("the chunks of the body are malformed") from error
    except RequestEntityTooLarge as error:
        raise _too_large(request, body.n_bytes) from error
    except (ClientDisconnected, MalformedBody) as error:
        if isinstance(error, ClientDisconnected) or body.is_cut_off(request.content_length):
            raise _too_slow() from error
        raise
    if body.is_cut_off(request.content_length):
        raise _too_slow()
    if _is_compressed(request):
        raise UnsupportedBody("compressed body: send it without Content-Encoding")


def _is_compressed(request: Request) -> bool:
    return request.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity")


def _too_slow() -> TooSlow:
    return TooSlow("the request body was incomplete or too slow: send it again")


def _too_large(request: Request, n_bytes: int) -> RequestEntityTooLarge:
    """Return the error that names the limit that a body exceeds."""
    most, announced = request.max_content_length, request.content_length
    # Without an announced length, Werkzeug stops reading at the limit.
    if most is not None and (n_bytes >= most if announced is None else announced > most):
        return RequestEntityTooLarge(f"request too large: the limit is {most / MB:.3g} MB")
    return RequestEntityTooLarge(TOO_LARGE)


def whole_body(request: Request) -> bytes:
    """Return the body of a request that is not a form.

    Raises
    ------
    RequestEntityTooLarge
        If it is too large, even if the client did not announce its length.
    """
    body = request.get_data()
    most = request.max_content_length
    # Werkzeug silently truncates a body of unknown length at the limit.
    if request.content_length is None and most is not None and len(body) >= most:
        raise _too_large(request, len(body))
    return body


def read_away(request: Request) -> None:
    """Read the rest of a rejected body, up to four times the limit.

    Browsers send the whole body before they read the response. If the connection closes while they
    send, they show their own error instead.
    """
    left = 4 * (request.max_content_length or 0)
    while left > 0 and (chunk := request.environ["wsgi.input"].read(1 << 16)):
        left -= len(chunk)


def uploaded_file(request: Request, name: str) -> bytes:
    """Return the bytes of the only file in a form.

    Raises
    ------
    InvalidRequest
        If the form has no file, several files, or a file with another name.
    """
    files = request.files
    why = f"is not a file of this request: send the picture in {name}"
    strays = [(other, why) for other in files if other != name]
    if strays:
        raise InvalidRequest(strays)
    given: list[FileStorage] = files.getlist(name)
    if not given:
        missing = "is missing: send the picture as a file"
        raise InvalidRequest([(name, NO_FILE if name in request.form else missing)])
    if len(given) > 1:
        raise InvalidRequest([(name, "is given more than once")])
    content: bytes = given[0].read()
    return content
