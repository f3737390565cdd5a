from dataclasses import replace

import numpy as np
import pytest

from models.learning.views import random_views, tf
from models.network.recipe import Recipe

# Nothing random but where the view is.
PLAIN = Recipe(light=0.0, saturation=(1.0, 1.0), hue=0.0, grey=0.0, log_aspect=0.0)


@pytest.fixture
def pictures() -> np.ndarray:
    """Return 6 pictures whose red grows to the right and green downwards, (6, 64, 64, 3)."""
    ramp = np.linspace(0, 1, 64, dtype=np.float32)
    picture = np.zeros((64, 64, 3), np.float32)
    picture[:, :, 0], picture[:, :, 1], picture[:, :, 2] = ramp[None], ramp[:, None], 0.5
    return np.repeat(picture[None], 6, 0)


def views(pictures: np.ndarray, recipe: Recipe, seed: int, area: tuple = (0.2, 1.0)) -> np.ndarray:
    """Return views of 32 px."""
    return random_views(pictures, 32, area, recipe, tf.constant([seed, 0], tf.int64)).numpy()


def test_views_follow_from_the_seed(pictures: np.ndarray) -> None:
    """The same seed gives the same views to the bit, another seed others; pictures differ too."""
    one, again, other = (views(pictures, Recipe(), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1
    assert np.abs(one[0] - one[1]).max() > 0.1


def test_several_views_of_each_picture_come_in_turns(pictures: np.ndarray) -> None:
    """All of 1, 2, ..., n, then once more: pictures 2 to n black, view n + 1 shows picture 1."""
    black = pictures.copy()
    black[1:] = 0
    seed = tf.constant([0, 0], tf.int64)
    found = random_views(black, 8, (0.5, 1.0), PLAIN, seed, n_views=3).numpy()
    assert found.shape == (18, 8, 8, 3)
    assert np.flatnonzero(found.max(axis=(1, 2, 3)) > 0).tolist() == [0, 6, 12]


def test_views_have_the_side_and_stay_in_range(pictures: np.ndarray) -> None:
    """However strong the colours are changed, they stay between 0 and 1."""
    strong = Recipe(light=0.9, saturation=(0.0, 3.0), hue=0.5)
    found = views(pictures, strong, 0)
    assert found.shape == (6, 32, 32, 3)
    assert found.dtype == np.float32
    assert 0 <= found.min() < found.max() <= 1


def test_whole_view_is_the_picture_or_its_mirror_image(pictures: np.ndarray) -> None:
    """A view of all of the picture without change of colours is the picture, smaller."""
    found = views(pictures, PLAIN, 0, area=(1.0, 1.0))
    expected = tf.image.crop_and_resize(
        pictures[:1], [[0.0, 0.0, 1.0, 1.0]], [0], [32, 32]
    ).numpy()[0]
    kinds = set()
    for view in found:
        is_mirrored = view[0, 0, 0] > view[0, -1, 0]
        kinds.add(bool(is_mirrored))
        np.testing.assert_allclose(view[:, ::-1] if is_mirrored else view, expected, atol=1e-4)
    assert kinds == {True, False}


def test_views_show_so_much_of_the_picture(pictures: np.ndarray) -> None:
    """Red and green tell the sides of what is shown: its area is between the bounds."""
    found = views(np.repeat(pictures, 20, 0), PLAIN, 0, area=(0.3, 0.6))
    width = np.abs(found[:, 0, -1, 0] - found[:, 0, 0, 0])
    height = np.abs(found[:, -1, 0, 1] - found[:, 0, 0, 1])
    areas = width * height
    assert 0.29 < areas.min() < 0.35
    assert 0.55 < areas.max() < 0.61


def test_views_are_stretched_within_bounds(pictures: np.ndarray) -> None:
    """Height over width is between e^-0.4 and e^0.4, and reaches out to both."""
    stretched = replace(PLAIN, log_aspect=0.4)
    found = views(np.repeat(pictures, 20, 0), stretched, 0, area=(0.3, 0.4))
    width = np.abs(found[:, 0, -1, 0] - found[:, 0, 0, 0])
    height = np.abs(found[:, -1, 0, 1] - found[:, 0, 0, 1])
    slants = np.log(height / width)
    assert -0.41 < slants.min() < -0.35
    assert 0.35 < slants.max() < 0.41


def test_grey_views_have_no_colour(pictures: np.ndarray) -> None:
    """Each pixel gets its brightness 0.299 R + 0.587 G + 0.114 B in all channels."""
    grey = replace(PLAIN, grey=1.0)
    found = views(pictures, grey, 3)
    coloured = views(pictures, PLAIN, 3)  # the same draws, so the same pieces
    brightness = coloured @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(found, np.repeat(brightness[..., None], 3, -1), atol=2e-3)


def test_light_changes_contrast_and_brightness_only(pictures: np.ndarray) -> None:
    """Every view is a straight-line function of the unchanged one: one factor, one offset."""
    light = replace(PLAIN, light=0.2)
    dim = 0.25 + pictures / 2  # far enough from 0 and 1 not to be cut off
    found, plain = views(dim, light, 3), views(dim, PLAIN, 3)
    for view, unchanged in zip(found, plain, strict=True):
        factor, offset = np.polyfit(unchanged.ravel(), view.ravel(), 1)
        assert 0.8**2 - 0.01 < factor < 1.2**2 + 0.01
        np.testing.assert_allclose(view, factor * unchanged + offset, atol=1e-3)
