"""Alterations on pictures whose pixels can be worked out by hand."""

import numpy as np
import pytest
from PIL import Image

from indexer.quality import alterations
from indexer.quality.alterations import ALTERATIONS
from tests.helpers.pictures import noise_picture


def numbered(width, height):
    """Return a picture in which each pixel tells its column (red) and its row (green)."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(width)
    pixels[..., 1] = np.arange(height)[:, None]
    return Image.fromarray(pixels)


def test_the_centre_crop_keeps_the_middle_70_percent():
    """Of 100 x 50 remain 84 x 42 (factor 0.8367), from column 8 and row 4 on."""
    cut = alterations.centre_crop(numbered(100, 50))

    assert cut.size == (84, 42)
    assert cut.getpixel((0, 0)) == (8, 4, 0)
    assert cut.getpixel((83, 41)) == (91, 45, 0)


def test_random_crops_lie_inside_and_differ():
    """Twenty crops are all 84 x 42, whole, and not all from one place; a seed repeats them."""
    picture = numbered(100, 50)
    rng = np.random.default_rng(1)
    corners = {alterations.random_crop(picture, rng).getpixel((0, 0)) for _ in range(20)}
    again = np.random.default_rng(1)

    assert len(corners) > 10
    assert all(left <= 16 and top <= 8 for left, top, _ in corners)
    assert alterations.random_crop(picture, again).getpixel((0, 0)) in corners


def test_a_mirror_image_swaps_left_and_right():
    """Columns 0 1 2 become 2 1 0; rows stay."""
    pixels = np.asarray(alterations.mirror(numbered(3, 2)))

    assert pixels[..., 0].tolist() == [[2, 1, 0], [2, 1, 0]]
    assert pixels[..., 1].tolist() == [[0, 0, 0], [1, 1, 1]]


def test_recompression_loses_detail_and_keeps_size():
    """Noise does not survive quality 30, a plain colour does."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (32, 48, 3), dtype=np.uint8))
    plain = Image.new("RGB", (48, 32), (128, 128, 128))

    changed = alterations.recompress(noise)

    assert changed.size == (48, 32)
    assert np.abs(np.asarray(changed, int) - np.asarray(noise, int)).mean() > 10
    assert alterations.recompress(plain).getpixel((5, 5)) == (128, 128, 128)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((512, 256), (128, 64)), ((300, 600), (64, 128)), ((64, 32), (128, 64)), ((900, 1), (128, 1))],
)
def test_shrinking_makes_the_longer_side_128(size, wanted):
    """The aspect is kept, no side vanishes."""
    assert alterations.shrink(Image.new("RGB", size)).size == wanted


def test_brightness_is_multiplied_and_cut():
    """100 becomes 130 or 70; 250 is cut at 255."""
    picture = Image.new("RGB", (2, 2), (100, 250, 0))

    assert alterations.brighten(picture, 0.3).getpixel((0, 0)) == (130, 255, 0)
    assert alterations.brighten(picture, -0.3).getpixel((0, 0)) == (70, 175, 0)


def test_contrast_is_changed_about_the_mean_grey():
    """Of 50 and 150 the mean is 100: 35 and 165 with more contrast, 65 and 135 with less."""
    picture = Image.fromarray(np.array([[[50] * 3, [150] * 3]], np.uint8))

    more = np.asarray(alterations.change_contrast(picture, 0.3))
    less = np.asarray(alterations.change_contrast(picture, -0.3))

    assert more[0, :, 0].tolist() == [35, 165]
    assert less[0, :, 0].tolist() == [65, 135]


def test_a_turn_moves_the_rim_and_bares_white_corners():
    """The middle stays; a point 40 to the right comes up by 40 sin 5 degrees, about 3."""
    picture = Image.new("RGB", (101, 101), "black")
    picture.paste((255, 0, 0), (88, 48, 93, 53))

    turned = alterations.rotate(picture)

    assert turned.size == (101, 101)
    assert turned.getpixel((0, 0)) == (255, 255, 255)
    assert turned.getpixel((50, 50)) == (0, 0, 0)
    assert turned.getpixel((90, 47)) == (255, 0, 0)
    assert turned.getpixel((90, 52)) == (0, 0, 0)


def test_the_logo_covers_the_lower_right_corner_only():
    """On 200 x 100 the mark is 20 px wide, 3 px from the rim: columns 177-196, rows 77-96."""
    before = numbered(200, 100)

    changed = np.any(np.asarray(alterations.add_logo(before)) != np.asarray(before), axis=2)

    rows, columns = np.nonzero(changed)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (177, 196, 77, 96)
    assert changed.sum() == 400


@pytest.mark.parametrize("alteration", ALTERATIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("size", [(64, 48), (1, 1), (3, 500)], ids=str)
def test_every_alteration_leaves_the_original_alone(alteration, size):
    """The same generator gives the same RGB picture; the original is not touched."""
    original = noise_picture(3).resize(size)
    before = original.tobytes()

    first = alteration.alter(original, np.random.default_rng(5))
    second = alteration.alter(original, np.random.default_rng(5))

    assert first.mode == "RGB"
    assert first.tobytes() == second.tobytes()
    assert original.tobytes() == before


def test_each_alteration_has_a_name_of_its_own():
    """Tables and JSON are keyed by name."""
    assert len({one.name for one in ALTERATIONS}) == len(ALTERATIONS) == 11
