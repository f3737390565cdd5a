"""clusters.json: numbering, members, saving, and what is refused when it is read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from index.artefacts.clusters import Clusters, group_name, k_groups
from index.errors import CorruptSnapshot, InvalidClusters, NewerSchema, UnknownCluster

REST = {"loss": 1.5, "algorithm": "fasterpam", "seed": 3, "seconds": 0.25}


def clusters(labels=(1, 1, 0, 1, 1, 0), medoids=(2, 1), scores=(0.7, 1, 1, 0.9, 0.9, 0.5), **rest):
    """Return six pictures in two groups: rows 0, 1, 3, 4 around 1, and 2, 5 around 2."""
    return Clusters.numbered(
        np.array(labels, np.int32),
        np.array(medoids, np.int64),
        np.array(scores, np.float32),
        **(REST | rest),
    )


@pytest.fixture
def saved(tmp_path):
    """Give a function that saves groups with some of the JSON's values changed."""

    def save(**changed):
        path = tmp_path / "clusters.json"
        clusters(wce=((2, 3.0), (3, 1.0)), wce_method="kmedoids").save(path)
        found = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(found | changed), encoding="utf-8")
        return path

    return save


def test_groups_are_numbered_by_size():
    """The larger group becomes 0, and labels and medoids follow."""
    found = clusters()

    assert found.labels.tolist() == [0, 0, 1, 0, 0, 1]
    assert found.medoids.tolist() == [1, 2]
    assert found.sizes.tolist() == [4, 2]
    assert (len(found), found.n_images) == (2, 6)


def test_groups_of_equal_size_by_medoid():
    """Of equally large groups the one with the lower medoid comes first."""
    found = clusters((1, 0, 1, 0), (3, 2), (1, 1, 1, 1))

    assert found.medoids.tolist() == [2, 3]
    assert found.labels.tolist() == [0, 1, 0, 1]


def test_members_closest_first():
    """The medoid leads, then the closest; equal scores lower row first."""
    assert clusters().members(0).tolist() == [1, 3, 4, 0]


def test_medoid_leads_its_copies():
    """A copy of the medoid in a lower row scores the same and comes after it."""
    assert clusters(scores=(1, 1, 1, 0.9, 0.9, 0.5)).members(0).tolist() == [1, 0, 3, 4]


@pytest.mark.parametrize("label", [-1, 2])
def test_no_such_group(label):
    """A label outside the range is an error that tells the range."""
    with pytest.raises(UnknownCluster, match=f"no group {label}: the groups are 0 to 1"):
        clusters().members(label)


def test_k_groups_as_the_original_wrote_them():
    """Medoids, then lists of rows, each medoid first in its own."""
    assert k_groups(clusters()) == [[1, 2], [[1, 3, 4, 0], [2, 5]]]


@pytest.mark.parametrize(
    ("label", "n_clusters", "name"),
    [(7, 10, "group-007"), (999, 1000, "group-999"), (12, 1001, "group-0012")],
)
def test_names_sort_by_label(label, n_clusters, name):
    """Names have as many digits as the last label needs, at least three."""
    assert group_name(label, n_clusters) == name


def test_saved_groups_come_back(tmp_path):
    """Every value is the same after saving and loading, scores to the last bit."""
    scores = np.random.default_rng(0).random(6).astype(np.float32)
    written = clusters(
        scores=scores,
        wce=((2, 3.25), (3, 1.0)),
        wce_method="kmeans",
        rule="a rule",
        elbow_clear=False,
        knee_strength=0.9,
        n_sampled=5,
        quality={"medoid_silhouette": None, "nmi": 0.5},
    )

    written.save(tmp_path / "clusters.json")
    read = Clusters.load(tmp_path / "clusters.json")

    assert json.loads((tmp_path / "clusters.json").read_text())["knee_strength"] == 0.9
    for name, value in vars(written).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(read, name), value)
            assert getattr(read, name).dtype == value.dtype
        else:
            assert getattr(read, name) == value


def test_file_lists_sizes_and_counts(saved):
    """Other programs find counts, sizes and the curve by name."""
    found = json.loads(saved().read_text(encoding="utf-8"))

    assert (found["schema"], found["n_images"], found["n_clusters"]) == (2, 6, 2)
    assert found["sizes"] == [4, 2]
    assert found["wce"] == [{"n_clusters": 2, "wce": 3.0}, {"n_clusters": 3, "wce": 1.0}]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"labels": [0, 0, 1, 0, 0]}, "labels .5,., scores .6,."),
        ({"labels": [0, 0, 1, 0, 0, 2]}, "labels are 0 to 2, but there are 2 groups"),
        ({"labels": [0, 0, 1, 0, 0, -1]}, "labels are -1"),
        ({"labels": [0, 0, 1, 0, 0, 2**40]}, "too large: 1099511627776"),
        ({"labels": [0, 0, 1, 0, 0, 1.5]}, "labels must be a list of whole numbers"),
        ({"labels": "none"}, "labels must be a list of whole numbers"),
        ({"labels": []}, "labels must be a list"),
        ({"medoids": [2, 1]}, "medoid of group 0, row 2, is in group 1"),
        ({"medoids": [1, 6]}, "medoids are rows .* to 6, but the last row is 5"),
        ({"medoids": [1, -4]}, "medoids are rows"),
        ({"medoids": [1]}, "labels are 0 to 1, but there are 1 groups"),
        ({"sizes": [3, 3]}, "sizes contradict the labels"),
        ({"n_images": 7}, "are 7 and 2, but the file lists 6 pictures in 2"),
        ({"n_clusters": 3}, "are 6 and 3, but the file lists 6 pictures in 2"),
        ({"scores": [1, 1, 1, 1, 1]}, "scores .5,."),
        ({"scores": [1, 1, 1, 1, 1, float("nan")]}, "not a finite number"),
        ({"wce": [[2, 3.0]]}, "cannot be used"),
        ({"schema": "old"}, "cannot be used"),
    ],
)
def test_contradictions_are_refused(saved, changed, says):
    """A file whose parts do not go together is refused, saying what is wrong and what to run."""
    path = saved(**changed)

    with pytest.raises(CorruptSnapshot, match=says) as caught:
        Clusters.load(path)
    assert "run `bin/lookalike cluster` again" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"schema": 1}'])
def test_not_the_json_it_should_be(tmp_path, text):
    """Truncated or foreign JSON is refused by name."""
    path = tmp_path / "clusters.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(CorruptSnapshot, match=r"clusters\.json cannot be used"):
        Clusters.load(path)


def test_file_is_missing(tmp_path):
    """No file is an error too, not an empty answer."""
    with pytest.raises(CorruptSnapshot, match=r"clusters\.json cannot be used"):
        Clusters.load(tmp_path / "clusters.json")


def test_newer_schema(saved):
    """A file by a later version is told apart from a damaged one."""
    with pytest.raises(NewerSchema, match="has schema 3, this version reads up to 2"):
        Clusters.load(saved(schema=3))


def test_contradictions_are_refused_when_made():
    """The same checks hold for groups that never saw a file."""
    with pytest.raises(InvalidClusters, match="medoid of group 1, row 1, is in group 0"):
        clusters(labels=(0,) * 6)
    with pytest.raises(InvalidClusters, match="0 groups of 6 pictures"):
        clusters(medoids=())
