"""Response: the results of a search, with the fields of the HTTP API and of `search --json`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from index.arrays import Vectors
from index.catalogue import ImageRecord
from index.search.filters import passing_rows
from index.search.queries import Mode, Query
from index.search.ranking import Options, Ranking, rank
from index.search.searchable import Searchable

API = "/api/v1"
THUMBNAIL_ROUTE = "/images/{image_id}/thumbnail"  # below API


@dataclass(frozen=True, eq=False)
class SearchResult:
    """One picture found by a search.

    Attributes
    ----------
    image : ImageRecord
    score : float
        Cosine similarity, [-1, 1], 6 decimals.
    cluster : int or None
        Label of its group; None before the first grouping.
    vector : ndarray of shape (dim,), float32, or None
        None unless requested.
    """

    image: ImageRecord
    score: float
    cluster: int | None
    vector: Vectors | None = None


@dataclass(frozen=True, eq=False)
class SearchResponse:
    """One page of the results of a search, best first.

    Attributes
    ----------
    snapshot : str
        Id of the snapshot that was searched.
    mode : {"cached", "encoded", "vector"}
        Where the query's vector came from.
    total : int
        Exact number of pictures that pass filter and threshold, on all pages.
    time_ms : float
        Duration of the search in milliseconds, without the query's decoding and encoding.
    results : list of SearchResult
    has_thumbnails : bool
    """

    snapshot: str
    mode: Mode
    total: int
    time_ms: float
    results: list[SearchResult]
    has_thumbnails: bool

    def as_dict(self, root: str = "") -> dict[str, Any]:
        """Return the JSON value of the response.

        Parameters
        ----------
        root : str
            Path under which the service is reached, without a slash at the end.
        """
        return {
            "snapshot": self.snapshot,
            "mode": self.mode,
            "total": self.total,
            "time_ms": self.time_ms,
            "results": [self._result(one, root) for one in self.results],
        }

    def _result(self, result: SearchResult, root: str) -> dict[str, Any]:
        image = result.image
        vector = {} if result.vector is None else {"vector": result.vector.tolist()}
        return {
            "id": image.id,
            "score": result.score,
            "path": image.path,
            "cluster": result.cluster,
            "width": image.width,
            "height": image.height,
            "thumbnail_url": thumbnail_url(image.id, root) if self.has_thumbnails else None,
            "metadata": image.metadata,
            **vector,
        }


def respond(searchable: Searchable, query: Query, options: Options) -> SearchResponse:
    """Search: filter, rank, and look up one page of results.

    Parameters
    ----------
    searchable : Searchable
    query : Query
    options : Options

    Returns
    -------
    SearchResponse
        Results `offset` to `offset + limit` of the order that `index.search.ranking` describes.

    Raises
    ------
    InvalidQuery
        If the filter names an unknown key, or a test does not suit its key.
    """
    started = time.perf_counter()
    passing = None if options.filter is None else passing_rows(searchable, options.filter)
    ranking = rank(searchable, query, options, passing)
    results = _results(searchable, ranking, options)
    time_ms = round(1000 * (time.perf_counter() - started), 3)
    has_thumbnails = searchable.thumbnails is not None
    return SearchResponse(
        searchable.id, query.mode, ranking.total, time_ms, results, has_thumbnails
    )


def thumbnail_url(image_id: str, root: str = "") -> str:
    """Return the path of a picture's thumbnail on the service; `root` as in `as_dict`."""
    return root + API + THUMBNAIL_ROUTE.format(image_id=image_id)


def cluster_of(searchable: Searchable, row: int) -> int | None:
    """Return the label of a row's group; None before the first grouping."""
    return None if searchable.clusters is None else int(searchable.clusters.labels[row])


def _results(searchable: Searchable, ranking: Ranking, options: Options) -> list[SearchResult]:
    page = slice(options.offset, options.offset + options.limit)
    rows, scores = ranking.rows[page], ranking.scores[page].tolist()
    images = searchable.catalogue.records(rows.tolist())
    vectors = searchable.store.vectors(rows) if options.with_vector else [None] * len(rows)
    return [
        SearchResult(image, score, cluster_of(searchable, image.row), vector)
        for image, score, vector in zip(images, scores, vectors, strict=True)
    ]
