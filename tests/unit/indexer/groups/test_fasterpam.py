"""FasterPAM against a matrix worked out by hand, and against trying everything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.groups.fasterpam import (
    InvalidDissimilarities,
    InvalidNumberOfClusters,
    KMedoidsResult,
    SwapSearch,
    fasterpam,
)
from tests.helpers.matrices import (
    FIVE,
    FIVE_BEST,
    best_medoids,
    loss_of,
    random_diss,
)


@pytest.mark.parametrize("n_clusters", FIVE_BEST)
def test_best_by_hand_is_best_of_all_sets(n_clusters):
    """The medoids worked out by hand are the best of all sets, and no other set is as good."""
    medoids, loss = FIVE_BEST[n_clusters]

    assert best_medoids(FIVE, n_clusters) == (medoids, loss)


@pytest.mark.parametrize("n_clusters", FIVE_BEST)
@pytest.mark.parametrize("seed", range(3))
def test_finds_the_known_optimum(n_clusters, seed):
    """On the matrix worked out by hand the best medoids are found, with their loss and labels."""
    medoids, loss = FIVE_BEST[n_clusters]

    found = fasterpam(FIVE, n_clusters, seed=seed)

    assert (sorted(found.medoids.tolist()), found.loss) == (medoids, loss)
    assert found.medoids[found.labels[4]] == medoids[-1]


def test_labels_and_swaps_of_a_bad_start():
    """From rows 0 and 2 one swap leads to rows 1 and 4: both exchanges of row 2 for 4, then 0."""
    found = fasterpam(FIVE, medoids=np.array([0, 2]), n_starts=1)

    assert sorted(found.medoids.tolist()) == [1, 4]
    assert found.n_swaps == 2
    assert found.medoids[found.labels].tolist() == [1, 1, 1, 1, 4]


@pytest.mark.parametrize("n_clusters", [1, 2, 3, 5])
def test_no_swap_improves(n_clusters):
    """Whatever single medoid is exchanged for whatever row, the loss does not fall."""
    for seed in range(10):
        diss = random_diss(25, seed)
        found = fasterpam(diss, n_clusters, seed=seed, n_starts=1)
        for position in range(n_clusters):
            for row in range(25):
                swapped = found.medoids.copy()
                swapped[position] = row
                assert loss_of(diss, swapped) >= found.loss * (1 - 1e-5)


def test_mostly_the_best_of_all_sets():
    """On small random matrices the default's four starts find the optimum nearly always."""
    hits = 0
    for seed in range(50):
        diss = random_diss(10, seed)
        found = fasterpam(diss, 3, seed=seed)
        best = best_medoids(diss, 3)[1]
        assert found.loss >= best - 1e-5
        hits += found.loss <= best + 1e-5

    assert hits >= 45


def test_one_group_is_exact():
    """For one group the best medoid is the row with the least sum, always."""
    for seed in range(20):
        diss = random_diss(30, seed)

        assert fasterpam(diss, 1, seed=seed).medoids.tolist() == [diss.sum(axis=1).argmin()]


def test_as_many_groups_as_rows():
    """Every row becomes its own medoid, at no loss."""
    found = fasterpam(random_diss(7, 0), 7)

    assert found.loss == 0
    assert found.medoids[found.labels].tolist() == list(range(7))


def test_all_rows_equal():
    """Where all dissimilarities are 0, any medoids do; each is in its own group."""
    found = fasterpam(np.zeros((6, 6), np.float32), 3)

    assert found.loss == 0
    assert len(set(found.medoids.tolist())) == 3
    assert found.labels[found.medoids].tolist() == [0, 1, 2]


def test_copies_of_a_row():
    """With as many groups as different rows, copies share a group and nothing is lost."""
    diss = np.kron(random_diss(4, 1), np.ones((3, 3), np.float32))  # each row three times

    found = fasterpam(diss, 4)

    assert found.loss == 0
    assert [len(set(found.labels[at : at + 3].tolist())) for at in range(0, 12, 3)] == [1] * 4


def test_swap_costs_equal_those_computed_anew():
    """After additions and swaps, the kept gain of every possible exchange is the true one."""
    diss = random_diss(40, 3)
    search = SwapSearch(diss, 6)
    search.start(search.best_single())
    for _ in range(5):
        search.add()
        search.converge()
        kept = search._removed[: len(search.medoids)] + search._added
        for position in range(len(search.medoids)):
            for row in range(0, 40, 7):
                swapped = search.medoids.copy()
                swapped[position] = row
                true = loss_of(diss, swapped) - loss_of(diss, search.medoids)
                assert kept[position, row] == pytest.approx(true, abs=1e-4)


def test_sums_are_renewed_before_rounding_piles_up(monkeypatch):
    """Renewing the sums from scratch at every change leads to the same medoids."""
    diss = random_diss(60, 5)
    usual = fasterpam(diss, 5, n_starts=1)
    monkeypatch.setattr("indexer.groups.fasterpam.REFRESH", 0)

    assert fasterpam(diss, 5, n_starts=1).medoids.tolist() == usual.medoids.tolist()


def test_same_seed_same_groups():
    """The seed decides: two runs give the same medoids in the same order."""
    diss = random_diss(50, 9)

    first, second = (fasterpam(diss, 6, seed=4) for _ in range(2))

    assert first.medoids.tolist() == second.medoids.tolist()
    assert first.labels.tolist() == second.labels.tolist()


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 14), n_clusters=st.integers(1, 14), seed=st.integers(0, 1000))
def test_result_agrees_with_itself(n, n_clusters, seed):
    """Loss is recomputed, every row is at a nearest medoid, medoids are in their own groups."""
    n_clusters = min(n, n_clusters)
    diss = random_diss(n, seed, n_values=5)  # few values: many ties
    found = fasterpam(diss, n_clusters, seed=seed)

    assert found.loss == pytest.approx(loss_of(diss, found.medoids))
    assert len(set(found.medoids.tolist())) == n_clusters
    np.testing.assert_array_equal(
        diss[np.arange(n), found.medoids[found.labels]], diss[found.medoids].min(axis=0)
    )
    assert found.labels[found.medoids].tolist() == list(range(n_clusters))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_order_of_rows_does_not_matter(seed):
    """Permuting rows that fall into clear groups permutes the answer."""
    rng = np.random.default_rng(seed)
    places = np.sort(rng.permutation(np.arange(0, 40, 10))).repeat(5) + rng.random(20)
    diss = np.abs(places[:, None] - places).astype(np.float32)
    order = rng.permutation(20)

    found = fasterpam(diss, 4, seed=0)
    permuted = fasterpam(diss[np.ix_(order, order)], 4, seed=0)

    assert permuted.loss == pytest.approx(found.loss)
    assert sorted(order[permuted.medoids].tolist()) == sorted(found.medoids.tolist())


def test_ties_go_to_the_first_medoid():
    """A row as near to two medoids is in the group of the first; a medoid is in its own."""
    diss = np.array([[0, 0, 1], [0, 0, 1], [1, 1, 0]], np.float32)

    found = KMedoidsResult.from_medoids(diss, np.array([0, 1]))

    assert found.labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize("n_clusters", [0, 6, -1])
def test_impossible_number_of_groups(n_clusters):
    """Fewer rows than groups, or no group, is refused with both numbers."""
    with pytest.raises(InvalidNumberOfClusters, match=f"{n_clusters} groups of 5 pictures"):
        fasterpam(FIVE, n_clusters)


def test_no_number_of_groups():
    """Neither a number nor medoids: the error says what to give."""
    with pytest.raises(InvalidNumberOfClusters, match="number of groups"):
        fasterpam(FIVE)


def test_equal_medoids_to_start_from():
    """The same row twice is no start for two groups."""
    with pytest.raises(InvalidNumberOfClusters, match="2 groups need 2 distinct medoids"):
        fasterpam(FIVE, medoids=np.array([3, 3]))


@pytest.mark.parametrize(
    ("diss", "says"),
    [
        (np.zeros((2, 3), np.float32), r"shape \(2, 3\)"),
        (np.zeros((0, 0), np.float32), r"shape \(0, 0\)"),
        (np.array([[0, np.nan], [np.nan, 0]], np.float32), "NaN"),
        (np.array([[0, np.inf], [np.inf, 0]], np.float32), "finite"),
        (np.array([[0, -1], [-1, 0]], np.float32), "from -1.0"),
    ],
    ids=["not square", "empty", "nan", "infinite", "negative"],
)
def test_bad_matrix(diss, says):
    """A matrix that is not square, finite and >= 0 is refused, with what is wrong."""
    with pytest.raises(InvalidDissimilarities, match=says):
        fasterpam(diss, 1)
