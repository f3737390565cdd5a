"""pyclustering behind the same contract, with and without its C++ core."""

from __future__ import annotations

import numpy as np
import pytest

from indexer.groups import pyclustering_kmedoids as adapter
from indexer.groups.clustering import cluster
from indexer.groups.fasterpam import InvalidDissimilarities, InvalidNumberOfClusters
from indexer.groups.grouping import UnknownMethod
from indexer.groups.pyclustering_kmedoids import (
    NoCore,
    PyclusteringTooSlow,
    check_core,
    estimate_seconds,
    pyclustering_kmedoids,
)
from tests.helpers.matrices import (
    FIVE,
    FIVE_BEST,
    blobs,
    loss_of,
    random_diss,
    random_unit,
)

needs_core = pytest.mark.skipif(not adapter.has_core(), reason="pyclustering's core is x86 only")


@pytest.fixture
def no_core(monkeypatch):
    """Make pyclustering run its Python code, as where there is no core."""
    from pyclustering.core.wrapper import ccore_library

    monkeypatch.setattr(ccore_library, "workable", staticmethod(lambda: False))


@needs_core
@pytest.mark.parametrize("algorithm", ["fasterpam", "pyclustering"])
@pytest.mark.parametrize("n_clusters", FIVE_BEST)
def test_both_algorithms_find_the_known_optimum(algorithm, n_clusters):
    """On the matrix worked out by hand, both give the same medoids and loss."""
    medoids, loss = FIVE_BEST[n_clusters]

    found = cluster(FIVE, n_clusters, algorithm)

    assert (sorted(found.medoids.tolist()), found.loss) == (medoids, loss)


@needs_core
@pytest.mark.parametrize("vectors", [random_unit(150, 16), blobs(150, 7)[0]], ids=["even", "blobs"])
@pytest.mark.parametrize("n_clusters", [2, 7, 20])
def test_default_is_as_good_as_pyclustering(vectors, n_clusters):
    """The default's loss is at most 0.1 % above pyclustering's, whatever its random medoids."""
    diss = np.clip(1 - vectors @ vectors.T, 0, None)
    np.fill_diagonal(diss, 0)
    ours = cluster(diss, n_clusters).loss

    for seed in range(3):
        assert ours <= 1.001 * cluster(diss, n_clusters, "pyclustering", seed).loss


@needs_core
def test_same_seed_same_medoids():
    """The seed decides the first medoids, and so the result."""
    diss = random_diss(40, 2)

    first, second = (pyclustering_kmedoids(diss, 5, seed=7).medoids.tolist() for _ in range(2))

    assert first == second


@needs_core
@pytest.mark.parametrize("n_clusters", [1, 3, 6])
def test_as_many_medoids_as_asked_for_among_copies(n_clusters):
    """The library drops medoids that equal others; the contract's number stands all the same."""
    found = pyclustering_kmedoids(np.zeros((6, 6), np.float32), n_clusters)

    assert len(set(found.medoids.tolist())) == n_clusters
    assert found.labels[found.medoids].tolist() == list(range(n_clusters))


@pytest.mark.usefixtures("no_core")
def test_without_core_it_warns_and_works():
    """Without the core a warning says so, and the groups are the same optimum."""
    with pytest.warns(NoCore, match="about a hundred times slower"):
        found = pyclustering_kmedoids(FIVE, 2)

    assert sorted(found.medoids.tolist()) == [1, 4]


@pytest.mark.usefixtures("no_core")
def test_without_core_it_refuses_many_pictures():
    """Without the core more than 1,000 pictures are refused, and the cure is named."""
    with pytest.raises(PyclusteringTooSlow, match="1001 pictures.*--algorithm fasterpam"):
        check_core(1001)
    with pytest.warns(NoCore):
        check_core(1000)


@needs_core
def test_estimate_grows_with_the_work():
    """Four times as many pictures take 16 times as long; more numbers of groups take longer."""
    diss = random_diss(60, 0)
    numbers = [2, 3, 4]

    ratio = estimate_seconds(diss, numbers, n=240) / estimate_seconds(diss, numbers)

    assert estimate_seconds(diss, numbers) > 0
    assert 1 < ratio < 256  # 16, but two short trials on a busy machine differ


def test_estimate_follows_the_trials(monkeypatch):
    """Trials of 1 s at 5 groups and 16 s at 20 mean n_clusters squared; n squared on top of it."""
    monkeypatch.setattr(adapter, "has_core", lambda: True)
    monkeypatch.setattr(adapter, "_timed_run", lambda diss, n_clusters: (n_clusters / 5) ** 2)

    seconds = estimate_seconds(np.zeros((500, 500), np.float32), [10, 15], n=1000)

    assert seconds == pytest.approx(4 * (4 + 9))


def test_bad_input_is_refused():
    """The same checks as in `fasterpam` stand before pyclustering."""
    with pytest.raises(InvalidNumberOfClusters, match="6 groups of 5"):
        pyclustering_kmedoids(FIVE, 6)
    with pytest.raises(InvalidDissimilarities, match="NaN"):
        pyclustering_kmedoids(np.full((2, 2), np.nan, np.float32), 1)


def test_unknown_algorithm():
    """A name that is none is refused, and the names there are listed."""
    with pytest.raises(UnknownMethod, match="'kmeans'.*'fasterpam', 'pyclustering'"):
        cluster(FIVE, 2, "kmeans")


@needs_core
def test_groups_are_those_of_its_medoids():
    """Loss and labels follow from the medoids, as in the other algorithm."""
    diss = random_diss(30, 1)

    found = pyclustering_kmedoids(diss, 4)

    assert found.loss == pytest.approx(loss_of(diss, found.medoids))
    assert found.n_swaps is None
