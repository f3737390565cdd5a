from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from index.errors import UnknownImage
from index.search import crops
from index.search.crops import CROP_COST
from index.search.faiss_store import FaissStore
from index.snapshot import DataFolder
from models.preprocess import Limits
from service import ranking, search
from service.api.schemas import Condition, Filter, Match, Options
from service.errors import InvalidRequest
from service.images.decoding import Decoding
from service.snapshots import Live
from tests.helpers.fakes import FakeEncoder, picture_bytes, publish_vectors

RED_AND_BLACK = 1 / np.sqrt(5)  # (2, 0, 0, 1) / sqrt(5) with (0, 0, 0, 1)


class NoEncoder(FakeEncoder):
    """An encoder that must not be asked."""

    def encode(self, images):
        """Fail."""
        raise AssertionError("encoded what was known")


@pytest.fixture
def live_of(tmp_path):
    """Give a function vectors -> Live over a snapshot of them."""
    opened = []

    def make(vectors, encoder=None, **how):
        data = DataFolder(tmp_path / f"data{len(opened)}")
        publish_vectors(data, np.asarray(vectors, np.float32), **how)
        opened.append(data.open_current())
        return Live(opened[-1], encoder or NoEncoder())

    yield make
    for snapshot in opened:
        snapshot.close()


@pytest.fixture
def colours(live_of):
    """Give a collection of black, red, green and white."""
    plain = [[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 255, 255]]
    images = np.broadcast_to(np.array(plain, np.uint8)[:, None, None], (4, 256, 256, 3))
    return live_of(FakeEncoder().encode(images), encoder=FakeEncoder())


def rows_and_scores(answer):
    """Return what an answer holds."""
    return [hit.image.row for hit in answer.hits], [hit.score for hit in answer.hits]


def ask(live, row, **options):
    """Search with the picture of a row."""
    return search.search(live, search.query_of_row(live, row), Options(**options))


def all_pages(live, query, limit, **options):
    """Put all pages of a search together."""
    rows, scores, offset = [], [], 0
    while True:
        found = search.search(live, query, Options(limit=limit, offset=offset, **options))
        page = rows_and_scores(found)
        rows, scores, offset = rows + page[0], scores + page[1], offset + limit
        if offset >= found.total:
            return rows, scores


def forbid_search(live):
    """Make any search of the store fail."""

    def refuse(queries, k):
        raise AssertionError("searched what the table knows")

    live.snapshot.store.search = refuse


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


def test_new_picture_is_encoded(colours):
    """A dark red picture nobody has seen is encoded, and is most like red."""
    query = search.query_of_bytes(colours, picture_bytes((200, 0, 0)), Decoding(Limits()))
    answer = search.search(colours, query, Options(limit=2))
    assert query.mode == "encoded"
    assert [hit.image.row for hit in answer.hits] == [1, 3]
    # (200/255, 0, 0, 0.5) normalised, times (2, 0, 0, 1) / sqrt(5)
    red = 200 / 255
    assert answer.hits[0].score == pytest.approx(
        (2 * red + 0.5) / np.sqrt(5 * (red**2 + 0.25)), abs=1e-6
    )


class CropEncoder(FakeEncoder):
    """One crop of every picture: as a fully green one."""

    def encode_query(self, pixels):
        """Return the row of the pixels, and that of a green picture."""
        green = np.broadcast_to(np.array([0, 255, 0], np.uint8), (256, 256, 3))
        return self.encode(np.stack([pixels, green]))


def test_crop_of_a_new_picture_counts_less(live_of):
    """Dark red is most like red; its crop finds green with a score of 1 - 0.03."""
    plain = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 255, 255]], np.uint8)
    images = np.broadcast_to(plain[:, None, None], (4, 256, 256, 3))
    live = live_of(FakeEncoder().encode(images), encoder=CropEncoder())
    query = search.query_of_bytes(live, picture_bytes((200, 0, 0)), Decoding(Limits()))
    rows, scores = rows_and_scores(search.search(live, query, Options()))
    assert rows[:2] == [1, 2]
    assert scores[1] == pytest.approx(0.97, abs=1e-6)


@pytest.mark.parametrize("threshold", [None, -0.2, 0.3])
@pytest.mark.parametrize("n_passing", [None, 100])
def test_crop_pages_are_brute_force(live_of, threshold, n_passing, monkeypatch):
    """Every page, threshold and filter, by the best of four vectors, among ties and in blocks."""
    monkeypatch.setattr(crops, "_AT_ONCE", 50)
    vectors, queries, limit = with_ties(), with_ties(12, 8, seed=5)[:4], 33
    snapshot = live_of(vectors).snapshot
    passing = None if n_passing is None else np.arange(n_passing)
    wanted = crop_scores(vectors[slice(n_passing)], queries)
    wanted = np.sort(wanted[wanted >= (-1 if threshold is None else threshold)])[::-1]
    rows, scores = [], []
    for offset in range(0, len(wanted), limit):
        options = Options(limit=limit, offset=offset, score_threshold=threshold)
        found = ranking.rank(snapshot, queries, None, options, passing)
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


def test_unknown_id_is_an_error(colours):
    """An id that the collection does not have is named."""
    with pytest.raises(UnknownImage, match="ffff"):
        search.query_of_id(colours, "ffff")


def test_vector_is_normalised(colours):
    """A vector ten times as long finds the same as the unit one; it is no stored picture's."""
    query = search.query_of_vector(colours, [0, 0, 0, 10.0])
    answer = search.search(colours, query, Options(include_self=False))
    assert query.mode == "vector"
    assert rows_and_scores(answer)[0] == [0, 1, 2, 3]
    assert answer.hits[0].score == 1.0


def test_huge_vector_is_normalised_without_overflow(colours):
    """Numbers whose squares are beyond a float64 still have a direction."""
    query = search.query_of_vector(colours, [1e300, 0, 0, 0.5e300])
    np.testing.assert_allclose(query.vector, [2 / np.sqrt(5), 0, 0, 1 / np.sqrt(5)], rtol=1e-6)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([1, 0, 0], "has 3 numbers, the vectors of this collection 4"),
        ([0, 0, 0, 0], "not 0"),
        ([1, 0, 0, float("inf")], "finite"),
    ],
    ids=["length", "zero", "infinite"],
)
def test_vector_without_direction_is_refused(colours, numbers, words):
    """What is wrong with a vector is said of the field."""
    with pytest.raises(InvalidRequest, match=words) as raised:
        search.query_of_vector(colours, numbers)
    assert raised.value.details[0][0] == "vector"


def test_known_picture_is_neither_encoded_nor_searched(live_of, unit_vectors):
    """Within the table, a known picture costs two look-ups."""
    live = live_of(unit_vectors(50), top_k=10)
    forbid_search(live)
    assert len(ask(live, 7, limit=10).hits) == 10
    assert ask(live, 7, limit=4, offset=6).total == 50


@pytest.mark.parametrize(
    "options",
    [{"limit": 11}, {"limit": 5, "offset": 6}, {"limit": 10, "include_self": False}],
    ids=["limit", "offset", "without itself"],
)
def test_beyond_the_table_the_stored_vector_is_searched(live_of, unit_vectors, options):
    """One picture more than the table holds is found by a search, in the right order."""
    vectors = unit_vectors(50)
    live = live_of(vectors, top_k=10)
    order = np.argsort(-(vectors @ vectors[7]), kind="stable")
    first = options.get("offset", 0) + (not options.get("include_self", True))
    wanted = order[first : first + options["limit"]].tolist()
    assert rows_and_scores(ask(live, 7, **options))[0] == wanted


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("threshold", [None, -0.2, 0.3, 0.9])
@pytest.mark.parametrize("limit", [7, 20, 33])
def test_pages_put_together_are_one_large_page(live_of, limit, threshold, include_self):
    """Nothing comes twice, goes missing or changes places between pages, ties or not."""
    live = live_of(with_ties(), top_k=20)
    options = {"score_threshold": threshold, "include_self": include_self}
    for row in (0, 100, 239):
        query = search.query_of_row(live, row)
        whole = search.search(live, query, Options(limit=1000, **options))
        pages = all_pages(live, query, limit, **options)
        assert pages == rows_and_scores(whole)
        assert len(set(pages[0])) == len(pages[0]) == whole.total


def test_pages_agree_where_table_and_search_do_not(live_of, rng):
    """A table scored with other rounding than the search still gives every picture once."""
    vectors = with_ties()
    noisy = vectors + rng.uniform(-3e-7, 3e-7, vectors.shape).astype(np.float32)
    live = live_of(vectors, top_k=20, table_of=FaissStore.from_vectors(noisy))
    for row in range(0, 240, 24):
        rows, scores = all_pages(live, search.query_of_row(live, row), 13)
        assert rows[0] == row
        assert sorted(rows) == list(range(240))
        assert scores == sorted(scores, reverse=True)
        np.testing.assert_allclose(scores, (vectors @ vectors[row])[rows], atol=3e-6)


def test_pages_of_a_vector_agree(live_of):
    """A query that is no stored picture pages as one large answer, too."""
    live = live_of(with_ties())
    query = search.query_of_vector(live, list(range(1, 9)))
    whole = search.search(live, query, Options(limit=1000))
    assert all_pages(live, query, 9) == rows_and_scores(whole)
    scores = np.array(rows_and_scores(whole)[1])
    rows = np.array(rows_and_scores(whole)[0])
    ties = scores[1:] == scores[:-1]
    assert ties.sum() > 70  # the copies
    assert (np.diff(rows)[ties] > 0).all()


def test_more_copies_than_the_table_holds(live_of):
    """Of 150 equal pictures each leads its own answer, and every page is complete."""
    live = live_of(np.tile(np.float32([[0.6, 0.8]]), (150, 1)), top_k=100)
    rows, scores = all_pages(live, search.query_of_row(live, 149), 40)
    assert rows[0] == 149
    assert sorted(rows) == list(range(150))
    assert set(scores) == {1.0}


def test_itself_is_left_out_by_row(live_of):
    """Without itself, a picture's copies remain, and the total counts one less."""
    live = live_of([[1, 0], [1, 0], [0, 1], [1, 0]])
    answer = ask(live, 1, include_self=False)
    assert rows_and_scores(answer) == ([0, 3, 2], [1, 1, 0])
    assert answer.total == 3


@pytest.mark.parametrize("threshold", [-1, -0.1, 0, 0.25, 0.6, 1])
def test_total_is_exact(live_of, unit_vectors, threshold):
    """The total is what a count over all scores gives, on whatever page."""
    vectors = unit_vectors(200, dim=5)
    live = live_of(vectors, top_k=15)
    for row in (0, 50, 199):
        wanted = int((np.round(vectors @ vectors[row], 6) >= threshold).sum())
        assert ask(live, row, score_threshold=threshold).total == wanted
        assert ask(live, row, score_threshold=threshold, offset=90, limit=3).total == wanted
        assert ask(live, row, score_threshold=threshold, include_self=False).total == wanted - 1


@pytest.mark.parametrize("threshold", [-1, -0.3, 0.2, 0.95])
def test_total_of_a_vector_is_exact(live_of, threshold):
    """The total of a query that is no stored picture is a count over all scores, too."""
    vectors = with_ties()
    live = live_of(vectors)
    query = search.query_of_vector(live, list(range(1, 9)))
    wanted = int((np.round(vectors @ query.vector, 6) >= threshold).sum())
    for limit in (1, 30, 1000):
        answer = search.search(live, query, Options(limit=limit, score_threshold=threshold))
        assert answer.total == wanted
        assert len(answer.hits) == min(limit, wanted)


def test_threshold_counts_what_lies_on_it(live_of, monkeypatch):
    """A score of exactly the threshold passes, also where it is counted in blocks."""
    monkeypatch.setattr(crops, "_AT_ONCE", 7)
    live = live_of([[1, 0]] * 60 + [[0.6, 0.8]] * 60 + [[0, 1]] * 60, top_k=2)
    query = search.query_of_vector(live, [1, 0])
    totals = [
        search.search(live, query, Options(limit=1, score_threshold=threshold)).total
        for threshold in (0, 0.6, 0.600002, 1)
    ]
    assert totals == [180, 120, 60, 60]


def test_high_threshold_is_answered_by_the_table(live_of, unit_vectors):
    """Where all that pass are in the table, no search is made, however far the page."""
    live = live_of(unit_vectors(200, dim=5), top_k=15)
    last = float(live.snapshot.topk.scores[3, -1])
    forbid_search(live)
    answer = ask(live, 3, score_threshold=min(1.0, last + 1e-3), limit=1000)
    assert 1 <= answer.total == len(answer.hits) <= 15
    with pytest.raises(AssertionError, match="searched"):
        ask(live, 3, score_threshold=last - 1e-3)


def test_offset_beyond_the_end_is_an_empty_page(colours):
    """A page after the last is empty, its total still right."""
    answer = ask(colours, 0, offset=1_000_000)
    assert (answer.hits, answer.total) == ([], 4)


def test_vectors_are_those_stored(colours):
    """`with_vector` gives each answer its own vector, and else none is read."""
    with_vectors = ask(colours, 1, with_vector=True)
    for hit in with_vectors.hits:
        stored = colours.snapshot.store.vectors(np.array([hit.image.row]))[0]
        np.testing.assert_array_equal(hit.vector, stored)
    assert all(hit.vector is None for hit in ask(colours, 1).hits)


def test_single_picture_collection(live_of):
    """A collection of one answers itself, or nothing."""
    live = live_of([[1, 0]])
    assert rows_and_scores(ask(live, 0)) == ([0], [1.0])
    assert ask(live, 0, include_self=False).hits == []


def test_decoded_picture_comes_with_an_encoded_query(colours):
    """The pages can show what was uploaded without decoding it again."""
    buffer = io.BytesIO()
    Image.new("RGB", (60, 20), "navy").save(buffer, "PNG")
    query = search.query_of_bytes(colours, buffer.getvalue(), Decoding(Limits()))
    assert query.picture is not None
    assert query.picture.size == (60, 20)


def under(prefix):
    """Return the filter for the pictures whose path begins with a text."""
    return Filter(must=[Condition(key="path", match=Match(value=prefix))])


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("threshold", [None, -0.2, 0.3, 0.9])
@pytest.mark.parametrize("row", [0, 100, 239])
def test_filtered_answer_is_that_of_brute_force(live_of, row, threshold, include_self):
    """Those that pass, by falling score, ties by rising row, itself first, with an exact total."""
    live = live_of(with_ties(), top_k=20)
    plain = ask(live, row, limit=1000)
    scores = {hit.image.row: hit.score for hit in plain.hits if hit.image.path.startswith("1")}
    kept = [r for r in scores if threshold is None or scores[r] >= threshold]
    wanted = sorted(kept, key=lambda r: (r != row, -scores[r], r))
    if not include_self:
        wanted = [r for r in wanted if r != row]
    options = {"score_threshold": threshold, "include_self": include_self, "filter": under("1")}
    for limit in (7, 1000):
        found = all_pages(live, search.query_of_row(live, row), limit, **options)
        assert found == (wanted, [scores[r] for r in wanted])
    assert ask(live, row, limit=1, **options).total == len(wanted)


def test_filtered_vector_is_ranked_by_brute_force(live_of, unit_vectors, monkeypatch):
    """Of a query that is no picture the best of those that pass are found, in blocks, too."""
    monkeypatch.setattr(crops, "_AT_ONCE", 7)
    vectors = unit_vectors(150, dim=5)
    live = live_of(vectors)
    query = search.query_of_vector(live, [1, 2, 3, 4, 5])
    rows = [row for row in range(150) if str(row).startswith("1")]
    wanted = sorted(rows, key=lambda row: -(vectors[row] @ query.vector))
    answer = search.search(live, query, Options(limit=9, filter=under("1")))
    assert rows_and_scores(answer)[0] == wanted[:9]
    assert answer.total == len(rows) == 61


def test_filter_is_never_answered_by_the_table(live_of, unit_vectors):
    """Even a table that names wrong neighbours does not mislead a filtered search."""
    vectors = unit_vectors(50)
    live = live_of(vectors, top_k=10, table_of=FaissStore.from_vectors(unit_vectors(50, seed=9)))
    order = np.argsort(-(vectors @ vectors[7]), kind="stable")
    answer = ask(live, 7, limit=10, filter=Filter())
    assert rows_and_scores(answer)[0] == order[:10].tolist()


def test_known_picture_that_does_not_pass_is_left_out(colours):
    """The picture itself is filtered like every other; where none is left, none is answered."""
    assert rows_and_scores(ask(colours, 0, filter=under("1")))[0] == [1]
    empty = ask(colours, 0, filter=under("none"))
    assert (empty.hits, empty.total) == ([], 0)
    assert ask(colours, 0, filter=under("none"), score_threshold=0.0).total == 0


def test_examples_that_leave_no_direction_are_refused(live_of):
    """Opposite pictures have no middle, and twice the one less the other way may be nothing."""
    live = live_of([[1, 0], [-1, 0], [0, 1]])
    ids = [live.snapshot.catalogue.image(row).id for row in range(3)]
    with pytest.raises(InvalidRequest, match="no direction"):
        search.query_of_examples(live, ids[:2], [])
    query = search.query_of_examples(live, ids[:2], ids[2:])
    np.testing.assert_allclose(query.vector, [0, -1], atol=1e-7)
    assert (query.examples, query.mode, query.row) == ((0, 1, 2), "vector", None)


@pytest.mark.parametrize("n_examples", [1, 3, 30])
def test_examples_among_ties_leave_the_others_in_order(live_of, n_examples):
    """Of many equal pictures those that are no examples come by row, whatever the page."""
    live = live_of([[1, 0]] * 60 + [[0, 1]] * 20)
    ids = [live.snapshot.catalogue.image(row).id for row in range(n_examples)]
    query = search.query_of_examples(live, ids, [])
    rows, scores = all_pages(live, query, 7, include_self=False)
    assert rows == list(range(n_examples, 80))
    assert scores == [1.0] * (60 - n_examples) + [0.0] * 20
