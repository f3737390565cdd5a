"""Grouping a whole collection: elbow, algorithms, samples, and the odd collections."""

from __future__ import annotations

import numpy as np
import pytest

from index.build_settings import GroupingOptions
from index.search.faiss_store import FaissStore
from indexer.groups import pyclustering_kmedoids as adapter
from indexer.groups.clustering import duration, group_images
from indexer.groups.dissimilarity import BadVectors
from indexer.groups.elbow import CLEAR_KNEE, InvalidRange
from indexer.groups.fasterpam import InvalidNumberOfClusters
from indexer.groups.grouping import Grouping, TooLittleMemory, UnknownMethod
from indexer.groups.pyclustering_kmedoids import PyclusteringTooSlow
from tests.helpers.matrices import blobs, random_unit, same_groups

needs_core = pytest.mark.skipif(not adapter.has_core(), reason="pyclustering's core is x86 only")


@pytest.mark.parametrize("elbow", ["kmedoids", "kmeans"])
def test_groups_that_are_there(elbow):
    """Clear groups are found, number and members, and the curve is kept with its method."""
    vectors, groups = blobs(200, 6)

    found = group_images(vectors, Grouping(max_clusters=30, elbow=elbow))

    assert same_groups(found.labels, groups)
    assert (found.wce_method, [n for n, _ in found.wce]) == (elbow, list(range(2, 31)))
    assert "Satopaa" in found.rule
    assert found.elbow_clear
    assert found.knee_strength >= CLEAR_KNEE
    assert found.n_sampled is None


def test_result_agrees_with_the_vectors():
    """Scores are cosines with the own medoid, the nearest one; loss is their sum from 1."""
    vectors = random_unit(90, 8)

    found = group_images(vectors, Grouping(n_clusters=5))

    scores = vectors @ vectors[found.medoids].T
    np.testing.assert_array_equal(found.labels, scores.argmax(axis=1))
    np.testing.assert_allclose(found.scores, scores.max(axis=1), atol=1e-6)
    assert found.loss == pytest.approx((1 - scores.max(axis=1)).sum(), rel=1e-5)
    assert found.sizes.tolist() == sorted(found.sizes.tolist(), reverse=True)
    assert 0 < found.quality["medoid_silhouette"] < 1


def test_given_number_needs_no_sweep():
    """With a number of groups there is no curve, and the rule says that it was given."""
    found = group_images(blobs(60, 4)[0], Grouping(n_clusters=4))

    assert (len(found), found.wce, found.wce_method, found.rule) == (4, (), None, "fixed")
    assert (found.elbow_clear, found.knee_strength) == (None, None)


def test_vectors_of_a_store():
    """A vector store serves as well as an array, with the same result."""
    vectors, _ = blobs(80, 4)

    of_store = group_images(FaissStore.from_vectors(vectors), Grouping(n_clusters=4, seed=1))

    of_array = group_images(vectors, Grouping(n_clusters=4, seed=1))
    assert of_store.labels.tolist() == of_array.labels.tolist()
    assert of_store.medoids.tolist() == of_array.medoids.tolist()


def test_no_clear_elbow_is_said():
    """Random vectors get the rule's number, with a sentence and a flag that it means little."""
    said = []

    found = group_images(random_unit(200, 64), Grouping(max_clusters=40), say=said.append)

    assert found.elbow_clear is False
    assert said[0].startswith("No clear elbow (knee strength ")
    assert said[0].endswith(f"Using {len(found)} groups.")


def test_same_seed_same_groups():
    """Two runs with one seed give the same groups, medoids and curve."""
    vectors = random_unit(120, 6)

    first, second = (group_images(vectors, Grouping(max_clusters=20, seed=5)) for _ in range(2))

    assert first.labels.tolist() == second.labels.tolist()
    assert (first.medoids.tolist(), first.wce) == (second.medoids.tolist(), second.wce)


def test_order_of_pictures_does_not_matter():
    """Permuting the pictures of clear groups permutes their labels."""
    vectors, groups = blobs(120, 5)
    order = np.random.default_rng(1).permutation(120)

    found = group_images(vectors[order], Grouping(max_clusters=20))

    assert same_groups(found.labels, groups[order])


def test_known_classes_are_compared_with():
    """With classes, purity, NMI and ARI are kept; for perfect groups all are 1."""
    vectors, groups = blobs(60, 3)
    classes = [f"class {group}" for group in groups]
    classes[0] = None

    quality = group_images(vectors, Grouping(n_clusters=3), classes=classes).quality

    assert quality["purity"] == pytest.approx(1)
    assert quality["nmi"] == pytest.approx(1)
    assert quality["ari"] == pytest.approx(1)


@pytest.mark.parametrize("size", [60, 150])
def test_samples_find_what_the_whole_shows(size):
    """On clear groups, grouping samples gives the groups of the whole, and says how it was done."""
    vectors, groups = blobs(900, 5)
    said = []

    how = Grouping(max_clusters=10, matrix_bytes=4 * size**2)
    found = group_images(vectors, how, say=said.append)

    assert same_groups(found.labels, groups)
    assert found.n_sampled == size
    assert f"5 samples of {size}" in said[0]
    assert found.loss <= 1.1 * group_images(vectors, Grouping(n_clusters=5)).loss


def test_samples_with_a_given_number():
    """A given number of groups holds for samples too; n_sampled tells of them."""
    found = group_images(random_unit(500, 8), Grouping(n_clusters=7, matrix_bytes=4 * 100**2))

    assert (len(found), found.n_sampled, found.wce) == (7, 100, ())


def test_later_samples_never_make_it_worse():
    """The medoids with the least loss on the whole collection win: never above the first sample."""
    vectors = random_unit(600, 6)
    how = Grouping(n_clusters=6, matrix_bytes=4 * 80**2)

    best = group_images(vectors, how).loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexer.groups.clustering.N_SAMPLES", 1)
        assert best < group_images(vectors, how).loss


def test_samples_of_a_mapped_file(tmp_path):
    """Vectors mapped from a file are grouped as those in memory are, by k-means' elbow too."""
    vectors, groups = blobs(400, 4)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")

    how = Grouping(max_clusters=12, elbow="kmeans", matrix_bytes=4 * 100**2)

    assert same_groups(group_images(mapped, how).labels, groups)


@pytest.mark.parametrize(
    ("n", "matrix_bytes", "size"),
    [(20_000, None, 20_000), (20_001, None, 8192), (500, 4 * 500**2, 500), (501, 4 * 500**2, 500)],
)
def test_size_of_samples(n, matrix_bytes, size):
    """All pictures up to 20,000 or what the memory bound holds; samples beyond."""
    assert Grouping(matrix_bytes=matrix_bytes).sample_size(n) == size


def test_too_little_memory_for_a_sample():
    """A bound that leaves too small a sample is refused with what is needed: 4 * 240^2 bytes."""
    with pytest.raises(TooLittleMemory, match="needs 240. Allow at least 230400 bytes"):
        group_images(random_unit(300, 4), Grouping(matrix_bytes=1000))


def test_single_picture():
    """A collection of one picture is one group."""
    found = group_images(random_unit(1, 4))

    assert (found.labels.tolist(), found.medoids.tolist(), found.loss) == ([0], [0], 0)
    assert found.rule == "a single picture"
    assert found.quality == {"medoid_silhouette": None}


def test_two_pictures():
    """Two different pictures are two groups of one: the least that the elbow looks at."""
    found = group_images(random_unit(2, 4))

    assert found.labels.tolist() == [0, 1]
    assert found.elbow_clear is False


def test_all_pictures_equal():
    """Copies of one picture are one group, unless more are asked for."""
    vectors = np.tile(random_unit(1, 300), (30, 1))

    assert len(group_images(vectors)) == 1
    assert group_images(vectors).rule == "all pictures are equal"
    asked = group_images(vectors, Grouping(n_clusters=3))
    assert len(asked) == 3
    assert asked.loss == 0


def test_exact_duplicates_share_a_group():
    """Copies of each picture are together, and eight groups of eight different lose nothing."""
    vectors = np.repeat(random_unit(8, 40), 5, axis=0)

    found = group_images(vectors, Grouping(max_clusters=20))

    assert same_groups(found.labels, np.arange(40) // 5)
    assert found.loss == 0
    assert found.elbow_clear


def test_group_of_one_picture():
    """A picture unlike all others is a group of its own."""
    vectors = np.vstack([blobs(40, 2, noise=0.1)[0], random_unit(1, 32, seed=9)])

    found = group_images(vectors, Grouping(n_clusters=3))

    assert found.sizes.tolist() == [20, 20, 1]
    assert found.medoids[2] == 40


@pytest.mark.parametrize("n_clusters", [1, 9])
def test_one_group_and_as_many_as_pictures(n_clusters):
    """One group holds all; as many groups as pictures hold one each."""
    found = group_images(random_unit(9, 4), Grouping(n_clusters=n_clusters))

    assert found.sizes.tolist() == [9 // n_clusters] * n_clusters


def test_fewer_pictures_than_groups():
    """More groups than pictures, given or as the least of the sweep, are refused."""
    with pytest.raises(InvalidNumberOfClusters, match="6 groups of 5 pictures"):
        group_images(random_unit(5, 3), Grouping(n_clusters=6))
    with pytest.raises(InvalidNumberOfClusters, match="8 groups of 5 pictures"):
        group_images(random_unit(5, 3), Grouping(min_clusters=8))


def test_sweep_ends_with_the_pictures():
    """The curve goes up to the number of pictures where that is below the largest number asked."""
    found = group_images(random_unit(6, 3))

    assert [n for n, _ in found.wce] == [2, 3, 4, 5, 6]
    assert found.wce[-1][1] == 0


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"min_clusters": 5, "max_clusters": 4}, InvalidRange, "5 to 4 groups"),
        ({"min_clusters": 0}, InvalidRange, "0 to 100 groups"),
        ({"algorithm": "kmeans"}, UnknownMethod, "unknown algorithm 'kmeans'"),
        ({"elbow": "fasterpam"}, UnknownMethod, "unknown elbow 'fasterpam'"),
    ],
)
def test_bad_options(options, error, says):
    """Options that make no sense are refused before any work."""
    with pytest.raises(error, match=says):
        Grouping(**options)


def test_nan_is_refused():
    """A vector that is not finite is refused, by row."""
    vectors = random_unit(6, 3)
    vectors[4, 1] = np.nan

    with pytest.raises(BadVectors, match="row 4 "):
        group_images(vectors)


@needs_core
def test_pyclustering_groups_and_curve():
    """The library makes sweep and groups on request; its time is told before each."""
    vectors, groups = blobs(40, 3)
    said = []

    how = Grouping(max_clusters=6, algorithm="pyclustering", elbow="pyclustering")
    found = group_images(vectors, how, say=said.append)

    assert same_groups(found.labels, groups)
    assert (found.algorithm, found.wce_method) == ("pyclustering", "pyclustering")
    assert [line.split(" for ")[1] for line in said] == ["2 to 6 groups", "3 groups"]


def test_pyclustering_is_refused_for_samples():
    """Where samples are needed pyclustering is refused, not left to run for days."""
    how = Grouping(n_clusters=3, algorithm="pyclustering", matrix_bytes=4 * 60**2)

    with pytest.raises(PyclusteringTooSlow, match="days for 100 pictures"):
        group_images(random_unit(100, 4), how)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (720, "12 min"), (8280, "2.3 h")]
)
def test_durations_read_well(seconds, text):
    """Estimates are told in seconds, minutes or hours."""
    assert duration(seconds) == text


def test_progress_covers_every_stage():
    """Bars for comparing, sweep and assignment reach their totals."""
    bars = []

    class Bar:
        def __init__(self, total, desc, unit):
            self.total, self.done, self.desc = total, 0, desc
            bars.append(self)

        def update(self, n):
            self.done += n

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    group_images(random_unit(30, 4), Grouping(max_clusters=10), progress=Bar)

    assert [(bar.desc, bar.done) for bar in bars] == [
        ("comparing", 30),
        ("elbow", 10),
        ("assigning", 30),
    ]
    assert all(bar.done == bar.total for bar in bars)


def test_stored_options_are_checked_before_they_are_used():
    """They come back with the keys of other versions; what this version lacks is refused."""
    stored = GroupingOptions(n_clusters=4, other_keys={"later": 1})

    assert Grouping.of(stored) == Grouping(n_clusters=4, other_keys={"later": 1})
    with pytest.raises(UnknownMethod, match="unknown algorithm 'later'"):
        Grouping.of(GroupingOptions(algorithm="later"))
