"""Parse forms strictly and within limits, and say what is wrong with them.

Werkzeug's own parser answers every form that is too large in the same way. This one tells a picture
that was sent as text, with `curl -F image=<FILE` for example, from too much text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import IO, NoReturn

from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser, MultiPartParser
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
)

from service.errors import InvalidRequest, MalformedBody

MB = 1 << 20
MAX_TEXT_BYTES = MB  # text fields of one form; the hidden picture of a page needs 0.3 MB
MAX_FIELDS = 20
TOO_LARGE = (
    f"form too large: the limit is {MAX_FIELDS} fields with {MAX_TEXT_BYTES // MB} MB of text"
)
PICTURE = "image"  # the field of a picture file in every form
NO_FILE = "is text without a file name: send it as a file"

_CHUNK_BYTES = 1 << 16
_PLAIN_ENCODINGS = ("", "binary", "8bit", "7bit")

Fields = MultiDict[str, str]
Files = MultiDict[str, FileStorage]


class StrictParser(FormDataParser):
    """Parse the two kinds of forms; `parse` raises an error for a form that is malformed."""

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> tuple[IO[bytes], Fields, Files]:
        """Parse a body; see `FormDataParser.parse`.

        Raises
        ------
        MalformedBody
            If the body is not such a form.
        InvalidRequest
            If the picture is too large a text instead of a file.
        RequestEntityTooLarge
            If there are too many fields or too much text.
        """
        self.silent = False  # otherwise a malformed body would look like an empty form
        if mimetype == "multipart/form-data":
            return stream, *self._multipart(stream, (options or {}).get("boundary", ""))
        if mimetype == "application/x-www-form-urlencoded":
            stream = _limited(stream)
        try:
            return super().parse(stream, mimetype, content_length, options)
        except ValueError as error:
            raise MalformedBody("the form is malformed: it is not UTF-8 text") from error

    def _multipart(self, stream: IO[bytes], boundary: str) -> tuple[Fields, Files]:
        if not boundary:
            raise MalformedBody(
                "the Content-Type of the form has no boundary: let the HTTP client set this header"
            )
        form = _Form(self.stream_factory)
        for event in _events(stream, boundary):
            form.take(event)
        form.check()
        return form.fields, form.files


class _Form:
    """The fields and files of a form, as their parts arrive.

    Text beyond the limit is counted but not kept. It is refused at the end of the body, because
    most clients read the response only then.
    """

    def __init__(self, new_file: Callable[..., IO[bytes]]) -> None:
        self.fields: Fields = MultiDict()
        self.files: Files = MultiDict()
        self._new_file = new_file
        self._part: Field | File
        self._data: IO[bytes]
        self._text_names: list[str] = []
        self._text_bytes = 0

    def take(self, event: Event) -> None:
        """Take the head of a part, or some of its data."""
        if isinstance(event, Field | File):
            self._begin(event)
        elif isinstance(event, Data):
            self._add(event.data)
            if not event.more_data:
                self._end()

    def check(self) -> None:
        """Raise an error if there was too much text."""
        if self._text_bytes > MAX_TEXT_BYTES:
            _refuse_text(is_picture=PICTURE in self._text_names)

    def _begin(self, part: Field | File) -> None:
        if part.name is None:
            raise MalformedBody("the form is malformed: a part has no name")
        encoding = part.headers.get("Content-Transfer-Encoding", "").strip().lower()
        if encoding not in _PLAIN_ENCODINGS:
            raise MalformedBody(
                "the form is malformed: a part has a Content-Transfer-Encoding; send plain bytes"
            )
        self._part = part
        if isinstance(part, File):
            self._data = self._new_file()
        else:
            self._data = io.BytesIO()
            self._text_names.append(part.name)

    def _add(self, data: bytes) -> None:
        if isinstance(self._part, Field):
            self._text_bytes += len(data)
            if self._text_bytes > MAX_TEXT_BYTES:
                return
        self._data.write(data)

    def _end(self) -> None:
        part = self._part
        self._data.seek(0)
        if isinstance(part, File):
            file = FileStorage(self._data, part.filename, part.name, headers=part.headers)
            self.files.add(part.name, file)
        else:
            charset = MultiPartParser().get_part_charset(part.headers)
            self.fields.add(part.name, self._data.read().decode(charset, "replace"))


def _events(stream: IO[bytes], boundary: str) -> Iterator[Event]:
    """Yield the events of a multipart form: the head of each part, then its data."""
    decoder = MultipartDecoder(
        boundary.encode("utf-8", "replace"), MAX_TEXT_BYTES, max_parts=MAX_FIELDS
    )
    for chunk in chain(iter(lambda: stream.read(_CHUNK_BYTES), b""), [None]):
        try:
            decoder.receive_data(chunk)
            while not isinstance(event := decoder.next_event(), (Epilogue, NeedData)):
                yield event
        except ValueError as error:
            why = "it ends early" if chunk is None else "the head of a part cannot be read"
            raise MalformedBody(
                f"the form is malformed: {why}, or its boundary is not that of the Content-Type"
            ) from error


def _limited(stream: IO[bytes]) -> IO[bytes]:
    """Return the stream of a URL-encoded form if it is small enough to be parsed as a whole."""
    data = stream.read()
    if len(data) > MAX_TEXT_BYTES or data.count(b"&") >= MAX_FIELDS:
        _refuse_text(is_picture=re.search(rb"(^|&)image=", data) is not None)
    return io.BytesIO(data)


def _refuse_text(is_picture: bool) -> NoReturn:
    if is_picture:
        raise InvalidRequest([(PICTURE, NO_FILE)])
    raise RequestEntityTooLarge(TOO_LARGE)
