from __future__ import annotations

import numpy as np
import pytest

from index.search import crops
from index.search.crops import CROP_COST
from index.search.faiss_store import FaissStore
from index.search.filters import Condition, Filter, Match
from index.search.queries import Query, query_of_examples, query_of_row, query_of_vector
from index.search.ranking import Options, rank
from index.search.response import respond

RED_AND_BLACK = 1 / np.sqrt(5)  # (2, 0, 0, 1) / sqrt(5) with (0, 0, 0, 1)


def rows_and_scores(found):
    """Return the rows and the scores of a response."""
    return [one.image.row for one in found.results], [one.score for one in found.results]


def ask(snapshot, row, **options):
    """Search with the picture of a row."""
    return respond(snapshot, query_of_row(snapshot, row), Options(**options))


def all_pages(snapshot, query, limit, **options):
    """Put all pages of a search together."""
    rows, scores, offset = [], [], 0
    while True:
        found = respond(snapshot, query, Options(limit=limit, offset=offset, **options))
        page = rows_and_scores(found)
        rows, scores, offset = rows + page[0], scores + page[1], offset + limit
        if offset >= found.total:
            return rows, scores


def forbid_search(snapshot):
    """Make any search of the store fail."""

    def refuse(queries, k):
        raise AssertionError("searched what the table knows")

    snapshot.store.search = refuse


def with_ties(n=240, dim=8, seed=3):
    """Return unit vectors of which a third are copies, and a third differ in the last digits."""
    rng = np.random.default_rng(seed)
    plain = rng.standard_normal((n // 3, dim))
    near = plain * (1 + rng.integers(-1, 2, plain.shape) * 1.2e-7)
    vectors = np.concatenate([plain, plain, near])[rng.permutation(n)]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_id_of_black_finds_itself_then_what_is_least_coloured(colours):
    """Black's score is 1 with itself, 1/sqrt(5) with red and green, 1/sqrt(13) with white."""
    rows, scores = rows_and_scores(ask(colours, 0))
    assert rows == [0, 1, 2, 3]
    assert scores == pytest.approx([1, RED_AND_BLACK, RED_AND_BLACK, 1 / np.sqrt(13)], abs=1e-6)


@pytest.mark.parametrize("threshold", [None, -0.2, 0.3])
@pytest.mark.parametrize("n_passing", [None, 100])
def test_crop_pages_are_brute_force(snapshot_of, threshold, n_passing, monkeypatch):
    """Every page, threshold and filter, by the best of four vectors, among ties and in blocks."""
    monkeypatch.setattr(crops, "BLOCK", 50)
    vectors, queries, limit = with_ties(), with_ties(12, 8, seed=5)[:4], 33
    snapshot = snapshot_of(vectors)
    passing = None if n_passing is None else np.arange(n_passing)
    wanted = crop_scores(vectors[slice(n_passing)], queries)
    wanted = np.sort(wanted[wanted >= (-1 if threshold is None else threshold)])[::-1]
    rows, scores = [], []
    for offset in range(0, len(wanted), limit):
        options = Options(limit=limit, offset=offset, score_threshold=threshold)
        found = rank(snapshot, Query("encoded", queries), options, passing)
        assert found.total == len(wanted)
        rows.extend(found.rows[offset : offset + limit].tolist())
        scores.extend(found.scores[offset : offset + limit].tolist())
    assert len(set(rows)) == len(wanted)
    np.testing.assert_allclose(scores, wanted, atol=1e-6)
    np.testing.assert_allclose(crop_scores(vectors[rows], queries), scores, atol=1e-6)


def crop_scores(vectors, queries):
    """Return the scores of rows for a query of several vectors, rounded as answers are."""
    cosines = vectors.astype(np.float64) @ queries.astype(np.float64).T
    best = np.maximum(cosines[:, 0], cosines[:, 1:].max(axis=1) - CROP_COST)
    return best.astype(np.float32).astype(np.float64).round(6)


def test_known_picture_is_not_searched(snapshot_of, unit_vectors):
    """Within the table, a known picture costs two look-ups."""
    snapshot = snapshot_of(unit_vectors(50), top_k=10)
    forbid_search(snapshot)
    assert len(ask(snapshot, 7, limit=10).results) == 10
    assert ask(snapshot, 7, limit=4, offset=6).total == 50


@pytest.mark.parametrize(
    "options",
    [{"limit": 11}, {"limit": 5, "offset": 6}, {"limit": 10, "include_self": False}],
    ids=["limit", "offset", "without itself"],
)
def test_beyond_the_table_the_stored_vector_is_searched(snapshot_of, unit_vectors, options):
    """One picture more than the table holds is found by a search, in the right order."""
    vectors = unit_vectors(50)
    snapshot = snapshot_of(vectors, top_k=10)
    order = np.argsort(-(vectors @ vectors[7]), kind="stable")
    first = options.get("offset", 0) + (not options.get("include_self", True))
    wanted = order[first : first + options["limit"]].tolist()
    assert rows_and_scores(ask(snapshot, 7, **options))[0] == wanted


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("threshold", [None, -0.2, 0.3, 0.9])
@pytest.mark.parametrize("limit", [7, 20, 33])
def test_pages_put_together_are_one_large_page(snapshot_of, limit, threshold, include_self):
    """Nothing comes twice, goes missing or changes places between pages, ties or not."""
    snapshot = snapshot_of(with_ties(), top_k=20)
    options = {"score_threshold": threshold, "include_self": include_self}
    for row in (0, 100, 239):
        query = query_of_row(snapshot, row)
        whole = respond(snapshot, query, Options(limit=1000, **options))
        pages = all_pages(snapshot, query, limit, **options)
        assert pages == rows_and_scores(whole)
        assert len(set(pages[0])) == len(pages[0]) == whole.total


def test_pages_agree_where_table_and_search_do_not(snapshot_of, rng):
    """A table scored with other rounding than the search still gives every picture once."""
    vectors = with_ties()
    noisy = vectors + rng.uniform(-3e-7, 3e-7, vectors.shape).astype(np.float32)
    snapshot = snapshot_of(vectors, top_k=20, table_of=FaissStore.from_vectors(noisy))
    for row in range(0, 240, 24):
        rows, scores = all_pages(snapshot, query_of_row(snapshot, row), 13)
        assert rows[0] == row
        assert sorted(rows) == list(range(240))
        assert scores == sorted(scores, reverse=True)
        np.testing.assert_allclose(scores, (vectors @ vectors[row])[rows], atol=3e-6)


def test_pages_of_a_vector_agree(snapshot_of):
    """A query that is no stored picture pages as one large response, too."""
    snapshot = snapshot_of(with_ties())
    query = query_of_vector(snapshot, list(range(1, 9)))
    whole = respond(snapshot, query, Options(limit=1000))
    assert all_pages(snapshot, query, 9) == rows_and_scores(whole)
    scores = np.array(rows_and_scores(whole)[1])
    rows = np.array(rows_and_scores(whole)[0])
    ties = scores[1:] == scores[:-1]
    assert ties.sum() > 70  # the copies
    assert (np.diff(rows)[ties] > 0).all()


def test_more_copies_than_the_table_holds(snapshot_of):
    """Of 150 equal pictures each leads its own results, and every page is complete."""
    snapshot = snapshot_of(np.tile(np.float32([[0.6, 0.8]]), (150, 1)), top_k=100)
    rows, scores = all_pages(snapshot, query_of_row(snapshot, 149), 40)
    assert rows[0] == 149
    assert sorted(rows) == list(range(150))
    assert set(scores) == {1.0}


def test_itself_is_left_out_by_row(snapshot_of):
    """Without itself, a picture's copies remain, and the total counts one less."""
    snapshot = snapshot_of([[1, 0], [1, 0], [0, 1], [1, 0]])
    found = ask(snapshot, 1, include_self=False)
    assert rows_and_scores(found) == ([0, 3, 2], [1, 1, 0])
    assert found.total == 3


@pytest.mark.parametrize("threshold", [-1, -0.1, 0, 0.25, 0.6, 1])
def test_total_is_exact(snapshot_of, unit_vectors, threshold):
    """The total is what a count over all scores gives, on whatever page."""
    vectors = unit_vectors(200, dim=5)
    snapshot = snapshot_of(vectors, top_k=15)
    for row in (0, 50, 199):
        wanted = int((np.round(vectors @ vectors[row], 6) >= threshold).sum())
        assert ask(snapshot, row, score_threshold=threshold).total == wanted
        assert ask(snapshot, row, score_threshold=threshold, offset=90, limit=3).total == wanted
        assert ask(snapshot, row, score_threshold=threshold, include_self=False).total == wanted - 1


@pytest.mark.parametrize("threshold", [-1, -0.3, 0.2, 0.95])
def test_total_of_a_vector_is_exact(snapshot_of, threshold):
    """The total of a query that is no stored picture is a count over all scores, too."""
    vectors = with_ties()
    snapshot = snapshot_of(vectors)
    query = query_of_vector(snapshot, list(range(1, 9)))
    wanted = int((np.round(vectors @ query.vector, 6) >= threshold).sum())
    for limit in (1, 30, 1000):
        found = respond(snapshot, query, Options(limit=limit, score_threshold=threshold))
        assert found.total == wanted
        assert len(found.results) == min(limit, wanted)


def test_threshold_counts_what_lies_on_it(snapshot_of, monkeypatch):
    """A score of exactly the threshold passes, also where it is counted in blocks."""
    monkeypatch.setattr(crops, "BLOCK", 7)
    snapshot = snapshot_of([[1, 0]] * 60 + [[0.6, 0.8]] * 60 + [[0, 1]] * 60, top_k=2)
    query = query_of_vector(snapshot, [1, 0])
    totals = [
        respond(snapshot, query, Options(limit=1, score_threshold=threshold)).total
        for threshold in (0, 0.6, 0.600002, 1)
    ]
    assert totals == [180, 120, 60, 60]


def test_high_threshold_is_answered_by_the_table(snapshot_of, unit_vectors):
    """Where all that pass are in the table, no search is made, however far the page."""
    snapshot = snapshot_of(unit_vectors(200, dim=5), top_k=15)
    last = float(snapshot.topk.scores[3, -1])
    forbid_search(snapshot)
    found = ask(snapshot, 3, score_threshold=min(1.0, last + 1e-3), limit=1000)
    assert 1 <= found.total == len(found.results) <= 15
    with pytest.raises(AssertionError, match="searched"):
        ask(snapshot, 3, score_threshold=last - 1e-3)


def test_single_picture_collection(snapshot_of):
    """A collection of one answers itself, or nothing."""
    snapshot = snapshot_of([[1, 0]])
    assert rows_and_scores(ask(snapshot, 0)) == ([0], [1.0])
    assert ask(snapshot, 0, include_self=False).results == []


def under(prefix):
    """Return the filter for the pictures whose path begins with a text."""
    return Filter(must=(Condition("path", Match(prefix)),))


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("threshold", [None, -0.2, 0.3, 0.9])
@pytest.mark.parametrize("row", [0, 100, 239])
def test_filtered_answer_is_that_of_brute_force(snapshot_of, row, threshold, include_self):
    """Those that pass, by falling score, ties by rising row, itself first, with an exact total."""
    snapshot = snapshot_of(with_ties(), top_k=20)
    plain = ask(snapshot, row, limit=1000)
    scores = {one.image.row: one.score for one in plain.results if one.image.path.startswith("1")}
    kept = [r for r in scores if threshold is None or scores[r] >= threshold]
    wanted = sorted(kept, key=lambda r: (r != row, -scores[r], r))
    if not include_self:
        wanted = [r for r in wanted if r != row]
    options = {"score_threshold": threshold, "include_self": include_self, "filter": under("1")}
    for limit in (7, 1000):
        found = all_pages(snapshot, query_of_row(snapshot, row), limit, **options)
        assert found == (wanted, [scores[r] for r in wanted])
    assert ask(snapshot, row, limit=1, **options).total == len(wanted)


def test_filtered_vector_is_ranked_by_brute_force(snapshot_of, unit_vectors, monkeypatch):
    """Of a query that is no picture the best of those that pass are found, in blocks, too."""
    monkeypatch.setattr(crops, "BLOCK", 7)
    vectors = unit_vectors(150, dim=5)
    snapshot = snapshot_of(vectors)
    query = query_of_vector(snapshot, [1, 2, 3, 4, 5])
    rows = [row for row in range(150) if str(row).startswith("1")]
    wanted = sorted(rows, key=lambda row: -(vectors[row] @ query.vector))
    found = respond(snapshot, query, Options(limit=9, filter=under("1")))
    assert rows_and_scores(found)[0] == wanted[:9]
    assert found.total == len(rows) == 61


def test_filter_is_never_answered_by_the_table(snapshot_of, unit_vectors):
    """Even a table that names wrong neighbours does not mislead a filtered search."""
    vectors = unit_vectors(50)
    snapshot = snapshot_of(
        vectors, top_k=10, table_of=FaissStore.from_vectors(unit_vectors(50, seed=9))
    )
    order = np.argsort(-(vectors @ vectors[7]), kind="stable")
    found = ask(snapshot, 7, limit=10, filter=Filter())
    assert rows_and_scores(found)[0] == order[:10].tolist()


def test_known_picture_that_does_not_pass_is_left_out(colours):
    """The picture itself is filtered like every other; where none is left, none is answered."""
    assert rows_and_scores(ask(colours, 0, filter=under("1")))[0] == [1]
    empty = ask(colours, 0, filter=under("none"))
    assert (empty.results, empty.total) == ([], 0)
    assert ask(colours, 0, filter=under("none"), score_threshold=0.0).total == 0


@pytest.mark.parametrize("n_examples", [1, 3, 30])
def test_examples_among_ties_leave_the_others_in_order(snapshot_of, n_examples):
    """Of many equal pictures those that are no examples come by row, whatever the page."""
    snapshot = snapshot_of([[1, 0]] * 60 + [[0, 1]] * 20)
    ids = [snapshot.catalogue.image(row).id for row in range(n_examples)]
    query = query_of_examples(snapshot, ids, [])
    rows, scores = all_pages(snapshot, query, 7, include_self=False)
    assert rows == list(range(n_examples, 80))
    assert scores == [1.0] * (60 - n_examples) + [0.0] * 20
