"""The map as a file."""

import numpy as np
import pytest

from index.artefacts.map_points import MapPoints
from index.errors import CorruptSnapshot
from index.layout import MAP_FILE


def test_one_scale_for_both_directions():
    """Twice as wide as high stays so, in the middle of the square."""
    points = MapPoints.fitted(np.array([[10.0, 5.0], [14.0, 5.0], [12.0, 7.0]])).xy
    np.testing.assert_allclose(points, [[0, 0.25], [1, 0.25], [0.5, 0.75]])


def test_a_single_place_is_the_middle():
    """One picture, or many in one place."""
    np.testing.assert_array_equal(MapPoints.fitted(np.full((3, 2), 7.0)).xy, 0.5)


def test_what_was_saved_is_loaded(tmp_path):
    """The same float32 numbers."""
    one = MapPoints.fitted(np.random.default_rng(0).standard_normal((9, 2)))
    one.save(tmp_path)
    np.testing.assert_array_equal(MapPoints.load(tmp_path / MAP_FILE).xy, one.xy)


@pytest.mark.parametrize(
    "content",
    [
        np.zeros((3, 3), np.float32),
        np.zeros((3, 2), np.float64),
        np.full((3, 2), np.nan, np.float32),
        np.full((3, 2), 1.5, np.float32),
        np.array([{}], object),
    ],
    ids=["shape", "dtype", "nan", "outside", "pickle"],
)
def test_what_is_no_map_is_refused(tmp_path, content):
    """Index files are untrusted: a wrong one is told, and nothing in it is run."""
    np.save(tmp_path / MAP_FILE, content, allow_pickle=True)
    with pytest.raises(CorruptSnapshot, match=r"map\.npy"):
        MapPoints.load(tmp_path / MAP_FILE)
