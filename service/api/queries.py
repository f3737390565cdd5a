"""What requests ask with: an uploaded picture or one of the collection, or a part of either."""

from __future__ import annotations

from service import search
from service.context import context
from service.images import originals
from service.images.regions import Region
from service.snapshots import Live


def query_of_file(live: Live, data: bytes, part: Region | None) -> search.Query:
    """Return the query for an uploaded picture, or for a part of it.

    Raises
    ------
    PictureError, InvalidRequest, Overloaded, TimeIsUp
        As `search.query_of_region`.
    """
    if part is None:
        return search.query_of_bytes(live, data, context().decoding)
    return search.query_of_region(live, data, part, context().decoding)


def query_of_indexed(live: Live, image_id: str, part: Region | None) -> search.Query:
    """Return the query for a picture of the collection, or for a part of its original.

    Raises
    ------
    UnknownImage
        If there is no such picture.
    NoPictureFile
        If a part is asked for, and the original is gone or has changed.
    PictureError, InvalidRequest, Overloaded, TimeIsUp
        As `search.query_of_region`.
    """
    if part is None:
        return search.query_of_id(live, image_id)
    record = live.snapshot.catalogue.by_id(image_id)
    decoding = context().decoding
    data = originals.read(record, context().image_root(live), decoding.limits.max_bytes)
    return search.query_of_region(live, data, part, decoding, own=record.row)
