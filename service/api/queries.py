"""Queries of requests: with an upload, a picture of the collection, or a region of either."""

from __future__ import annotations

from index.search.queries import query_of_id
from models.preprocess import COLLECTION_LIMITS
from service.context import context
from service.images import originals
from service.schemas import Region
from service.search import PreparedQuery, query_of_bytes, query_of_region
from service.snapshots import Live


def query_of_file(live: Live, data: bytes, region: Region | None) -> PreparedQuery:
    """Return the query for an uploaded picture, or for a region of it.

    Raises
    ------
    PictureError, InvalidRequest, Overloaded
        As `service.search.query_of_region`.
    """
    if region is None:
        return query_of_bytes(live, data, context().decoding)
    return query_of_region(live, data, region, context().decoding)


def query_of_indexed(live: Live, image_id: str, region: Region | None) -> PreparedQuery:
    """Return the query for a picture of the collection, or for a region of its original.

    Raises
    ------
    UnknownImage
        If the id is unknown.
    NoPictureFile
        If a region is requested, and the original is missing or has changed.
    PictureError, InvalidRequest, Overloaded
        As `service.search.query_of_region`.
    """
    if region is None:
        return PreparedQuery(query_of_id(live.snapshot, image_id))
    record = live.snapshot.catalogue.by_id(image_id)
    decoding = context().decoding
    data = originals.read(record, context().image_root(live), COLLECTION_LIMITS.max_bytes)
    return query_of_region(live, data, region, decoding, own_row=record.row)
