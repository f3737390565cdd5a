"""TIFFs of every layout that programs write: what they show, pixel for pixel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from models.errors import ImageTooLarge, UndecodableImage, UnsupportedPicture
from models.preprocess import Limits, decode, pixel_count
from tests.helpers.pictures import file_of, random_picture
from tests.helpers.profiles import matrix_profile
from tests.helpers.tiffs import (
    CMYK,
    DEFLATE,
    FLOATING_POINT,
    GREY,
    HORIZONTAL,
    LAB,
    LZW,
    NONE,
    PACKBITS,
    PALETTE,
    RGB,
    YCBCR,
    ZSTANDARD,
    tiff_of,
)

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")

SIZE = (37, 29)
PICTURE = np.asarray(random_picture(SIZE))  # (29, 37, 3)
ALPHA = np.asarray(random_picture(SIZE, seed=1))[..., 0]
TYPES = ["u1", "u2", "u4", "u8", "f2", "f4", "f8"]
PACKINGS = {
    "raw": {},
    "deflate": {"compression": DEFLATE},
    "LZW": {"compression": LZW},
    "PackBits": {"compression": PACKBITS},
    "Zstandard": {"compression": ZSTANDARD},
    "differences": {"compression": DEFLATE, "predictor": HORIZONTAL},
}
PIECES = {"one strip": {}, "strips": {"rows_per_strip": 6}, "tiles": {"tile": 16}}


def stored(levels: np.ndarray, type_: str) -> np.ndarray:
    """Return numbers of another type that mean the same as 0..255."""
    dtype = np.dtype(type_)
    if dtype.kind == "f":
        return (levels / 255).astype(dtype)
    return levels.astype(dtype) * dtype.type(np.iinfo(dtype).max // 255)


def with_alpha(*more: np.ndarray) -> np.ndarray:
    """Return colours and more samples, (h, w, n) bytes."""
    return np.concatenate([PICTURE, *(one[..., None] for one in more)], axis=2)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pieces", PIECES)
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("planar", [False, True], ids=["pixels", "planes"])
@pytest.mark.parametrize("type_", TYPES)
def test_colours_are_read_in_every_layout(type_, planar, packing, pieces, order):
    """Integers and floats of 8 to 64 bits, by pixels or planes, in strips or tiles, give it."""
    how = PACKINGS[packing] | PIECES[pieces] | {"planar": planar, "order": order}
    assert (np.asarray(decode(tiff_of(stored(PICTURE, type_), RGB, **how))) == PICTURE).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pieces", PIECES)
@pytest.mark.parametrize("planar", [False, True], ids=["pixels", "planes"])
@pytest.mark.parametrize("type_", ["f2", "f4", "f8"])
def test_floats_are_read_with_their_own_predictor(type_, planar, pieces, order):
    """The bytes of floats are sorted by weight before they are subtracted."""
    how = PIECES[pieces] | {"planar": planar, "order": order, "compression": DEFLATE}
    data = tiff_of(stored(PICTURE, type_), RGB, predictor=FLOATING_POINT, **how)
    assert (np.asarray(decode(data)) == PICTURE).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("type_", ["u1", "u2", "f2", "f4", "f8"])
def test_greys_are_read_in_every_layout(type_, packing, order):
    """So are greys; of integers white may be zero."""
    grey = PICTURE[..., :1]
    expected = np.repeat(grey, 3, axis=2)
    how = PACKINGS[packing] | {"order": order}
    assert (np.asarray(decode(tiff_of(stored(grey, type_), GREY, **how))) == expected).all()
    if type_[0] == "u":
        data = tiff_of(stored(255 - grey, type_), 0, **how)
        assert (np.asarray(decode(data)) == expected).all()


@pytest.mark.parametrize("planar", [False, True], ids=["pixels", "planes"])
@pytest.mark.parametrize("type_", TYPES)
def test_alpha_is_laid_on_white(type_, planar):
    """Alpha behind colours or grey, or behind a sample of unknown meaning, is followed."""
    on_white = np.asarray(decode(file_of(Image.fromarray(with_alpha(ALPHA)), "PNG")))
    more = {(2,): [ALPHA], (2, 0): [ALPHA, ALPHA // 2], (0, 2): [ALPHA // 2, ALPHA], (): [ALPHA]}
    for extra, samples in more.items():
        data = tiff_of(stored(with_alpha(*samples), type_), RGB, planar=planar, extra=extra)
        assert (np.asarray(decode(data)) == on_white).all()
    grey = np.stack([PICTURE[..., 0], ALPHA], axis=2)
    on_white = np.asarray(decode(file_of(Image.fromarray(grey), "PNG")))
    # The greys of a wider type are stretched to their own range; here they reach from 0 to 255.
    grey_data = tiff_of(stored(grey, type_), GREY, planar=planar, extra=(2,))
    assert np.abs(np.asarray(decode(grey_data)).astype(int) - on_white).max() <= 1


@pytest.mark.parametrize("planar", [False, True], ids=["pixels", "planes"])
@pytest.mark.parametrize("type_", ["u1", "u2", "f4"])
def test_alpha_that_is_multiplied_in_is_laid_on_white(type_, planar):
    """Half of red on white is (255, 127, 127), stored as (128, 0, 0) and 128."""
    for colours, photometric, shown in (
        ([128, 0, 0], RGB, (255, 127, 127)),
        ([64], GREY, (191, 191, 191)),
    ):
        samples = np.full((3, 4, len(colours) + 1), [*colours, 128], np.uint8)
        data = tiff_of(stored(samples, type_), photometric, planar=planar, extra=(1,))
        assert np.abs(np.subtract(decode(data).getpixel((1, 1)), shown)).max() <= 1


@pytest.mark.parametrize("planar", [False, True], ids=["pixels", "planes"])
@pytest.mark.parametrize("type_", ["u1", "u2", "f4"])
@pytest.mark.parametrize("extra", [(), (0,), (2,), (0, 0, 0)], ids=str)
def test_inks_are_read_whatever_is_behind_them(type_, planar, extra):
    """Spot colours and masks behind the four inks are left out, as viewers do."""
    inks = np.asarray(random_picture(SIZE).convert("CMYK"))
    expected = np.asarray(decode(file_of(Image.fromarray(inks, "CMYK"), "TIFF")))
    samples = np.concatenate([inks, *[ALPHA[..., None]] * len(extra)], axis=2)
    data = tiff_of(stored(samples, type_), CMYK, planar=planar, extra=extra)
    assert (np.asarray(decode(data)) == expected).all()


@pytest.mark.parametrize("planar", [False, True], ids=["pixels", "planes"])
@pytest.mark.parametrize("type_", ["u1", "u2"])
def test_lab_is_read_in_every_layout(type_, planar):
    """L* = 100 is white, 50 is grey 119; a* and b* are signed."""
    samples = np.zeros((2, 3, 3), np.uint8)
    samples[0, :, 0], samples[1, :, 0] = 255, 128
    data = tiff_of(stored(samples, type_), LAB, planar=planar)
    shown = np.asarray(decode(data), int)
    assert np.abs(shown - [[[255]], [[119]]]).max() <= 2


def test_palette_with_alpha_is_laid_on_white():
    """Index 1 is green, and half of it is seen."""
    samples = np.full((4, 4, 2), [1, 128], np.uint8)
    table = [0] * 768
    table[256 + 1] = 65535
    data = tiff_of(samples, PALETTE, extra=(2,), tags=((320, "H", table),))
    assert decode(data).getpixel((0, 0)) == (127, 255, 127)


@pytest.mark.parametrize("compression", [NONE, DEFLATE])
def test_ycbcr_is_read(compression):
    """Y = 76, Cb = 85, Cr = 255 is red."""
    samples = np.full((16, 16, 3), [76, 85, 255], np.uint8)
    data = tiff_of(samples, YCBCR, compression=compression, tags=((530, "H", [1, 1]),))
    assert np.abs(np.subtract(decode(data).getpixel((0, 0)), (254, 0, 0))).max() <= 2


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.0, 0.5, 2.0, 0.0], [0, 128, 255, 0]),
        ([-0.1, 0.5, 1.0, 0.0], [0, 128, 255, 0]),
        ([0.0, 100.0, 255.0, 0.0], [0, 100, 255, 0]),
        ([0.0, 25700.0, 65535.0, 0.0], [0, 100, 255, 0]),
        ([0.0, float("nan"), 1.0, float("inf")], [0, 0, 255, 0]),
        ([float("nan")] * 4, [0, 0, 0, 0]),
    ],
    ids=["lighter than white", "below black", "to 255", "to 65535", "no numbers", "nothing"],
)
def test_floats_of_colours_are_scaled_by_what_they_mean(values, shown):
    """Most mean 0..1, with what is outside cut off; larger ones mean a larger usual range."""
    samples = np.repeat(np.array([values], "f4")[..., None], 3, axis=2)
    assert np.asarray(decode(tiff_of(samples)))[0, :, 0].tolist() == shown


def test_large_integers_of_colours_use_their_whole_range():
    """Half of 2**32 is grey 128, although nothing in the picture is white."""
    samples = np.full((2, 2, 3), 1 << 31, "u4")
    assert decode(tiff_of(samples)).getpixel((0, 0)) == (128, 128, 128)


def test_large_integers_of_grey_are_stretched():
    """Counts of a detector show from their smallest to their largest."""
    samples = np.array([[[1_000_000], [1_500_000], [3_000_000]]], "u4")
    assert np.asarray(decode(tiff_of(samples, GREY)))[0, :, 0].tolist() == [0, 64, 255]


def test_orientation_and_profile_are_followed():
    """Red and blue are exchanged by the profile, and the sides by the orientation."""
    samples = stored(np.full((3, 5, 3), [255, 0, 0], np.uint8), "f4")
    profile = list(matrix_profile(swap=True))
    data = tiff_of(samples, tags=((274, "H", [6]), (34675, "B", profile)))
    decoded = decode(data)
    assert decoded.size == (3, 5)
    assert np.abs(np.subtract(decoded.getpixel((0, 0)), (0, 0, 255))).max() <= 2


@pytest.mark.parametrize("packing", ["raw", "deflate", "LZW"])
@pytest.mark.parametrize("planar", [False, True], ids=["pixels", "planes"])
def test_cut_off_samples_are_broken(planar, packing):
    """However much is missing, the error is that the file is cut off, and there is no picture."""
    whole = tiff_of(stored(PICTURE, "f4"), planar=planar, rows_per_strip=5, **PACKINGS[packing])
    directory = int.from_bytes(whole[4:8], "little")
    for length in range(8, directory, directory // 7):
        moved = whole[:4] + length.to_bytes(4, "little") + whole[8:length] + whole[directory:]
        with pytest.raises(UndecodableImage, match="cut off or broken"):
            decode(moved)


def test_missing_strips_are_broken():
    """Fewer strips than the picture has rows for are no picture."""
    data = tiff_of(stored(PICTURE, "f4"), rows_per_strip=5, tags=((273, "I", [8, 8]),))
    with pytest.raises(UndecodableImage, match="2 strips of 6"):
        decode(data)


def test_many_tiles_are_refused_without_counting_them():
    """A million tiles of one pixel, of which one is there, cost nothing."""
    data = tiff_of(np.zeros((1, 1, 3), "f4"), tile=1, tags=((256, "I", [7000]), (257, "I", [7000])))
    with pytest.raises(UndecodableImage, match="1 strips of 49000000"):
        decode(data)


def test_limits_hold_for_them_too():
    """Pixels, sides and tiles are counted before anything is unpacked."""
    one = np.zeros((4, 4, 3), "f4")
    with pytest.raises(ImageTooLarge, match="the limit is 15"):
        decode(tiff_of(one), Limits(max_pixels=15))
    with pytest.raises(ImageTooLarge, match="the limit of a side is 100,000"):
        decode(tiff_of(one, tags=((256, "I", [100_001]),)))
    with pytest.raises(ImageTooLarge, match="tiles of 8192 x 8192"):
        decode(tiff_of(one, tile=16, tags=((322, "I", [8192]), (323, "I", [8192]))))
    with pytest.raises(UndecodableImage, match="0 x 4"):
        decode(tiff_of(one, tags=((256, "I", [0]),)))


def test_large_strips_count_as_more_pixels():
    """One packed strip of doubles is held whole; in many strips it is not."""
    samples = np.zeros((100, 100, 4), "f8")
    large = tiff_of(samples, compression=DEFLATE)
    small = tiff_of(samples, compression=DEFLATE, rows_per_strip=1)
    assert pixel_count(small) == pixel_count(tiff_of(samples)) == 10_000
    assert pixel_count(large) == (10 + 32) * 10_000 // 17
    with pytest.raises(ImageTooLarge, match="smaller strips"):
        decode(large, Limits(max_pixels=20_000))


UNSUPPORTED = {
    "14 bits": (tiff_of(PICTURE, tags=((258, "H", [14] * 3),)), "RGB, 3 samples of 14 bits"),
    "different bits": (
        tiff_of(PICTURE, tags=((258, "H", [5, 6, 5]),)), "RGB, 3 samples of 5 and 6 bits"),
    "complex numbers": (
        tiff_of(stored(PICTURE, "u4"), tags=((339, "H", [6] * 3),)), "3 complex samples of 32"),
    "JPEG 2000": (tiff_of(PICTURE, tags=((259, "H", [34712]),)), "compressed with JPEG 2000"),
    "an unknown method": (
        tiff_of(PICTURE, tags=((259, "H", [31337]),)), "compressed with method 31337"),
    "a transparency mask": (
        tiff_of(PICTURE[..., :1], 4), "transparency mask, 1 samples of 8 bits"),
    "ICC Lab": (tiff_of(PICTURE, 9), r"ICC L\*a\*b\*"),
    "LogLuv": (tiff_of(PICTURE, 32845), "LogLuv"),
    "floats as Lab": (tiff_of(stored(PICTURE, "f4"), LAB), "3 floating-point samples of 32 bits"),
    "YCbCr in planes": (tiff_of(PICTURE, YCBCR, planar=True), "YCbCr in separate planes"),
    "subsampled YCbCr": (tiff_of(PICTURE, YCBCR), "YCbCr of reduced resolution, not compressed"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_other_layouts_are_said_to_be_not_supported(name):
    """A whole file of a rare kind is not called broken; the sentence says what is rare."""
    data, reason = UNSUPPORTED[name]
    with pytest.raises(UnsupportedPicture, match=f"not supported \\(.*{reason}"):
        decode(data)


def test_every_number_of_extra_samples_is_read():
    """Ten bands of a satellite show their first three."""
    for n_extra, planar in itertools.product((1, 7), (False, True)):
        samples = np.concatenate([PICTURE, *[ALPHA[..., None]] * n_extra], axis=2)
        data = tiff_of(stored(samples, "u2"), extra=(0,) * n_extra, planar=planar)
        assert (np.asarray(decode(data)) == PICTURE).all()
