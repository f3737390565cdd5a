"""Use cases: what a query is, and which pictures answer it. No Flask.

**One order on every page.** The first pages of a known picture come from the top-k table, later
ones from a search, and either may keep any of the pictures that tie at its last rank. So the table
is the authority for the k pictures that it names, and a search only says how the others follow; a
search that ended among ties is repeated deeper. Scores are rounded to 6 decimals before they are
ordered and compared with a threshold, so that pictures whose scores look equal are equal, and come
lower row first. Pages put together therefore are one large page.
docs/decisions/0032-one-order-for-all-pages.md says more.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from index.catalogue import ImageRecord
from index.snapshot import Snapshot
from index.store import VectorStore
from models.preprocess import Limits, decode, pixel_digest, to_pixels
from service.errors import InvalidRequest
from service.schemas import Options
from service.snapshots import Live

Mode = Literal["cached", "encoded", "vector"]

SCORE_DECIMALS = 6
_SPARE = 32  # rows that a search returns beyond those asked for, so that ties seldom need a second
_DEEPER = 16  # a search that ended among ties goes so much deeper
_COUNTED_AT_ONCE = 1024  # 16 MB of vectors
_ROUGH = 1e-4  # float32 sums of 4096 products are closer than this to the score


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
    picture : PIL.Image.Image or None
        The decoded picture, if it had to be decoded.
    """

    mode: Mode
    vector: NDArray[np.float32]
    row: int | None = None
    picture: Image.Image | None = None


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
        Pictures that pass the threshold, on this page or not.
    hits : list of Hit
    time_ms : float
        Milliseconds that the search took, without getting the query's vector.
    """

    snapshot: str
    query: Query
    total: int
    hits: list[Hit]
    time_ms: float


@dataclass(frozen=True)
class _Ranking:
    """Pictures by falling score, equal scores by rising row; the known picture itself leads.

    `scores` and `rows` have shape (m,) and reach as deep as was needed; `total` counts all.
    """

    scores: NDArray[np.float64]
    rows: NDArray[np.int64]
    total: int


def query_of_bytes(live: Live, data: bytes, limits: Limits) -> Query:
    """Recognise an uploaded picture, or encode it.

    Parameters
    ----------
    live : Live
    data : bytes
        The whole file. Kept nowhere.
    limits : Limits

    Returns
    -------
    Query
        "cached" if the collection has this file, or one with the same pixels; else "encoded".

    Raises
    ------
    PictureError
        If it is no picture that can be read.
    """
    catalogue = live.snapshot.catalogue
    row = catalogue.row_of_sha256(hashlib.sha256(data).hexdigest())
    if row is not None:
        return query_of_row(live, row)
    picture = decode(data, limits)
    pixels = to_pixels(picture)
    row = catalogue.row_of_pixels(pixel_digest(pixels))
    if row is not None:
        return query_of_row(live, row)
    return Query("encoded", live.encoder.encode(pixels[np.newaxis])[0], picture=picture)


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
        Pictures `offset` to `offset + limit` of the order described at the top of this module.
    """
    started = time.perf_counter()
    ranking = _rank(live.snapshot, query, options)
    page = slice(options.offset, options.offset + options.limit)
    hits = _hits(live.snapshot, ranking.scores[page], ranking.rows[page], options.with_vector)
    time_ms = 1000 * (time.perf_counter() - started)
    return Answer(live.id, query, ranking.total, hits, round(time_ms, 3))


def _rank(snapshot: Snapshot, query: Query, options: Options) -> _Ranking:
    """Rank as deep as the page needs, and count; a filter would go to the search."""
    if query.row is None:
        return _rank_by_search(snapshot.store, query.vector, options)
    ranking = _rank_known(snapshot, query, options)
    if options.include_self:
        return ranking
    return _Ranking(ranking.scores[1:], ranking.rows[1:], ranking.total - 1)


def _rank_known(snapshot: Snapshot, query: Query, options: Options) -> _Ranking:
    """Rank for a picture of the collection, which leads."""
    assert query.row is not None
    scores, rows = _table_line(snapshot, query.row)
    if _table_answers(scores, len(snapshot), options):
        return _cut(scores, rows, len(snapshot), options.score_threshold)
    found = _rank_by_search(snapshot.store, query.vector, options)
    is_new = ~np.isin(found.rows, rows)
    # The table may have been made with other rounding; scores must not rise after it.
    new_scores = np.minimum(found.scores[is_new], scores[-1])
    return _cut(
        np.append(scores, new_scores),
        np.append(rows, found.rows[is_new]),
        found.total,
        options.score_threshold,
    )


def _rank_by_search(store: VectorStore, vector: NDArray[np.float32], options: Options) -> _Ranking:
    # One more, as the picture itself may be left out.
    scores, rows = _search(store, vector, options.offset + options.limit + 1)
    threshold, total = options.score_threshold, len(store)
    if threshold is not None and len(rows) < len(store) and scores[-1] >= threshold:
        total = _count_passing(store, vector, threshold)
    return _cut(scores, rows, total, threshold)


def _table_line(snapshot: Snapshot, row: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a row's neighbours from the top-k table, itself first."""
    scores = _rounded(snapshot.topk.scores[row])
    rows = np.asarray(snapshot.topk.rows[row], np.int64)
    others = _in_order(scores[1:], rows[1:])
    return np.append(scores[0], others[0]), np.append(rows[0], others[1])


def _table_answers(scores: NDArray[np.float64], n_images: int, options: Options) -> bool:
    """Say whether a row's line of the table holds the whole page, and tells the total."""
    k = len(scores)
    if k == n_images:
        return True
    if options.score_threshold is None:
        return options.offset + options.limit + (not options.include_self) <= k
    return bool(options.score_threshold > scores[-1])  # then all that pass are in the table


def _search(
    store: VectorStore, vector: NDArray[np.float32], depth: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the best `depth` rows, and all that tie with the last."""
    n = len(store)
    depth = min(depth, n)
    k = min(depth + _SPARE, n)
    while True:
        found = store.search(vector[np.newaxis], k)
        scores, rows = _in_order(_rounded(found[0][0]), found[1][0])
        if k == n or scores[-1] < scores[depth - 1]:
            return scores, rows
        k = min(k * _DEEPER, n)


def _count_passing(store: VectorStore, vector: NDArray[np.float32], threshold: float) -> int:
    """Count all rows that pass a threshold, in bounded memory: a search would rank them as well."""
    count = 0
    for start in range(0, len(store), _COUNTED_AT_ONCE):
        rows = np.arange(start, min(start + _COUNTED_AT_ONCE, len(store)))
        rough = store.vectors(rows) @ vector
        is_near = np.abs(rough - threshold) < _ROUGH
        near = store.scores(vector[np.newaxis], rows[np.newaxis, is_near])[0]
        count += int((rough[~is_near] >= threshold).sum())
        count += int((_rounded(near) >= threshold).sum())
    return count


def _cut(
    scores: NDArray[np.float64], rows: NDArray[np.int64], total: int, threshold: float | None
) -> _Ranking:
    """Keep what passes the threshold; if something does not, what does is all there is."""
    if threshold is None:
        return _Ranking(scores, rows, total)
    n_passing = int((scores >= threshold).sum())
    if n_passing < len(scores):
        total = n_passing
    return _Ranking(scores[:n_passing], rows[:n_passing], total)


def _rounded(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    return scores.astype(np.float64).round(SCORE_DECIMALS) + 0.0  # no -0.0


def _in_order(
    scores: NDArray[np.float64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    order = np.lexsort((rows, -scores))
    return scores[order], rows[order]


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
