"""Duplicates: pictures that are equal, or so similar that a person may want only one of them.

Two pictures are joined if their score reaches a threshold. A group is a connected component of this
graph (single linkage), so two of its members may have a score below the threshold. The edges come
from the top-k table. A picture whose k neighbours are all duplicates is compared with all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from index.arrays import Rows, blocks
from index.catalogue import Catalogue, ImageRecord
from index.search.searchable import Searchable
from index.search.store import VectorStore
from index.search.topk import TopKTable

DEFAULT_THRESHOLD = 0.98
_BLOCK = 1024


@dataclass(frozen=True)
class DuplicateGroup:
    """Pictures that look the same.

    Attributes
    ----------
    kind : str
        "exact" (the same bytes), "pixels" (the same pixels in different files) or "near".
    images : list of ImageRecord
        At least two, the largest picture first (by pixels, then by bytes, then by path).
    scores : list of float
        Cosine of each picture with the first.
    """

    kind: str
    images: list[ImageRecord]
    scores: list[float]


def duplicate_groups(searchable: Searchable, threshold: float = DEFAULT_THRESHOLD) -> list[Rows]:
    """Return the rows of each group of duplicates, the largest group first.

    Parameters
    ----------
    searchable : Searchable
    threshold : float
        Minimum cosine that joins two pictures, in [-1, 1]. Above 1, only pictures with the same
        bytes or pixels are joined.

    Returns
    -------
    groups : list of ndarray of shape (m,), int64
        m >= 2, rising. Groups of equal size are ordered by their first row.

    Notes
    -----
    Reads the (n, k) table once, and all vectors once for each row whose k neighbours are all
    duplicates.
    """
    parents = np.arange(len(searchable))
    for one, other in _edges(searchable.store, searchable.topk, threshold):
        _join(parents, one, other)
    for one, other in _equal_pixels(searchable.catalogue):
        _join(parents, one, other)
    roots = np.array([_root(parents, row) for row in range(len(parents))], np.int64)
    order = np.argsort(roots, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(roots[order])) + 1)
    return sorted((g for g in groups if len(g) > 1), key=lambda g: (-len(g), g[0]))


def describe(searchable: Searchable, rows: Rows) -> DuplicateGroup:
    """Return the records, scores and kind of a group of duplicates."""
    records = sorted(
        searchable.catalogue.records(rows.tolist()),
        key=lambda r: (-r.width * r.height, -r.size_bytes, r.path),
    )
    first = searchable.store.vectors(np.array([records[0].row]))
    scores = searchable.store.scores(first, np.array([[r.row for r in records]]))[0]
    return DuplicateGroup(_kind(records), records, scores.tolist())


def _kind(records: list[ImageRecord]) -> str:
    if len({record.sha256 for record in records}) == 1:
        return "exact"
    return "pixels" if len({record.pixel_digest for record in records}) == 1 else "near"


def _edges(store: VectorStore, table: TopKTable, threshold: float) -> Iterator[tuple[int, int]]:
    for start in range(0, len(table), _BLOCK):
        scores = np.asarray(table.scores[start : start + _BLOCK])
        own, ranks = np.nonzero(scores >= threshold)
        rows = np.asarray(table.rows[start : start + _BLOCK])[own, ranks]
        yield from zip((own + start).tolist(), rows.tolist(), strict=True)
        if table.k < len(table):
            for row in start + np.flatnonzero(scores[:, -1] >= threshold):
                yield from _edges_of(store, int(row), threshold)


def _edges_of(store: VectorStore, row: int, threshold: float) -> Iterator[tuple[int, int]]:
    """Yield every edge of one row, by comparing the row with all others."""
    query = store.vectors(np.array([row]))
    for others in blocks(np.arange(len(store)), _BLOCK):
        for other in others[store.scores(query, others[None])[0] >= threshold].tolist():
            yield row, other


def _equal_pixels(catalogue: Catalogue) -> Iterator[tuple[int, int]]:
    first: dict[str, int] = {}
    for record in catalogue:
        yield first.setdefault(record.pixel_digest, record.row), record.row


def _root(parents: Rows, row: int) -> int:
    """Return the lowest row of a row's group so far, and shorten the path to it."""
    while parents[row] != row:
        parents[row] = parents[parents[row]]
        row = int(parents[row])
    return row


def _join(parents: Rows, one: int, other: int) -> None:
    low, high = sorted((_root(parents, one), _root(parents, other)))
    parents[high] = low
