"""Searches of the service: from the bytes of a picture to a query, and from a query to a response.

The search itself is in `index.search`. This module adds deadlines, decode capacity and timing. It
does not use Flask.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from index.arrays import Vectors
from index.catalogue import ImageRecord
from index.search.filters import Filter, passing_rows
from index.search.queries import Query, query_of_picture
from index.search.ranking import Options
from index.search.response import SearchResponse, respond
from models.preprocess import COLLECTION_LIMITS, file_digest
from service.guard import deadline
from service.images.decoding import Decoded, Decoding
from service.process.counters import timed
from service.schemas import Region
from service.snapshots import Live


@dataclass(frozen=True, eq=False)
class PreparedQuery:
    """A query that can be run, and the picture that it was encoded from, if any.

    Attributes
    ----------
    query : Query
    picture : Decoded or None
        None if the query uses a stored vector.
    """

    query: Query
    picture: Decoded | None = None


def query_of_bytes(live: Live, data: bytes, decoding: Decoding) -> PreparedQuery:
    """Recognise an uploaded picture, or encode it.

    Parameters
    ----------
    live : Live
    data : bytes
        The whole file. It is not stored.
    decoding : Decoding

    Returns
    -------
    PreparedQuery
        "cached" if the collection has this file, or one with the same pixels at full size; else
        "encoded".

    Raises
    ------
    PictureError
        If it cannot be read as a picture.
    Overloaded
        If there is no capacity or time to decode it.
    """
    row_of_pixels = live.snapshot.catalogue.row_of_pixels
    decoded = functools.cache(
        lambda: decoding.decode(
            data, needs_full_digest=lambda digest: row_of_pixels(digest) is not None
        )
    )
    query = query_of_picture(
        live.snapshot,
        file_digest(data),
        lambda: decoded().pixel_digest,
        lambda: decoded().full_digest or "",
        lambda: _encode(live, decoded()),
    )
    return PreparedQuery(query, decoded() if query.mode == "encoded" else None)


def query_of_region(
    live: Live, data: bytes, region: Region, decoding: Decoding, own_row: int | None = None
) -> PreparedQuery:
    """Encode a region of a picture.

    Parameters
    ----------
    live : Live
    data : bytes
        The whole file. It is not stored.
    region : Region
    decoding : Decoding
    own_row : int, optional
        Row of the picture, if it is one of the collection. The limits of the collection hold for
        it, not those of uploads.

    Raises
    ------
    PictureError, Overloaded
        As `query_of_bytes`.
    InvalidRequest
        If the region has too few pixels.
    """
    limits = None if own_row is None else COLLECTION_LIMITS
    picture = decoding.decode(data, region, limits=limits)
    examples = () if own_row is None else (own_row,)
    return PreparedQuery(Query("encoded", _encode(live, picture), examples=examples), picture)


def search(live: Live, query: Query, options: Options) -> SearchResponse:
    """Return one page of the pictures most similar to a query.

    Raises
    ------
    InvalidQuery
        As `index.search.response.respond`.
    Overloaded
        If the request has used up its time.
    """
    deadline.check()
    with timed("search"):
        return respond(live.snapshot, query, options)


def pictures(
    live: Live, wanted: Filter | None, offset: int, limit: int
) -> tuple[int, list[ImageRecord]]:
    """Return how many pictures pass a filter, and one page of them in row order."""
    catalogue = live.snapshot.catalogue
    if wanted is None:
        return len(catalogue), catalogue.page(offset, limit)
    rows = passing_rows(live.snapshot, wanted)
    return len(rows), catalogue.records(rows[offset : offset + limit].tolist())


def _encode(live: Live, picture: Decoded) -> Vectors:
    deadline.check()
    with timed("encode"):
        return live.encoder.encode_query(picture.pixels)
