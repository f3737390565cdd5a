"""Duplicates: pictures that are equal, or so similar that a person may want only one of them.

A group is a star: a keeper, and pictures that each score at least a threshold with the keeper.
Pictures become keepers greedily, the largest first, unless an earlier keeper is that similar. Every
other picture goes to the most similar keeper among those before it. So the keeper is the largest
picture of its group, and no member scores below the threshold with it.

Three rules go before the score. Equal pictures are always in one group. A picture of a single
colour is similar only to pictures of nearly the same single colour, because an encoder compares
patterns, and it has none. A zero encoding is similar to nothing, because it has no direction.

docs/decisions/0023-duplicate-groups.md gives the reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.arrays import Mask, RoundedScores, Rows, blocks
from index.catalogue import Catalogue, ImageRecord
from index.search.crops import ROUGH, exact_scores, rough_scores
from index.search.ranking import rounded
from index.search.searchable import Searchable
from index.search.store import VectorStore
from index.search.topk import TopKTable

DEFAULT_THRESHOLD = 0.98
COLOUR_TOLERANCE = 8  # levels of 255 in each channel; such colours look the same
_BLOCK = 1024


@dataclass(frozen=True)
class DuplicateGroup:
    """Pictures that look the same.

    Attributes
    ----------
    kind : str
        "exact" (the same bytes), "pixels" (the same pixels at full size, in different files) or
        "near".
    images : list of ImageRecord
        At least two, the largest picture first (by pixels, then by bytes, then by path). The first
        is the keeper.
    scores : list of float
        Cosine of each picture with the keeper, 6 decimals.
    """

    kind: str
    images: list[ImageRecord]
    scores: list[float]


def duplicate_groups(
    searchable: Searchable,
    threshold: float = DEFAULT_THRESHOLD,
    before_comparing: Callable[[int], object] = lambda n: None,
) -> list[Rows]:
    """Return the rows of each group of duplicates, the largest group first.

    Parameters
    ----------
    searchable : Searchable
    threshold : float
        Minimum cosine with the keeper, in [-1, 1]. Above 1, only equal pictures form groups.
    before_comparing : callable, optional
        Called with a number of pictures before that many are compared with a keeper. It may raise,
        to end a search that takes too long.

    Returns
    -------
    groups : list of ndarray of shape (m,), int64
        m >= 2, the keeper first, then the other pictures, the larger first. Groups of equal size
        are ordered by the row of the keeper.

    Notes
    -----
    The result depends on the pictures and their paths, not on the order of the rows. Neighbours
    come from the top-k table. Only a keeper whose k neighbours all reach the threshold is compared
    with all smaller pictures that have duplicates. Time: O(n k), and O(n) for each such keeper.
    Memory: O(n).
    """
    pictures = _Pictures.of(searchable.catalogue)
    keepers = pictures.first_equal.copy()
    if threshold <= 1:
        stars = _Stars(searchable.store, searchable.topk, pictures, threshold, before_comparing)
        keepers = stars.keepers()[pictures.first_equal]
    # Sorted by keeper, the members of a group are adjacent, the largest first.
    rows = pictures.order[np.argsort(pictures.rank[keepers[pictures.order]], kind="stable")]
    groups = np.split(rows, np.flatnonzero(np.diff(keepers[rows])) + 1)
    return sorted((g for g in groups if len(g) > 1), key=lambda g: (-len(g), g[0]))


def describe(searchable: Searchable, rows: Rows) -> DuplicateGroup:
    """Return the records, scores and kind of a group, given its rows with the keeper first."""
    records = searchable.catalogue.records(rows.tolist())
    keeper = searchable.store.vectors(rows[:1])
    scores = rounded(searchable.store.scores(keeper, rows[np.newaxis])[0])
    return DuplicateGroup(_kind(records), records, scores.tolist())


def _kind(records: list[ImageRecord]) -> str:
    if len({record.sha256 for record in records}) == 1:
        return "exact"
    full_digests = {record.full_digest for record in records} - {None}  # None in schema 1
    is_equal = len({record.pixel_digest for record in records}) == 1 and len(full_digests) <= 1
    return "pixels" if is_equal else "near"


@dataclass(frozen=True, eq=False)
class _Pictures:
    """What duplicates need to know of each picture besides its vector.

    Attributes
    ----------
    order : ndarray of shape (n,), int64
        Rows, the largest picture first.
    rank : ndarray of shape (n,), int64
        Place of each row in `order`.
    first_equal : ndarray of shape (n,), int64
        For each row the first row of the order that has the same pixels; itself if it is the first.
    colours : ndarray of shape (n, 3), int16
        Red, green and blue of a picture of a single colour; -1 for every other picture.
    """

    order: Rows
    rank: Rows
    first_equal: Rows
    colours: NDArray[np.int16]

    @classmethod
    def of(cls, catalogue: Catalogue) -> _Pictures:
        """Collect the pictures of a catalogue."""
        order = np.array(catalogue.rows_largest_first(), np.int64)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        colours = np.full((len(order), 3), -1, np.int16)
        for row, colour in catalogue.single_colours():
            colours[row] = list(bytes.fromhex(colour.removeprefix("#")))
        return cls(order, rank, _first_equal(catalogue, rank), colours)

    def are_comparable(self, row: int, others: Rows) -> Mask:
        """Return whether a score says anything of a picture and each of some others."""
        is_plain: Mask = self.colours[others, 0] >= 0
        if self.colours[row, 0] < 0:
            return ~is_plain
        apart = np.abs(self.colours[others] - self.colours[row]).max(axis=1)
        return np.asarray(is_plain & (apart <= COLOUR_TOLERANCE))


def _first_equal(catalogue: Catalogue, rank: Rows) -> Rows:
    """Return for each row the one of lowest rank among those with the same pixels.

    A picture of schema 1 has no full digest. It is equal to the first of those that share its pixel
    digest.
    """
    first_equal = np.arange(len(rank))
    shared = sorted(catalogue.shared_pixels(), key=lambda line: rank[line[0]])
    full_digests: dict[str, str] = {}
    for _, pixel_digest, full_digest in shared:
        if full_digest is not None:
            full_digests.setdefault(pixel_digest, full_digest)
    first: dict[str, int] = {}
    for row, pixel_digest, full_digest in shared:
        digest = full_digest or full_digests.get(pixel_digest, pixel_digest)
        first_equal[row] = first.setdefault(digest, row)
    return first_equal


class _Stars:
    """The greedy choice of keepers among different pictures."""

    def __init__(
        self,
        store: VectorStore,
        table: TopKTable,
        pictures: _Pictures,
        threshold: float,
        before_comparing: Callable[[int], object],
    ) -> None:
        self._store, self._table, self._pictures = store, table, pictures
        self._threshold, self._before_comparing = threshold, before_comparing
        has_others, self._is_full = _neighbourhoods(table, threshold - ROUGH)
        candidates = pictures.order[has_others[pictures.order]]
        candidates = candidates[pictures.first_equal[candidates] == candidates]
        self._candidates = candidates[_has_direction(store, pictures, candidates)]
        self._is_candidate = np.zeros(len(store), bool)
        self._is_candidate[self._candidates] = True

    def keepers(self) -> Rows:
        """Return the keeper of each row, (n,) int64; a row without one is its own."""
        keepers = np.arange(len(self._store))
        best = np.full(len(keepers), -np.inf)
        for place, row in enumerate(self._candidates.tolist()):
            if keepers[row] == row:
                members, scores = self._similar(place)
                is_closer = scores > best[members]  # of equal scores, the earlier keeper
                keepers[members[is_closer]] = row
                best[members[is_closer]] = scores[is_closer]
        return keepers

    def _similar(self, place: int) -> tuple[Rows, RoundedScores]:
        """Return the candidates after a place that reach the threshold, and their scores."""
        row = int(self._candidates[place])
        vector = self._store.vectors(self._candidates[place : place + 1])
        others = self._possible(place)
        others = others[self._pictures.are_comparable(row, others)]
        self._before_comparing(len(others))
        if self._is_full[row]:
            rough = rough_scores(self._store, vector, others)
            others = others[rough >= self._threshold - ROUGH]
        scores = rounded(exact_scores(self._store, vector, others))
        return others[scores >= self._threshold], scores[scores >= self._threshold]

    def _possible(self, place: int) -> Rows:
        """Return the candidates after a place that may reach the threshold."""
        row = int(self._candidates[place])
        if self._is_full[row]:
            rest: Rows = self._candidates[place + 1 :]
            return rest
        is_near = np.asarray(self._table.scores[row]) >= self._threshold - ROUGH
        near = np.asarray(self._table.rows[row])[is_near].astype(np.int64)
        others = np.unique(self._pictures.first_equal[near])
        is_after = self._pictures.rank[others] > self._pictures.rank[row]
        after: Rows = others[is_after & self._is_candidate[others]]
        return after


def _neighbourhoods(table: TopKTable, least: float) -> tuple[Mask, Mask]:
    """Return whether each row has a neighbour besides itself, and whether it may have over k."""
    has_others, is_full = np.empty(len(table), bool), np.zeros(len(table), bool)
    for block in blocks(np.arange(len(table)), _BLOCK):
        scores = np.asarray(table.scores[block[0] : block[-1] + 1])
        if table.k < len(table):
            is_full[block] = scores[:, -1] >= least
        has_others[block] = is_full[block] | ((scores >= least).sum(axis=1) > 1)
    return has_others, is_full


def _has_direction(store: VectorStore, pictures: _Pictures, rows: Rows) -> Mask:
    """Return whether the score of each row says anything.

    The constant vector stands for a zero encoding. Only single-coloured pictures, which are
    compared by their colour as well, are similar in spite of it.
    """
    has_direction: Mask = pictures.colours[rows, 0] >= 0
    for block in blocks(np.flatnonzero(~has_direction), _BLOCK):
        vectors = store.vectors(rows[block])
        has_direction[block] = (vectors != vectors[:, :1]).any(axis=1)
    return has_direction
