"""Answers made smaller on the way: JSON, pages and metrics. Pictures are small already.

A list of 1,000 answers is a tenth of its size. Nothing that is secret stands beside what a client
has sent, so that sizes tell nothing (BREACH, CVE-2013-3587): there are no cookies and no forms
with tokens.
"""

from __future__ import annotations

from flask import Flask, Response
from flask_compress import Compress

_KINDS = frozenset({"application/json", "text/html", "text/plain"})
_LEAST_BYTES = 1000  # less fits into one packet anyway


def install(app: Flask) -> None:
    """Let the answers of an application be compressed for clients that take zstd or gzip."""
    app.config.update(
        COMPRESS_REGISTER=False,  # it would say Vary of pictures, too
        COMPRESS_MIMETYPES=sorted(_KINDS),
        COMPRESS_ALGORITHM=["zstd", "gzip"],
        COMPRESS_MIN_SIZE=_LEAST_BYTES,
    )
    compress = Compress(app)

    @app.after_request
    def make_smaller(response: Response) -> Response:
        if response.mimetype in _KINDS and not response.is_streamed:
            return compress.after_request(response)
        return response
