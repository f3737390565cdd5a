"""Use cases: what a query is, and which pictures answer it. No Flask."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index.catalogue import ImageRecord
from index.snapshot import Snapshot
from models.preprocess import pixel_digest
from service import filters
from service.api.schemas import Filter, FilteredPage, Options
from service.errors import InvalidRequest
from service.guard import deadline
from service.images.decoding import Decoded, Decoding
from service.images.regions import Region
from service.process.counters import timed
from service.ranking import rank
from service.snapshots import Live

_LEAST_LENGTH = 1e-6  # rounding errors of float32 have no direction worth a search
Mode = Literal["cached", "encoded", "vector"]


@dataclass(frozen=True)
class Query:
    """What is searched for, and how its vector was had.

    Attributes
    ----------
    mode : {"cached", "encoded", "vector"}
    vector : ndarray of shape (dim,), float32
        Of unit length.
    row : int or None
        Its row, if it is a picture of the collection.
    examples : tuple of int
        Rows of the pictures that the vector was put together from, or that a part is of.
    picture : Decoded or None
        The uploaded picture, if it had to be encoded.
    crops : ndarray of shape (m, dim), float32, or None
        Of a picture that had to be encoded, unit rows: what larger pictures would look like that
        it may be a piece of. m is 0 if the encoder cannot tell.
    """

    mode: Mode
    vector: NDArray[np.float32]
    row: int | None = None
    examples: tuple[int, ...] = ()
    picture: Decoded | None = None
    crops: NDArray[np.float32] | None = None

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vector and those of the crops, (1 + m, dim)."""
        whole = self.vector[np.newaxis]
        return whole if self.crops is None else np.concatenate([whole, self.crops])


@dataclass(frozen=True)
class Hit:
    """One picture of an answer.

    Attributes
    ----------
    image : ImageRecord
    score : float
        Cosine similarity, [-1, 1], 6 decimals.
    cluster : int or None
        Label of its group; None without groups.
    vector : ndarray of shape (dim,), float32, or None
    """

    image: ImageRecord
    score: float
    cluster: int | None
    vector: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Answer:
    """Some pictures, best first.

    Attributes
    ----------
    snapshot : str
        Id of the snapshot that answered.
    query : Query
    total : int
        Pictures that pass filter and threshold, on this page or not.
    hits : list of Hit
    time_ms : float
        Milliseconds that the search took, without getting the query's vector.
    """

    snapshot: str
    query: Query
    total: int
    hits: list[Hit]
    time_ms: float


def query_of_bytes(live: Live, data: bytes, decoding: Decoding) -> Query:
    """Recognise an uploaded picture, or encode it.

    Parameters
    ----------
    live : Live
    data : bytes
        The whole file. Kept nowhere.
    decoding : Decoding

    Returns
    -------
    Query
        "cached" if the collection has this file, or one with the same pixels; else "encoded".

    Raises
    ------
    PictureError
        If it is no picture that can be read.
    Overloaded
        If there is no room or time to decode it.
    """
    catalogue = live.snapshot.catalogue
    row = catalogue.row_of_sha256(hashlib.sha256(data).hexdigest())
    if row is not None:
        return query_of_row(live, row)
    picture = decoding.decode(data)
    row = catalogue.row_of_pixels(pixel_digest(picture.pixels))
    if row is not None:
        return query_of_row(live, row)
    return _encoded(live, picture)


def query_of_region(
    live: Live, data: bytes, region: Region, decoding: Decoding, own: int | None = None
) -> Query:
    """Encode a part of a picture.

    Parameters
    ----------
    live : Live
    data : bytes
        The whole file. Kept nowhere.
    region : Region
    decoding : Decoding
    own : int, optional
        Its row, if it is a picture of the collection.

    Raises
    ------
    PictureError, InvalidRequest, Overloaded, TimeIsUp
        As `query_of_bytes`; also if the region has too few pixels.
    """
    picture = decoding.decode(data, region)
    examples = () if own is None else (own,)
    return _encoded(live, picture, examples)


def _encoded(live: Live, picture: Decoded, examples: tuple[int, ...] = ()) -> Query:
    deadline.check()
    with timed("encode"):
        vectors = live.encoder.encode_query(picture.pixels)
    return Query("encoded", vectors[0], examples=examples, picture=picture, crops=vectors[1:])


def query_of_id(live: Live, image_id: str) -> Query:
    """Return the query for a picture of the collection; UnknownImage if there is none."""
    return query_of_row(live, live.snapshot.catalogue.by_id(image_id).row)


def query_of_row(live: Live, row: int) -> Query:
    """Return the query for the picture of a row."""
    return Query("cached", live.snapshot.store.vectors(np.array([row]))[0], row)


def query_of_vector(live: Live, numbers: Sequence[float]) -> Query:
    """Return the query for a vector of the client's own.

    Parameters
    ----------
    live : Live
    numbers : sequence of float
        Of any length but zero; it is scaled to 1.

    Raises
    ------
    InvalidRequest
        If it has the wrong number of entries, or no direction.
    """
    dim = live.snapshot.store.dim
    if len(numbers) != dim:
        raise _invalid_vector(f"has {len(numbers)} numbers, the vectors of this collection {dim}")
    largest = max(map(abs, numbers))
    if largest == 0 or not math.isfinite(largest):
        raise _invalid_vector("must be finite and have a number that is not 0")
    scaled = np.array(numbers, np.float64) / largest  # or squares could overflow
    return Query("vector", (scaled / np.linalg.norm(scaled)).astype(np.float32))


def query_of_examples(live: Live, positive: Sequence[str], negative: Sequence[str]) -> Query:
    """Return the query for pictures that are like some of the collection and unlike others.

    Parameters
    ----------
    live : Live
    positive, negative : sequences of str
        Ids; at least one positive.

    Returns
    -------
    Query
        Its vector points along 2 * mean(positive) - mean(negative), or mean(positive) alone.

    Raises
    ------
    UnknownImage
        If there is no picture of one of the ids.
    InvalidRequest
        If the examples cancel each other out.

    Notes
    -----
    Source: the strategy `average_vector` of Qdrant's recommendations
    (https://qdrant.tech/documentation/concepts/explore/), a form of Rocchio's relevance feedback:
    Manning, Raghavan and Schuetze, "Introduction to Information Retrieval" (2008), 9.1.1.
    """
    rows = [[live.snapshot.catalogue.by_id(one).row for one in ids] for ids in (positive, negative)]
    vector = _mean(live, rows[0])
    if negative:
        vector = 2 * vector - _mean(live, rows[1])
    length = np.linalg.norm(vector)
    if length < _LEAST_LENGTH:
        raise InvalidRequest([("negative", "is as the positive ones: they leave no direction")])
    examples = tuple(sorted({*rows[0], *rows[1]}))
    return Query("vector", (vector / length).astype(np.float32), examples=examples)


def _mean(live: Live, rows: list[int]) -> NDArray[np.float64]:
    vectors = live.snapshot.store.vectors(np.array(rows))
    return np.asarray(vectors.mean(axis=0, dtype=np.float64))


def search(live: Live, query: Query, options: Options) -> Answer:
    """Find the pictures that are most like a query.

    Parameters
    ----------
    live : Live
    query : Query
    options : Options

    Returns
    -------
    Answer
        Pictures `offset` to `offset + limit` of the order that `service.ranking` describes.

    Raises
    ------
    InvalidRequest
        If the filter asks for a key that there is not.
    Overloaded
        If the request has used its time.
    """
    deadline.check()
    started = time.perf_counter()
    rows = None if options.filter is None else rows_passing(live, options.filter)
    with timed("search"):
        left_out = None if options.include_self else _rows(query.examples)
        ranking = rank(live.snapshot, query.vectors, query.row, options, rows, left_out)
    page = slice(options.offset, options.offset + options.limit)
    hits = _hits(live.snapshot, ranking.scores[page], ranking.rows[page], options.with_vector)
    time_ms = 1000 * (time.perf_counter() - started)
    return Answer(live.id, query, ranking.total, hits, round(time_ms, 3))


def pictures(live: Live, page: FilteredPage) -> tuple[int, list[ImageRecord]]:
    """Return how many pictures pass a filter, and one page of them in the order of their rows."""
    catalogue = live.snapshot.catalogue
    if page.filter is None:
        return len(catalogue), catalogue.page(page.offset, page.limit)
    rows = rows_passing(live, page.filter)
    return len(rows), catalogue.records(rows[page.offset : page.offset + page.limit].tolist())


def rows_passing(live: Live, wanted: Filter) -> NDArray[np.int64]:
    """Return the rows of the pictures that pass a filter; see `filters.passing_rows`."""
    return filters.passing_rows(live.snapshot, live.metadata, wanted)


def _rows(rows: Sequence[int]) -> NDArray[np.int64] | None:
    return np.array(rows, np.int64) if rows else None


def _hits(
    snapshot: Snapshot,
    scores: NDArray[np.float64],
    rows: NDArray[np.int64],
    with_vector: bool,
) -> list[Hit]:
    images = snapshot.catalogue.records(rows.tolist())
    vectors = snapshot.store.vectors(rows) if with_vector else [None] * len(rows)
    return [
        Hit(image, score, cluster_of(snapshot, image.row), vector)
        for image, score, vector in zip(images, scores.tolist(), vectors, strict=True)
    ]


def cluster_of(snapshot: Snapshot, row: int) -> int | None:
    """Return the label of a row's group, or None without groups."""
    return None if snapshot.clusters is None else int(snapshot.clusters.labels[row])


def _invalid_vector(message: str) -> InvalidRequest:
    return InvalidRequest([("vector", message)])
