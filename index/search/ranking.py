"""Ranking: the order of the results, and how many there are.

**One order on every page.** The first pages of a known picture come from the top-k table and later
pages from a search. Either may keep any of the pictures that tie at its last rank. The table
therefore decides the first k results, and a search only adds the results after them. A search whose
last rank is tied is repeated deeper. Scores are rounded to 6 decimals before they are ordered and
compared with a threshold. Pictures whose printed scores are equal are therefore equal, and the
lower row comes first. All pages put together equal one large page.

**An uploaded picture** may be a crop of a larger one, so its query has several vectors.
`index.search.crops` defines the score of such a query.

**A filter** leads to an exact search among the rows that pass. The top-k table is not used.
docs/decisions/0032-one-order-for-all-pages.md gives the reasons.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from index.arrays import RoundedScores, Rows, Scores, Vectors
from index.search.crops import ROUGH, exact_scores, may_be_among, rough_scores, search_with_crops
from index.search.filters import Filter
from index.search.queries import Query
from index.search.searchable import Searchable
from index.search.store import VectorStore, best_first
from index.search.topk import TopKTable

SCORE_DECIMALS = 6
_SPARE = 32  # more rows than needed, so that ties rarely require a second search
_DEEPER = 16  # factor by which a search goes deeper if its last rank is tied


@dataclass(frozen=True)
class Options:
    """Which results to return.

    Attributes
    ----------
    limit, offset : int
        Results on the page, and before it.
    score_threshold : float or None
        Least score of a result.
    include_self : bool
        Whether a picture of the collection is among its own results, and examples among theirs.
    with_vector : bool
        Whether each result has its vector.
    filter : Filter or None
        Conditions on the pictures to return.
    """

    limit: int = 10
    offset: int = 0
    score_threshold: float | None = None
    include_self: bool = True
    with_vector: bool = False
    filter: Filter | None = None

    @property
    def depth(self) -> int:
        """Number of results up to the end of the page."""
        return self.offset + self.limit


@dataclass(frozen=True, eq=False)
class Ranking:
    """Pictures by falling score, equal scores by rising row. A known picture comes first.

    Attributes
    ----------
    scores : ndarray of shape (m,), float64
        Rounded to 6 decimals.
    rows : ndarray of shape (m,), int64
        At least as deep as the page requires.
    total : int
        Number of pictures that pass filter and threshold, ranked here or not.
    """

    scores: RoundedScores
    rows: Rows
    total: int


def rank(
    searchable: Searchable, query: Query, options: Options, passing: Rows | None = None
) -> Ranking:
    """Rank pictures down to the end of the page, and count all that pass.

    Parameters
    ----------
    searchable : Searchable
    query : Query
    options : Options
        Its filter is ignored, because `passing` is the result of the filter.
    passing : ndarray of shape (m,), int64, optional
        Rows that pass the filter, rising; default: all.
    """
    store, vectors = searchable.store, query.vectors
    if query.examples and not options.include_self:
        return _rank_others(store, vectors, options, passing, np.array(query.examples))
    if passing is not None:
        return _rank_among(store, vectors, query.row, options, passing)
    if query.row is None:
        return _rank_by_search(store, vectors, options)
    ranking = _rank_known(store, searchable.topk, vectors, query.row, options)
    if options.include_self:
        return ranking
    return Ranking(ranking.scores[1:], ranking.rows[1:], ranking.total - 1)


def _rank_others(
    store: VectorStore, vectors: Vectors, options: Options, passing: Rows | None, examples: Rows
) -> Ranking:
    """Rank all rows except the examples."""
    if passing is not None:
        return _rank_among(store, vectors, None, options, np.setdiff1d(passing, examples))
    deeper = replace(options, limit=options.limit + len(examples))
    found = _rank_by_search(store, vectors, deeper)
    n_passing = len(examples)
    if options.score_threshold is not None:
        scores = _exact_scores(store, vectors, examples)
        n_passing = int((scores >= options.score_threshold).sum())
    is_other = ~np.isin(found.rows, examples)
    return Ranking(found.scores[is_other], found.rows[is_other], found.total - n_passing)


def _rank_known(
    store: VectorStore, table: TopKTable, vectors: Vectors, row: int, options: Options
) -> Ranking:
    """Rank for a picture of the collection, which comes first."""
    scores, rows = _table_line(table, row)
    if _table_answers(scores, len(table), options):
        return _cut(scores, rows, len(table), options.score_threshold)
    found = _rank_by_search(store, vectors, options)
    is_new = ~np.isin(found.rows, rows)
    # The table may have been rounded differently; scores must not rise after it.
    new_scores = np.minimum(found.scores[is_new], scores[-1])
    return _cut(
        np.append(scores, new_scores),
        np.append(rows, found.rows[is_new]),
        found.total,
        options.score_threshold,
    )


def _rank_by_search(store: VectorStore, vectors: Vectors, options: Options) -> Ranking:
    # One more than the page needs: the picture itself may be left out.
    scores, rows = _search(store, vectors, options.depth + 1)
    threshold, total = options.score_threshold, len(store)
    if threshold is not None and len(rows) < len(store) and scores[-1] >= threshold:
        rows_of_all = np.arange(len(store))
        rough = rough_scores(store, vectors, rows_of_all)
        total = _count_passing(store, vectors, rows_of_all, rough, threshold)
    return _cut(scores, rows, total, threshold)


def _table_line(table: TopKTable, row: int) -> tuple[RoundedScores, Rows]:
    """Return a row's neighbours from the top-k table, itself first."""
    scores = rounded(table.scores[row])
    rows = np.asarray(table.rows[row], np.int64)
    others = best_first(scores[1:], rows[1:])
    return np.append(scores[0], others[0]), np.append(rows[0], others[1])


def _table_answers(scores: RoundedScores, n_images: int, options: Options) -> bool:
    """Return whether a row's line of the table holds the whole page and gives the total."""
    k = len(scores)
    if k == n_images:
        return True
    if options.score_threshold is None:
        return options.depth + (not options.include_self) <= k
    return bool(options.score_threshold > scores[-1])  # then all that pass are in the table


def _search(store: VectorStore, vectors: Vectors, depth: int) -> tuple[RoundedScores, Rows]:
    """Return the best `depth` rows, and all that tie with the last."""
    n = len(store)
    depth = min(depth, n)
    k = min(depth + _SPARE, n)
    while True:
        found = search_with_crops(store, vectors, k)
        scores, rows = best_first(rounded(found[0]), found[1])
        if k == n or scores[-1] < scores[depth - 1]:
            return scores, rows
        k = min(k * _DEEPER, n)


def _rank_among(
    store: VectorStore, vectors: Vectors, own_row: int | None, options: Options, rows: Rows
) -> Ranking:
    """Rank some rows only: score all roughly, then exactly those that may reach the page."""
    if own_row is not None and not options.include_self:
        rows = rows[rows != own_row]
    rough = rough_scores(store, vectors, rows)
    total, threshold = len(rows), options.score_threshold
    if threshold is not None:
        total = _count_passing(store, vectors, rows, rough, threshold)
    near = rows[may_be_among(rough, options.depth)]
    scores, near = best_first(_exact_scores(store, vectors, near), near)
    if own_row is not None:
        scores, near = _with_first(own_row, scores, near)
    return _cut(scores, near, total, threshold)


def _with_first(own_row: int, scores: RoundedScores, rows: Rows) -> tuple[RoundedScores, Rows]:
    """Move one row to the front, if it is present, with a score no lower than any other."""
    position = np.flatnonzero(rows == own_row)
    if len(position) == 0:
        return scores, rows
    others = np.delete(scores, position), np.delete(rows, position)
    return np.append(scores.max(), others[0]), np.append(own_row, others[1])


def _exact_scores(store: VectorStore, vectors: Vectors, rows: Rows) -> RoundedScores:
    return rounded(exact_scores(store, vectors, rows))


def _count_passing(
    store: VectorStore,
    vectors: Vectors,
    rows: Rows,
    rough: Scores,
    threshold: float,
) -> int:
    """Count the rows that pass a threshold without ranking them."""
    is_near = np.abs(rough - threshold) < ROUGH
    n_near = (_exact_scores(store, vectors, rows[is_near]) >= threshold).sum()
    return int((rough[~is_near] >= threshold).sum() + n_near)


def _cut(scores: RoundedScores, rows: Rows, total: int, threshold: float | None) -> Ranking:
    """Keep the scores that pass the threshold. If one fails, the total is the number kept."""
    if threshold is None:
        return Ranking(scores, rows, total)
    n_passing = int((scores >= threshold).sum())
    if n_passing < len(scores):
        total = n_passing
    return Ranking(scores[:n_passing], rows[:n_passing], total)


def rounded(scores: Scores) -> RoundedScores:
    """Return scores as they are ordered, compared with a threshold and printed: 6 decimals."""
    return scores.astype(np.float64).round(SCORE_DECIMALS) + 0.0  # no -0.0
