"""Requests whose uploads stay in memory, bounded and checked."""

from __future__ import annotations

import io
from typing import IO, Any

from flask import Request
from gunicorn.http.errors import ParseException
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from service.errors import InvalidRequest, MalformedBody, TooSlow

MAX_FIELD_BYTES = 1 << 20  # text fields of one form; the hidden picture of a page needs 0.3 MB
MAX_FIELDS = 20


class StrictParser(FormDataParser):
    """Parse forms, and say so when one cannot be parsed."""

    def parse(self, *args: Any, **options: Any) -> Any:
        """Parse a body; see `FormDataParser.parse`."""
        self.silent = False  # else a broken body would look like an empty form
        try:
            return super().parse(*args, **options)
        except ValueError as error:
            raise MalformedBody(f"the form cannot be parsed: {error}") from error


class InMemoryRequest(Request):
    """A request that never writes what was uploaded to the disk."""

    form_data_parser_class = StrictParser

    def _get_file_stream(self, *_: object, **__: object) -> IO[bytes]:
        """Collect an uploaded file in memory; `MAX_CONTENT_LENGTH` bounds it.

        Werkzeug's own way is a temporary file from 500 kB on.
        """
        return io.BytesIO()


class CountedBody:
    """A body that knows how much of it has been read.

    Parameters
    ----------
    stream : binary file
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._n_bytes = 0
        self._ended = False

    def read(self, *size: int) -> bytes:
        """Read; as any binary file."""
        data = self._stream.read(*size)
        self._n_bytes += len(data)
        self._ended = self._ended or not data
        return data

    def is_cut_off(self, length: int | None) -> bool:
        """Say whether it ended before the length that was said beforehand."""
        return self._ended and length is not None and self._n_bytes < length


def receive(request: Request) -> None:
    """Read the whole body now; `files`, `form` and `get_data` then find it in memory.

    Raises
    ------
    RequestEntityTooLarge, MalformedBody
        If it is too large or no form although it says so.
    TooSlow
        If it ends before its end: the client has gone, or was too slow and has been cut off.
    """
    body = CountedBody(request.environ["wsgi.input"])
    request.environ["wsgi.input"] = body
    try:
        if request.mimetype == "multipart/form-data":
            _ = request.files
        else:
            request.get_data()
    except ParseException as error:  # of a body in chunks
        raise MalformedBody("the chunks of the body cannot be read") from error
    except (ClientDisconnected, MalformedBody) as error:
        if isinstance(error, ClientDisconnected) or body.is_cut_off(request.content_length):
            raise _too_slow() from error
        raise
    if body.is_cut_off(request.content_length):
        raise _too_slow()


def _too_slow() -> TooSlow:
    return TooSlow("the body did not come whole, or not in time: send it again")


def whole_body(request: Request) -> bytes:
    """Return the body of a request that is no form.

    Raises
    ------
    RequestEntityTooLarge
        If it is too large, also where the client did not say its length beforehand.
    """
    body = request.get_data()
    most = request.max_content_length
    # Werkzeug cuts a body of unknown length off at the limit without a word.
    if request.content_length is None and most is not None and len(body) >= most:
        raise RequestEntityTooLarge
    return body


def read_away(request: Request) -> None:
    """Read what is left of a body that is refused, up to four times the limit.

    Browsers send everything before they read the answer; if the connection is closed under them
    they show an error of their own instead.
    """
    left = 4 * (request.max_content_length or 0)
    while left > 0 and (chunk := request.environ["wsgi.input"].read(1 << 16)):
        left -= len(chunk)


def uploaded_file(request: Request, name: str) -> bytes:
    """Return the bytes of the one file of a form.

    Raises
    ------
    InvalidRequest
        If there is none, more than one, or one of another name.
    """
    files = request.files
    strays = [(other, "is not a file of this request") for other in files if other != name]
    if strays:
        raise InvalidRequest(strays)
    given: list[FileStorage] = files.getlist(name)
    if len(given) != 1:
        why = "is missing: send the picture as a file" if not given else "is given more than once"
        raise InvalidRequest([(name, why)])
    return given[0].read()
