"""The elbow on curves made by hand, and on vectors with and without groups."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.cluster import KMeans

from indexer.groups.dissimilarity import as_vector_rows, dissimilarities
from indexer.groups.elbow import InvalidRange, check_range, find_elbow
from indexer.groups.error_curves import kmeans_curve, kmedoids_curve, pyclustering_curve
from indexer.groups.fasterpam import InvalidNumberOfClusters, fasterpam
from indexer.groups.pyclustering_kmedoids import has_core
from tests.helpers.matrices import FIVE, FIVE_BEST, best_medoids, blobs, random_unit


def diss_of(vectors):
    """Compare all vectors with all."""
    return dissimilarities(as_vector_rows(vectors))


def test_elbow_of_a_curve_by_hand():
    """The line from (2, 100) to (6, 16) is at 79, 58, 37: 4 groups are farthest below, by 38."""
    elbow = find_elbow({2: 100, 3: 60, 4: 20, 5: 18, 6: 16})

    assert elbow.n_clusters == 4
    assert elbow.distance == pytest.approx(38 / 84)
    # From 2 to 4 groups the error falls to a fifth, from 4 to 6 to four fifths.
    assert elbow.knee_strength == pytest.approx(
        (math.log(5) / math.log(2)) / (math.log(1.25) / math.log(1.5))
    )
    assert elbow.is_clear


def test_elbow_does_not_depend_on_the_scale():
    """Errors in another unit give the same elbow, distance and knee strength."""
    curve = {2: 100.0, 3: 60.0, 4: 20.0, 5: 18.0, 6: 16.0}

    scaled = find_elbow({at: 1e-3 * error for at, error in curve.items()})

    assert scaled.n_clusters == 4
    assert scaled.knee_strength == pytest.approx(find_elbow(curve).knee_strength)


def test_smooth_curve_has_no_clear_elbow():
    """A power law is far from its line, but has no elbow: its knee strength is 1."""
    elbow = find_elbow({at: at**-0.5 for at in range(2, 101)})

    assert elbow.distance > 0.5
    assert elbow.knee_strength == pytest.approx(1)
    assert not elbow.is_clear


@pytest.mark.parametrize(
    ("curve", "n_clusters"),
    [({2: 5.0}, 2), ({2: 5.0, 3: 5.0}, 2), ({2: 0.0, 3: 0.0}, 2), ({1: 9.0, 2: 3.0}, 1)],
    ids=["one point", "flat", "zero", "two points"],
)
def test_curve_too_short_to_bend(curve, n_clusters):
    """With nothing on both sides of it, the lowest number is given and no elbow is claimed."""
    elbow = find_elbow(curve)

    assert elbow.n_clusters == n_clusters
    assert (elbow.knee_strength, elbow.is_clear) == (0.0, False)


def test_curve_that_falls_to_nothing():
    """As many groups as different pictures leave no error: as clear as can be, and finite."""
    elbow = find_elbow({2: 8.0, 3: 4.0, 4: 0.0, 5: 0.0, 6: 0.0, 7: 0.0, 8: 0.0})

    assert (elbow.n_clusters, elbow.knee_strength) == (4, 100.0)


def test_empty_curve():
    """Without a curve there is nothing to read off."""
    with pytest.raises(InvalidRange, match="the error curve is empty"):
        find_elbow({})


@pytest.mark.parametrize(("low", "high"), [(5, 4), (0, 3), (-1, -1)])
def test_bad_range(low, high):
    """More groups at least than at most, or none at all, is refused with both numbers."""
    with pytest.raises(InvalidRange, match=f"{low} to {high} groups"):
        check_range(low, high)


def test_sweep_on_the_matrix_by_hand():
    """For 1 to 3 groups the curve goes through the losses worked out by hand; with 5 it is 0."""
    curve = kmedoids_curve(FIVE, 1, 5)

    assert [curve.wce[n] for n in (1, 2, 3, 5)] == [15, 7, 3, 0]
    assert {n: sorted(curve.medoids[n].tolist()) for n in FIVE_BEST} == {
        n: medoids for n, (medoids, _) in FIVE_BEST.items()
    }


def test_sweep_is_as_good_as_starting_anew():
    """Going on from the last medoids costs at most 2 % against 32 starts for each number."""
    diss = diss_of(random_unit(200, 8))
    curve = kmedoids_curve(diss, 2, 30)

    for n_clusters in range(2, 31, 4):
        assert curve.wce[n_clusters] <= 1.02 * fasterpam(diss, n_clusters, n_starts=32).loss


def test_sweep_never_rises():
    """Each number of groups has its error and medoids, and more groups never have more error."""
    curve = kmedoids_curve(diss_of(random_unit(120, 4)), 3, 60)

    assert list(curve.wce) == list(curve.medoids) == list(range(3, 61))
    assert all(np.diff(list(curve.wce.values())) <= 0)


@pytest.mark.parametrize("dim", [3, 8, 32, 512])
def test_random_vectors_have_no_clear_elbow(dim):
    """Vectors spread evenly have no groups, in few dimensions or many, and that is said."""
    curve = kmedoids_curve(diss_of(random_unit(400, dim)), 2, 60)

    assert not find_elbow(curve.wce).is_clear


@pytest.mark.parametrize("n_groups", [4, 10, 19])
@pytest.mark.parametrize("noise", [0.3, 0.7])
def test_groups_that_are_there_are_found(n_groups, noise):
    """The elbow is clear and at the true number of groups."""
    vectors, _ = blobs(400, n_groups, noise, dim=256)

    elbow = find_elbow(kmedoids_curve(diss_of(vectors), 2, 60).wce)

    assert (elbow.n_clusters, elbow.is_clear) == (n_groups, True)


def test_two_groups_are_found_from_one_on():
    """Two groups show in a curve that begins with one; at the curve's end nothing can be judged."""
    diss = diss_of(blobs(200, 2, dim=256)[0])

    from_one = find_elbow(kmedoids_curve(diss, 1, 40).wce)
    from_two = find_elbow(kmedoids_curve(diss, 2, 40).wce)

    assert (from_one.n_clusters, from_one.is_clear) == (2, True)
    assert not from_two.is_clear


def test_kmeans_curve_finds_the_groups():
    """The curve of Euclidean k-means has its clear elbow at the true number as well."""
    vectors, _ = blobs(300, 8)

    elbow = find_elbow(kmeans_curve(as_vector_rows(vectors), 2, 40).wce)

    assert (elbow.n_clusters, elbow.is_clear) == (8, True)


def test_kmeans_error_equals_scikit_learns():
    """On groups that lie apart, the error is the one that scikit-learn's k-means reports."""
    vectors, _ = blobs(300, 8)

    ours = kmeans_curve(as_vector_rows(vectors), 8, 8).wce[8]
    theirs = KMeans(8, n_init=4, random_state=0).fit(vectors).inertia_

    assert ours == pytest.approx(theirs, rel=1e-4)


def test_kmeans_with_more_dimensions_than_components():
    """Where components are cut off, errors still count all dimensions, and stay near the best."""
    vectors = random_unit(400, 300)

    ours = kmeans_curve(as_vector_rows(vectors), 5, 5).wce[5]
    theirs = KMeans(5, n_init=3, random_state=0).fit(vectors).inertia_

    assert theirs * 0.99 <= ours <= theirs * 1.01


def test_kmeans_of_one_and_of_all():
    """One cluster has the variance as its error; a cluster for every row has none."""
    vectors = random_unit(9, 4)

    curve = kmeans_curve(as_vector_rows(vectors), 1, 9)

    spread = np.square(vectors - vectors.mean(axis=0), dtype=np.float64).sum()
    assert curve.wce[1] == pytest.approx(spread, rel=1e-5)
    assert curve.wce[9] == pytest.approx(0, abs=1e-5)


def test_kmeans_of_equal_vectors():
    """Copies of one vector have no error, whatever the number of clusters."""
    vectors = np.tile(random_unit(1, 6), (10, 1))

    assert list(kmeans_curve(as_vector_rows(vectors), 1, 3).wce.values()) == pytest.approx([0] * 3)


def test_kmeans_takes_given_rows_only():
    """Rows left out take no part."""
    vectors = random_unit(40, 5)
    rows = np.arange(0, 40, 2)

    some = kmeans_curve(as_vector_rows(vectors), 2, 4, rows=rows)

    assert some.wce == pytest.approx(kmeans_curve(as_vector_rows(vectors[rows]), 2, 4).wce)


def test_curves_are_the_same_with_the_same_seed():
    """Chance enters by the seed alone, whatever thread comes first."""
    rows = as_vector_rows(random_unit(150, 12))

    first, second = (kmeans_curve(rows, 2, 12, seed=3).wce for _ in range(2))

    assert first == second


@pytest.mark.skipif(not has_core(), reason="pyclustering's core is x86 only")
def test_pyclustering_curve():
    """A sweep by pyclustering gives a loss for each number, on this matrix the best there is."""
    curve = pyclustering_curve(FIVE, 1, 3)

    assert curve.wce == {n: best_medoids(FIVE, n)[1] for n in (1, 2, 3)}


def test_more_groups_than_rows():
    """No curve goes beyond the number of pictures."""
    with pytest.raises(InvalidNumberOfClusters, match="6 groups of 5"):
        kmedoids_curve(FIVE, 2, 6)
    with pytest.raises(InvalidNumberOfClusters, match="6 groups of 5"):
        kmeans_curve(as_vector_rows(random_unit(5, 3)), 2, 6)
