"""Request bodies: kept in memory, limited in size, complete, and parsed strictly."""

from __future__ import annotations

import io
from typing import IO, Any

from flask import Flask, Request
from gunicorn.http.errors import ParseException
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from service.errors import InvalidRequest, MalformedBody, TooSlow

_MB = 1 << 20
MAX_TEXT_BYTES = _MB  # text fields of one form; the hidden picture of a page needs 0.3 MB
MAX_FIELDS = 20


def install(app: Flask, max_body_bytes: int) -> None:
    """Let an application read bodies in memory and within the limits."""
    app.request_class = InMemoryRequest
    app.config.update(
        MAX_CONTENT_LENGTH=max_body_bytes,
        MAX_FORM_MEMORY_SIZE=MAX_TEXT_BYTES,
        MAX_FORM_PARTS=MAX_FIELDS,
    )


class StrictParser(FormDataParser):
    """Parse forms, and raise an error for a form that is malformed."""

    def parse(self, *args: Any, **options: Any) -> Any:
        """Parse a body; see `FormDataParser.parse`."""
        self.silent = False  # otherwise a malformed body would look like an empty form
        try:
            return super().parse(*args, **options)
        except ValueError as error:
            raise MalformedBody(f"the form is malformed: {error}") from error


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
    TooSlow
        If the body is incomplete: the client has gone, or was too slow and has been cut off.
    """
    body = CountedBody(request.environ["wsgi.input"])
    request.environ["wsgi.input"] = body
    try:
        if request.mimetype == "multipart/form-data":
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


def _too_slow() -> TooSlow:
    return TooSlow("the request body was incomplete or too slow: send it again")


def _too_large(request: Request, n_bytes: int) -> RequestEntityTooLarge:
    """Return the error that names the limit that a body exceeds."""
    most, announced = request.max_content_length, request.content_length
    # Without an announced length, Werkzeug stops reading at the limit.
    if most is not None and (n_bytes >= most if announced is None else announced > most):
        return RequestEntityTooLarge(f"request too large: the limit is {most / _MB:.3g} MB")
    text_mb = MAX_TEXT_BYTES // _MB
    return RequestEntityTooLarge(
        f"form too large: the limit is {MAX_FIELDS} fields with {text_mb} MB of text"
    )


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
    strays = [(other, "is not a file of this request") for other in files if other != name]
    if strays:
        raise InvalidRequest(strays)
    given: list[FileStorage] = files.getlist(name)
    if len(given) != 1:
        why = "is missing: send the picture as a file" if not given else "is given more than once"
        raise InvalidRequest([(name, why)])
    content: bytes = given[0].read()
    return content
