"""The order of the answers, and how many there are. No Flask.

**One order on every page.** The first pages of a known picture come from the top-k table, later
ones from a search, and either may keep any of the pictures that tie at its last rank. So the table
is the authority for the k pictures that it names, and a search only says how the others follow; a
search that ended among ties is repeated deeper. Scores are rounded to 6 decimals before they are
ordered and compared with a threshold, so that pictures whose scores look equal are equal, and come
lower row first. Pages put together therefore are one large page.

**An uploaded picture** may be a crop of a larger one, and has several vectors: `index.search.crops`
says what a score is then.

**A filter** is an exact search of its own, among the rows that pass; the table knows nothing of it.
docs/decisions/0032-one-order-for-all-pages.md says more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.search.crops import ROUGH, exact_scores, may_be_among, rough_scores, search_with_crops
from index.search.store import Vectors, VectorStore
from index.snapshot import Snapshot
from service.api.schemas import Options

SCORE_DECIMALS = 6
_SPARE = 32  # rows that a search returns beyond those asked for, so that ties seldom need a second
_DEEPER = 16  # a search that ended among ties goes so much deeper

Scores = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """Pictures by falling score, equal scores by rising row; the known picture itself leads.

    `scores` and `rows` have shape (m,) and reach as deep as was needed; `total` counts all.
    """

    scores: Scores
    rows: Rows
    total: int


def rank(
    snapshot: Snapshot,
    vectors: Vectors,
    own: int | None,
    options: Options,
    rows: Rows | None = None,
    leave_out: Rows | None = None,
) -> Ranking:
    """Rank as deep as the page needs, and count.

    Parameters
    ----------
    snapshot : Snapshot
    vectors : ndarray of shape (1 + m, dim), float32
        Unit rows: of what is searched for, and of its crops if it has any.
    own : int or None
        The row that has the first vector, if it is that of a picture of the collection.
    options : Options
    rows : ndarray of shape (m,), int64, optional
        Those that pass the filter, rising; default: all.
    leave_out : ndarray of shape (m,), int64, optional
        Rows that may not answer, each once; `own` is None then.
    """
    if leave_out is not None:
        return _rank_others(snapshot.store, vectors, options, rows, leave_out)
    if rows is not None:
        return _rank_among(snapshot.store, vectors, own, options, rows)
    if own is None:
        return _rank_by_search(snapshot.store, vectors, options)
    ranking = _rank_known(snapshot, vectors, own, options)
    if options.include_self:
        return ranking
    return Ranking(ranking.scores[1:], ranking.rows[1:], ranking.total - 1)


def _rank_others(
    store: VectorStore, vectors: Vectors, options: Options, rows: Rows | None, leave_out: Rows
) -> Ranking:
    """Rank all rows but some."""
    if rows is not None:
        return _rank_among(store, vectors, None, options, np.setdiff1d(rows, leave_out))
    deeper = options.model_copy(update={"limit": options.limit + len(leave_out)})
    found = _rank_by_search(store, vectors, deeper)
    n_passing = len(leave_out)
    if options.score_threshold is not None:
        n_passing = int((_exact_scores(store, vectors, leave_out) >= options.score_threshold).sum())
    is_other = ~np.isin(found.rows, leave_out)
    return Ranking(found.scores[is_other], found.rows[is_other], found.total - n_passing)


def _rank_known(snapshot: Snapshot, vectors: Vectors, own: int, options: Options) -> Ranking:
    """Rank for a picture of the collection, which leads."""
    scores, rows = _table_line(snapshot, own)
    if _table_answers(scores, len(snapshot), options):
        return _cut(scores, rows, len(snapshot), options.score_threshold)
    found = _rank_by_search(snapshot.store, vectors, options)
    is_new = ~np.isin(found.rows, rows)
    # The table may have been made with other rounding; scores must not rise after it.
    new_scores = np.minimum(found.scores[is_new], scores[-1])
    return _cut(
        np.append(scores, new_scores),
        np.append(rows, found.rows[is_new]),
        found.total,
        options.score_threshold,
    )


def _rank_by_search(store: VectorStore, vectors: Vectors, options: Options) -> Ranking:
    # One more, as the picture itself may be left out.
    scores, rows = _search(store, vectors, options.offset + options.limit + 1)
    threshold, total = options.score_threshold, len(store)
    if threshold is not None and len(rows) < len(store) and scores[-1] >= threshold:
        rows_of_all = np.arange(len(store))
        rough = rough_scores(store, vectors, rows_of_all)
        total = _count_passing(store, vectors, rows_of_all, rough, threshold)
    return _cut(scores, rows, total, threshold)


def _table_line(snapshot: Snapshot, row: int) -> tuple[Scores, Rows]:
    """Return a row's neighbours from the top-k table, itself first."""
    scores = _rounded(snapshot.topk.scores[row])
    rows = np.asarray(snapshot.topk.rows[row], np.int64)
    others = _in_order(scores[1:], rows[1:])
    return np.append(scores[0], others[0]), np.append(rows[0], others[1])


def _table_answers(scores: Scores, n_images: int, options: Options) -> bool:
    """Say whether a row's line of the table holds the whole page, and tells the total."""
    k = len(scores)
    if k == n_images:
        return True
    if options.score_threshold is None:
        return options.offset + options.limit + (not options.include_self) <= k
    return bool(options.score_threshold > scores[-1])  # then all that pass are in the table


def _search(store: VectorStore, vectors: Vectors, depth: int) -> tuple[Scores, Rows]:
    """Return the best `depth` rows, and all that tie with the last."""
    n = len(store)
    depth = min(depth, n)
    k = min(depth + _SPARE, n)
    while True:
        found = search_with_crops(store, vectors, k)
        scores, rows = _in_order(_rounded(found[0]), found[1])
        if k == n or scores[-1] < scores[depth - 1]:
            return scores, rows
        k = min(k * _DEEPER, n)


def _rank_among(
    store: VectorStore, vectors: Vectors, own: int | None, options: Options, rows: Rows
) -> Ranking:
    """Rank some rows only: roughly first, then those exactly that may reach the page."""
    if own is not None and not options.include_self:
        rows = rows[rows != own]
    rough = rough_scores(store, vectors, rows)
    total, threshold = len(rows), options.score_threshold
    if threshold is not None:
        total = _count_passing(store, vectors, rows, rough, threshold)
    near = rows[may_be_among(rough, options.offset + options.limit)]
    scores, near = _in_order(_exact_scores(store, vectors, near), near)
    if own is not None:
        scores, near = _leading(own, scores, near)
    return _cut(scores, near, total, threshold)


def _leading(own: int, scores: Scores, rows: Rows) -> tuple[Scores, Rows]:
    """Move one row to the front, if it is there; its score is then no less than any."""
    place = np.flatnonzero(rows == own)
    if len(place) == 0:
        return scores, rows
    others = np.delete(scores, place), np.delete(rows, place)
    return np.append(scores.max(), others[0]), np.append(own, others[1])


def _exact_scores(store: VectorStore, vectors: Vectors, rows: Rows) -> Scores:
    return _rounded(exact_scores(store, vectors, rows))


def _count_passing(
    store: VectorStore,
    vectors: Vectors,
    rows: Rows,
    rough: NDArray[np.float32],
    threshold: float,
) -> int:
    """Count the rows that pass a threshold, without ranking them as a search would."""
    is_near = np.abs(rough - threshold) < ROUGH
    n_near = (_exact_scores(store, vectors, rows[is_near]) >= threshold).sum()
    return int((rough[~is_near] >= threshold).sum() + n_near)


def _cut(scores: Scores, rows: Rows, total: int, threshold: float | None) -> Ranking:
    """Keep what passes the threshold; if something does not, what does is all there is."""
    if threshold is None:
        return Ranking(scores, rows, total)
    n_passing = int((scores >= threshold).sum())
    if n_passing < len(scores):
        total = n_passing
    return Ranking(scores[:n_passing], rows[:n_passing], total)


def _rounded(scores: NDArray[np.float32]) -> Scores:
    return scores.astype(np.float64).round(SCORE_DECIMALS) + 0.0  # no -0.0


def _in_order(scores: Scores, rows: Rows) -> tuple[Scores, Rows]:
    order = np.lexsort((rows, -scores))
    return scores[order], rows[order]
