"""Compression of JSON, pages and metrics; pictures are compressed already.

A list of 1,000 results shrinks to a tenth. No response contains a secret next to text that a client
has sent, so its size reveals nothing (BREACH, CVE-2013-3587): there are no cookies and no forms
with tokens.
"""

from __future__ import annotations

from flask import Flask, Response
from flask_compress import Compress

_MEDIA_TYPES = frozenset({"application/json", "text/html", "text/plain"})
_MIN_BYTES = 1000  # less fits into one packet anyway


def install(app: Flask) -> None:
    """Compress the responses of an application for clients that accept zstd or gzip."""
    app.config.update(
        COMPRESS_REGISTER=False,  # it would add Vary to pictures, too
        COMPRESS_MIMETYPES=sorted(_MEDIA_TYPES),
        COMPRESS_ALGORITHM=["zstd", "gzip"],
        COMPRESS_MIN_SIZE=_MIN_BYTES,
    )
    compress = Compress(app)

    @app.after_request
    def compress_body(response: Response) -> Response:
        if response.mimetype in _MEDIA_TYPES and not response.is_streamed:
            return compress.after_request(response)
        return response
