import hashlib
import io
import struct
import sys
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms

from models.errors import ImageTooLarge, PictureError, UndecodableImage, UnknownFormat
from models.preprocess import (
    Limits,
    decode,
    full_digest,
    pixel_digest,
    shrink,
    single_colour,
    thumbnail,
    to_pixels,
)
from tests.helpers.pictures import file_of, random_picture
from tests.helpers.profiles import cmyk_profile, matrix_profile
from tests.helpers.tiffs import DEFLATE, FLOATING_POINT, tiff_of
from tests.hostile import forge
from tests.hostile.forge import chunk

# Pillow remarks on odd metadata; the module silences that, pytest brings it back.
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
SMALL = Limits(max_pixels=100_000)
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True},
}


def grid(*rows: list[tuple[int, ...]], mode: str = "RGB") -> Image.Image:
    """Make a picture of the colours listed, row by row."""
    image = Image.new(mode, (len(rows[0]), len(rows)))
    image.putdata([pixel for row in rows for pixel in row])
    return image


def pixels_of(data: bytes) -> list[list[tuple[int, ...]]]:
    """Decode a file to rows of colours."""
    return [[tuple(pixel) for pixel in row] for row in np.asarray(decode(data)).tolist()]


def greys_of(data: bytes) -> list[list[int]]:
    """Decode a file whose red, green and blue must be equal."""
    decoded = np.asarray(decode(data))
    assert (decoded == decoded[..., :1]).all()
    return decoded[..., 0].tolist()


def png(width: int, height: int, bits: int, kind: int, row: bytes, *extra: bytes) -> bytes:
    """Make a PNG by hand, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress((b"\0" + row) * height))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def seeds() -> dict[str, bytes]:
    """Return a small real picture of each format."""
    image = random_picture()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return {
        "JPEG": file_of(image, "JPEG", exif=exif, icc_profile=profile),
        "JPEG-progressive": file_of(image, "JPEG", progressive=True),
        "JPEG-CMYK": file_of(image.convert("CMYK"), "JPEG"),
        "PNG": file_of(image, "PNG", exif=exif, icc_profile=profile),
        "PNG-palette": file_of(image.quantize(16), "PNG", transparency=3),
        "WEBP": file_of(image, "WEBP", exif=exif),
        "WEBP-lossless": file_of(image, "WEBP", lossless=True),
        "AVIF": file_of(image, "AVIF"),
        "GIF": file_of(image.quantize(16), "GIF"),
        "BMP": file_of(image, "BMP"),
        "TIFF": file_of(image, "TIFF"),
        "TIFF-deflate": file_of(image, "TIFF", compression="tiff_adobe_deflate"),
        "TIFF-16-bit": file_of(
            Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40)), "TIFF"
        ),
        "TIFF-planes": tiff_of(np.asarray(image).astype("u2") * 257, planar=True),
        "TIFF-floats": tiff_of(
            (np.asarray(image) / 255).astype("f4"), compression=DEFLATE, predictor=FLOATING_POINT
        ),
    }


SEEDS = seeds()
by_seed = pytest.mark.parametrize("name", sorted(SEEDS))


# ---------------------------------------------------------------- formats and bounds


@by_seed
def test_decode_names_the_format_when_it_is_known(name: str) -> None:
    """Every promised format is read, named, and gives 256x256 RGB bytes."""
    picture = decode(SEEDS[name])
    assert picture.format == name.split("-")[0]
    pixels = to_pixels(picture)
    assert (pixels.shape, pixels.dtype) == ((256, 256, 3), np.uint8)
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"8BPS\0\1\0\0\0\0\0\0\0\3\0\0\0\1\0\0\0\1\0\x08\0\3",
        b"<!doctype html><img>",
        b"BMW is a maker of cars",
        b"P6 1 1 255 abc",
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"\0",
        b"GIF",
    ],
    ids=["svg", "pdf", "eps", "psd", "html", "text", "ppm", "jpeg2000", "one byte", "half a name"],
)
def test_decode_refuses_when_format_is_not_on_the_list(data: bytes) -> None:
    """Whatever is not on the list is of unknown format, also what Pillow itself could open."""
    with pytest.raises(UnknownFormat, match="JPEG, PNG, WEBP, AVIF, GIF, BMP, TIFF, HEIC"):
        decode(data)


def test_decode_says_undecodable_when_empty() -> None:
    """An empty body is a broken picture, not an unknown format."""
    with pytest.raises(UndecodableImage, match="0 bytes"):
        decode(b"")


def test_errors_carry_their_codes() -> None:
    """The codes are those of the HTTP contract."""
    codes = [error.code for error in (UnknownFormat, UndecodableImage, ImageTooLarge)]
    assert codes == ["unsupported_type", "undecodable", "too_large"]


def test_decode_refuses_when_too_many_bytes() -> None:
    """The limit of bytes is inclusive and named in the message."""
    data = SEEDS["PNG"]
    decode(data, Limits(max_bytes=len(data)))
    with pytest.raises(ImageTooLarge, match=f"{len(data):,} bytes, the limit is {len(data) - 1:,}"):
        decode(data, Limits(max_bytes=len(data) - 1))


def test_decode_refuses_by_the_header_when_too_many_pixels() -> None:
    """A bomb is refused from its header: its pixels are not even there to be decoded."""
    bomb = png(60_000, 60_000, 8, 2, b"")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageTooLarge, match="60000 x 60000 = 3,600,000,000 pixels"):
            decode(bomb)


def test_decode_keeps_our_limit_when_it_is_above_that_of_pillow() -> None:
    """Above Pillow's default of 89 million pixels our limit alone decides, without a warning."""
    data = file_of(Image.new("1", (10_000, 9_000)), "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageTooLarge):
            decode(data)
        with pytest.raises(ImageTooLarge, match="the limit is 89,999,999"):
            decode(data, Limits(max_pixels=89_999_999))


def test_decode_accepts_pixels_when_exactly_at_the_limit() -> None:
    """The limit of pixels is inclusive."""
    assert decode(SEEDS["BMP"], Limits(max_pixels=1200)).width == 40
    with pytest.raises(ImageTooLarge):
        decode(SEEDS["BMP"], Limits(max_pixels=1199))


@by_seed
def test_decode_ignores_bytes_after_the_end(name: str) -> None:
    """A valid picture with bytes after its end is that picture."""
    longer = to_pixels(decode(SEEDS[name] + b"trailing <svg> bytes" * 9))
    assert (longer == to_pixels(decode(SEEDS[name]))).all()


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "TIFF", "PNG", "AVIF"])
def test_decode_takes_the_first_frame(format_: str) -> None:
    """Of an animation or a document of several pages only the first is read."""
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)
    data = file_of(first, format_, save_all=True, append_images=[second])
    red, green, blue = pixels_of(data)[0][0]
    assert red > 240
    assert green < 15
    assert blue < 15


def test_heic_is_unknown_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pillow-heif a HEIC file is refused with the cure in the sentence."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnknownFormat, match="install it"):
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40)


def test_heic_is_read_with_its_package() -> None:
    """With pillow-heif a HEIC file is a picture like others."""
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), RED)).save(buffer)
    picture = decode(buffer.getvalue())
    assert (picture.width, picture.height, picture.format) == (64, 48, "HEIC")
    assert np.abs(to_pixels(picture).astype(int) - RED).max() < 8


# ---------------------------------------------------------------- what the pixels are


@pytest.mark.parametrize("format_", sorted(LOSSLESS))
def test_decode_gives_the_very_pixels_when_lossless(format_: str) -> None:
    """Every lossless form of one picture gives the same pixels, so the same digest."""
    image = random_picture((300, 200))
    pixels = to_pixels(decode(file_of(image, format_, **LOSSLESS[format_])))
    assert (np.asarray(decode(file_of(image, format_, **LOSSLESS[format_]))) == image).all()
    assert pixel_digest(pixels) == pixel_digest(to_pixels(image))


def test_png_of_a_jpeg_has_the_pixels_of_the_jpeg() -> None:
    """A JPEG saved again as PNG is recognised: both give equal pixels."""
    jpeg = file_of(random_picture((700, 500)), "JPEG")
    again = file_of(Image.open(io.BytesIO(jpeg)), "PNG")
    assert pixel_digest(to_pixels(decode(jpeg))) == pixel_digest(to_pixels(decode(again)))


# How the pixels are stored so that the orientation turns them upright.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
with_orientation = st.sampled_from(["PNG", "WEBP", "TIFF"])


def turned(image: Image.Image, format_: str, orientation: int) -> bytes:
    """Return a lossless file whose pixels are turned, with the tag that turns them upright."""
    turn = STORED[orientation]
    stored = image if turn is None else image.transpose(turn)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return file_of(stored, format_, exif=exif, **LOSSLESS[format_])


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    seed=st.integers(0, 1000),
    plain=st.sampled_from(sorted(LOSSLESS)),
    format_=with_orientation,
    orientation=st.integers(1, 8),
)
def test_lossless_copy_has_the_same_digests(
    width: int, height: int, seed: int, plain: str, format_: str, orientation: int
) -> None:
    """Whatever its format, and however its pixels are turned, if its tag turns them upright."""
    image = random_picture((width, height), seed)
    one = decode(file_of(image, plain, **LOSSLESS[plain]))
    other = decode(turned(image, format_, orientation))
    assert full_digest(one) == full_digest(other) == full_digest(image)
    assert pixel_digest(to_pixels(one)) == pixel_digest(to_pixels(other))


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    place=st.floats(0, 1, exclude_max=True),
    orientation=st.integers(2, 8),
)
def test_other_pixels_have_another_full_digest(
    width: int, height: int, place: float, orientation: int
) -> None:
    """One level of one channel is enough, and so is another way up unless it looks the same."""
    image = random_picture((width, height))
    pixels = np.array(image)
    pixels.reshape(-1)[int(place * pixels.size)] ^= 1
    assert full_digest(Image.fromarray(pixels)) != full_digest(image)
    way_up = decode(file_of(image.transpose(STORED[orientation]), "PNG"))  # without the tag
    looks_same = way_up.size == image.size and np.array_equal(np.asarray(way_up), image)
    assert (full_digest(way_up) == full_digest(image)) == looks_same


# Stored pixels A B / C D (two rows); what stands upright for each orientation, by the EXIF standard
A, B, C, D = RED, GREEN, BLUE, WHITE
UPRIGHT = {
    1: [[A, B], [C, D]],
    2: [[B, A], [D, C]],
    3: [[D, C], [B, A]],
    4: [[C, D], [A, B]],
    5: [[A, C], [B, D]],
    6: [[C, A], [D, B]],
    7: [[D, B], [C, A]],
    8: [[B, D], [A, C]],
}


@pytest.mark.parametrize("orientation", sorted(UPRIGHT))
@pytest.mark.parametrize("format_", ["PNG", "WEBP", "TIFF"])
def test_decode_turns_upright(format_: str, orientation: int) -> None:
    """Each of the eight EXIF orientations is undone."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = LOSSLESS[format_] | {"exif": exif}
    assert pixels_of(file_of(grid([A, B], [C, D]), format_, **options)) == UPRIGHT[orientation]


XMP_TURNED = (
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax"
    b"-ns#'><rdf:Description xmlns:tiff='http://ns.adobe.com/tiff/1.0/' tiff:Orientation=\"6\"/>"
    b"</rdf:RDF></x:xmpmeta>"
)


@pytest.mark.parametrize("format_", ["JPEG", "WEBP", "AVIF", "TIFF"])
def test_decode_follows_no_orientation_of_xmp(format_: str) -> None:
    """Pillow follows it; browsers do not, and thumbnails and vectors agree with them."""
    options: dict[str, Any] = {"tiffinfo": {700: XMP_TURNED}} if format_ == "TIFF" else {}
    data = file_of(random_picture(), format_, **(options or {"xmp": XMP_TURNED}))
    assert b'tiff:Orientation="6"' in data
    assert decode(data).size == (40, 30)


def test_decode_follows_no_orientation_of_text() -> None:
    """In a PNG, XMP and the EXIF that ImageMagick writes are text; an eXIf chunk is followed."""
    data = file_of(random_picture(), "PNG")
    exif = forge.turned(6).tobytes()
    packet = b"XML:com.adobe.xmp\0\0\0\0\0" + XMP_TURNED
    profile = b"Raw profile type exif\0\0" + zlib.compress(
        b"\nexif\n%8d\n" % len(exif) + exif.hex().encode()
    )
    for more, size in (
        (chunk(b"iTXt", packet), (40, 30)),
        (chunk(b"zTXt", profile), (40, 30)),
        (chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")), (30, 40)),
    ):
        assert decode(data[:33] + more + data[33:]).size == size


def test_decode_gives_the_upright_size() -> None:
    """Width and height are those after turning, here a JPEG lying on its side."""
    picture = decode(SEEDS["JPEG"])
    assert (picture.width, picture.height) == (30, 40)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"]
)
def test_decode_stays_upright_when_exif_is_broken(exif: bytes) -> None:
    """Broken EXIF does not make a picture unreadable."""
    assert decode(file_of(random_picture(), "JPEG", exif=exif)).size == (40, 30)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_decode_stays_upright_when_orientation_is_none(orientation: int) -> None:
    """A number that is no orientation turns nothing."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    assert decode(file_of(random_picture(), "PNG", exif=exif)).size == (40, 30)


def transparent_pictures() -> dict[str, tuple[bytes, list[tuple[int, int, int]]]]:
    """Return files of one row, and their pixels on white worked out by hand."""
    rgba = grid([(255, 0, 0, 255), (255, 0, 0, 128), (255, 0, 0, 0)], mode="RGBA")
    la = grid([(0, 255), (0, 51), (0, 0)], mode="LA")
    palette = Image.new("P", (3, 1))
    palette.putpalette([0, 0, 255, 0, 255, 0, 255, 0, 0])
    palette.putdata([0, 1, 2])
    rgb, grey = grid([RED, GREEN, BLUE]), Image.new("L", (3, 1))
    grey.putdata([0, 100, 200])
    wide = Image.fromarray(np.array([[0, 25700, 65535]], np.uint16))
    over_white = [RED, (255, 127, 127), WHITE]
    return {
        "RGBA PNG": (file_of(rgba, "PNG"), over_white),
        "RGBA WEBP": (file_of(rgba, "WEBP", lossless=True, exact=True), over_white),
        "RGBA TIFF": (file_of(rgba, "TIFF"), over_white),
        "LA PNG": (file_of(la, "PNG"), [(0, 0, 0), (204, 204, 204), WHITE]),
        "P with one clear colour": (file_of(palette, "PNG", transparency=1), [BLUE, WHITE, RED]),
        "P with alphas": (
            file_of(palette, "PNG", transparency=b"\xff\x00\x33"),
            [BLUE, WHITE, (255, 204, 204)],
        ),
        "P GIF": (file_of(palette, "GIF", transparency=2), [BLUE, GREEN, WHITE]),
        "RGB with a clear colour": (file_of(rgb, "PNG", transparency=GREEN), [RED, WHITE, BLUE]),
        "L with a clear grey": (
            file_of(grey, "PNG", transparency=100),
            [(0, 0, 0), WHITE, (200,) * 3],
        ),
        "16-bit grey with a clear grey": (
            png(3, 1, 16, 0, np.asarray(wide, ">u2").tobytes(), chunk(b"tRNS", b"\0\0")),
            [WHITE, (100,) * 3, WHITE],
        ),
        "16-bit RGB with a clear colour": (
            png(2, 1, 16, 2, b"\x80\x80" * 3 + b"\x40\x40" * 3, chunk(b"tRNS", b"\x80\x80" * 3)),
            [WHITE, (64,) * 3],
        ),
    }


TRANSPARENT = transparent_pictures()


@pytest.mark.parametrize("name", sorted(TRANSPARENT))
def test_decode_lays_transparency_on_white(name: str) -> None:
    """Whatever way a file says "transparent", white shows through in that measure."""
    data, row = TRANSPARENT[name]
    assert pixels_of(data) == [row]


def test_decode_lays_palette_alpha_on_white() -> None:
    """Mode PA, a palette with an alpha channel beside it, is known too."""
    from models.image_files.colours import on_white

    image = grid([RED + (255,), RED + (0,)], mode="RGBA").convert("PA")
    assert np.asarray(on_white(image)).tolist() == [[list(RED), list(WHITE)]]


# ---------------------------------------------------------------- depths

WIDE = np.array([[0, 128 * 257, 65535], [257, 128, 129]], np.uint16)
WIDE_IN_8_BITS = [
    [0, 128, 255],
    [1, 0, 1],
]  # value / 257, to the nearest: 128 / 257 is under a half


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_decode_scales_16_bit_greys(format_: str) -> None:
    """16-bit greys are scaled, not cut off: 65535 is white and 32896 is 128."""
    assert greys_of(file_of(Image.fromarray(WIDE), format_)) == WIDE_IN_8_BITS


def test_decode_scales_big_endian_greys() -> None:
    """The byte order of a TIFF does not matter."""
    image = Image.frombytes("I;16B", (3, 2), WIDE.astype(">u2").tobytes())
    assert greys_of(file_of(image, "TIFF")) == WIDE_IN_8_BITS


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_decode_takes_16_bit_greys_in_wider_numbers(dtype: type) -> None:
    """Integers of 32 bits and floats that hold 16-bit greys are read as such."""
    assert greys_of(file_of(Image.fromarray(WIDE.astype(dtype)), "TIFF")) == WIDE_IN_8_BITS


@pytest.mark.parametrize(
    ("values", "greys"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([-1.0, 0.0, 3.0], [0, 64, 255]),
        ([0.0, float("nan"), 1.0], [0, 0, 255]),
        ([7.0, 7.0, 7.0], [7, 7, 7]),
        ([-7.0, -7.0, -7.0], [0, 0, 0]),
    ],
    ids=["to 1", "to 255", "own range", "with NaN", "constant", "constant below zero"],
)
def test_decode_scales_floats(values: list[float], greys: list[int]) -> None:
    """Floats are taken as 0..1, 0..255 or 0..65535, whichever holds them, else stretched."""
    image = Image.fromarray(np.array([values], np.float32))
    assert greys_of(file_of(image, "TIFF")) == [greys]


def test_decode_turns_greys_round_when_white_is_zero() -> None:
    """A 16-bit TIFF whose white is zero is not shown as its negative."""
    data = file_of(Image.fromarray(WIDE[:1]), "TIFF", tiffinfo={262: 0})
    assert greys_of(data) == [[255, 127, 0]]


def test_decode_reads_16_bit_rgb() -> None:
    """A PNG with 16 bits a channel gives the upper eight."""
    assert pixels_of(png(1, 1, 16, 2, b"\xff\xff\x80\x80\x00\x00")) == [[(255, 128, 0)]]


def test_decode_reads_one_bit() -> None:
    """Black and white are 0 and 255."""
    assert greys_of(file_of(Image.fromarray(np.array([[True, False]])), "PNG")) == [[255, 0]]


def test_decode_repeats_8_bit_greys() -> None:
    """A grey picture and the same picture as RGB give the same pixels."""
    grey = random_picture().convert("L")
    assert pixels_of(file_of(grey, "PNG")) == pixels_of(file_of(grey.convert("RGB"), "PNG"))


# ---------------------------------------------------------------- colour


def test_decode_reads_cmyk() -> None:
    """No ink is white, full black is black, full cyan is (0, 255, 255)."""
    image = grid([(0, 0, 0, 0), (0, 0, 0, 255), (255, 0, 0, 0)], mode="CMYK")
    assert pixels_of(file_of(image, "TIFF")) == [[WHITE, (0, 0, 0), (0, 255, 255)]]


def test_decode_reads_cmyk_jpeg_as_adobe_writes_it() -> None:
    """Adobe stores the ink inverted in JPEG; white paper stays white."""
    data = file_of(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG")
    assert b"Adobe" in data
    assert pixels_of(data)[0][0] == WHITE


@pytest.mark.parametrize("format_", ["TIFF", "JPEG"])
def test_decode_follows_a_cmyk_profile(format_: str) -> None:
    """The profile says what the ink looks like: L* = 50 is grey 119 in sRGB, not cyan."""
    image = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    pixel = pixels_of(file_of(image, format_, icc_profile=cmyk_profile()))[0][0]
    assert np.abs(np.array(pixel) - 119).max() <= 2


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "TIFF"])
def test_decode_follows_an_rgb_profile(format_: str) -> None:
    """A profile with red and blue exchanged turns red into blue; linear 128 is 188 in sRGB."""
    image = grid([RED, (128, 128, 128)])
    options = LOSSLESS[format_] | {"icc_profile": matrix_profile(swap=True)}
    decoded = np.array(pixels_of(file_of(image, format_, **options))[0])
    assert np.abs(decoded - [BLUE, (188, 188, 188)]).max() <= 2


def test_decode_follows_a_profile_under_transparency() -> None:
    """Colours are converted first and laid on white then."""
    image = grid([RED + (255,), RED + (0,)], mode="RGBA")
    data = file_of(image, "PNG", icc_profile=matrix_profile(swap=True))
    assert np.abs(np.array(pixels_of(data)[0]) - [BLUE, WHITE]).max() <= 2


def test_decode_changes_nothing_when_the_profile_is_srgb() -> None:
    """With and without an sRGB profile the pixels are equal to the bit."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = random_picture()
    assert (np.asarray(decode(file_of(image, "PNG", icc_profile=profile))) == image).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("profile", [b"no profile", cmyk_profile()[:200], b"\0" * 500])
def test_decode_ignores_a_broken_profile(mode: str, profile: bytes) -> None:
    """A broken profile costs the colour correction, not the picture."""
    image = random_picture().convert(mode)
    with_profile = file_of(image, "TIFF", icc_profile=profile)
    assert pixels_of(with_profile) == pixels_of(file_of(image, "TIFF"))


def test_decode_ignores_a_profile_of_another_kind() -> None:
    """A CMYK profile in an RGB picture does not fit and is left out."""
    image = random_picture()
    assert (np.asarray(decode(file_of(image, "PNG", icc_profile=cmyk_profile()))) == image).all()


def test_decode_reads_lab() -> None:
    """L* = 100 is white, 0 is black, 50 is grey 119 (a* and b* are stored about 128)."""
    image = grid([(255, 128, 128), (0, 128, 128), (128, 128, 128)], mode="LAB")
    decoded = np.array(pixels_of(file_of(image, "TIFF"))[0])
    assert np.abs(decoded - [WHITE, (0, 0, 0), (119, 119, 119)]).max() <= 2


@pytest.mark.parametrize("mode", ["YCbCr", "HSV"])
def test_decode_reads_other_colour_spaces(mode: str) -> None:
    """Pictures stored as YCbCr or HSV come out as RGB, up to rounding of that space."""
    from models.image_files.colours import on_white

    decoded = np.asarray(on_white(random_picture().convert(mode)), dtype=int)
    assert np.abs(decoded - np.asarray(random_picture(), dtype=int)).max() <= 8


# ---------------------------------------------------------------- squeezing, digest, thumbnail


def test_to_pixels_squeezes_to_the_square() -> None:
    """Four colours in a 512x2 picture fill four quarters of the square: squeezed, not cropped."""
    image = Image.new("RGB", (512, 1024), RED)
    image.paste(GREEN, (256, 0, 512, 512))
    image.paste(BLUE, (0, 512, 256, 1024))
    pixels = to_pixels(image)
    assert [tuple(pixels[y, x]) for y, x in [(9, 9), (9, 240), (240, 9), (240, 240)]] == [
        RED,
        GREEN,
        BLUE,
        RED,
    ]


def test_to_pixels_weighs_the_whole_footprint() -> None:
    """Halving takes triangle weights 1 3 3 1 over four pixels: 80 at a lone column 0 of 240."""
    # At the left edge the weights are 3 3 1 of 7 (what hangs over is left out): 240 * 3 / 7 = 102.9
    strip = np.zeros((512, 512, 3), np.uint8)
    strip[:, 0] = 240
    strip[:, 8] = 240  # output column 4 covers 7 8 9 10 with weights 1 3 3 1 of 8: 240 * 3 / 8 = 90
    row = to_pixels(Image.fromarray(strip))[100, :, 0].tolist()
    assert row[:6] == [103, 0, 0, 30, 90, 0]


def test_to_pixels_returns_an_own_copy_when_size_fits() -> None:
    """A 256x256 picture keeps its pixels, in memory that may be written."""
    image = random_picture((256, 256))
    pixels = to_pixels(image)
    pixels_before = pixels.copy()
    pixels[:] = 0
    assert (pixels_before == np.asarray(image)).all()


def test_shrink_takes_block_means() -> None:
    """Blocks of 2x2 that hold 1, 2, 3, 4 become 2.5, and nothing else mixes in."""
    images = np.zeros((2, 256, 256, 3), np.uint8)
    images[1, 10:12, 20:22, 2] = [[1, 2], [3, 4]]
    small = shrink(images, 128)
    assert small.dtype == np.float32
    assert small[1, 5, 10].tolist() == [0, 0, 2.5]
    assert small.sum() == 2.5


def test_shrink_keeps_the_pixels_when_size_fits() -> None:
    """256 stays 256, as float32."""
    images = np.asarray(random_picture((256, 256)))[None]
    assert (shrink(images, 256) == images).all()


@pytest.mark.parametrize("side_px", [100, 512])
def test_shrink_refuses_sides_that_do_not_divide(side_px: int) -> None:
    """Only whole blocks can be averaged."""
    with pytest.raises(ValueError, match="does not divide 256"):
        shrink(np.zeros((1, 256, 256, 3), np.uint8), side_px)


def test_pixel_digest_is_sha256_of_the_bytes() -> None:
    """The digest of 196,608 zero bytes, as sha256sum gives it, also for a view with strides."""
    zeros = np.zeros((256, 512, 3), np.uint8)[:, ::2]
    expected = "3381de4ca9f3a477f25989dfc8b744e7916046b7aa369f61a9a2f7dc0963ec9e"
    assert pixel_digest(zeros) == expected


def test_full_digest_is_sha256_of_the_size_and_the_rows() -> None:
    """Width and height, 4 bytes each, then red, green and blue of each pixel."""
    image = Image.fromarray(np.arange(18, dtype=np.uint8).reshape(2, 3, 3))
    content = b"\x03\0\0\0\x02\0\0\0" + bytes(range(18))
    assert full_digest(image) == hashlib.sha256(content).hexdigest()


def test_full_digest_is_of_every_pixel_and_of_the_shape() -> None:
    """One level of one channel of the last pixel of 2.25 million counts, and so does the shape."""
    pixels = np.zeros((1500, 1500, 3), np.uint8)
    black = full_digest(Image.fromarray(pixels))
    pixels[-1, -1, 2] = 1
    assert full_digest(Image.fromarray(pixels)) != black
    shapes = [(1500, 1500), (1000, 2250), (2250, 1000), (1, 2_250_000), (2_250_000, 1)]
    assert len({full_digest(Image.new("RGB", shape)) for shape in shapes}) == 5
    assert full_digest(Image.new("RGB", (1500, 1500))) == black


@pytest.mark.parametrize(
    ("levels", "wanted"),
    [
        ([(0, 0, 0)], "#000000"),
        ([(255, 128, 7)], "#ff8007"),
        ([(100, 50, 3), (108, 42, 3)], "#682e03"),
        ([(100, 50, 3), (109, 50, 3)], None),
        ([(0, 0, 0), (0, 0, 255)], None),
    ],
)
def test_single_colour_allows_for_hardly_visible_noise(
    levels: list[tuple[int, int, int]], wanted: str | None
) -> None:
    """Eight levels of a channel are one colour, nine are a pattern."""
    pixels = np.zeros((256, 256, 3), np.uint8)
    for line, level in enumerate(levels):
        pixels[line :: len(levels)] = level
    assert single_colour(pixels) == wanted


@pytest.mark.parametrize("quality", [10, 75, 95])
def test_single_colour_of_a_jpeg(quality: int) -> None:
    """Compression changes the colour a little, and adds no pattern."""
    found = single_colour(
        to_pixels(decode(file_of(Image.new("RGB", (90, 70), RED), "JPEG", quality=quality)))
    )
    assert found is not None
    assert np.abs(np.array(list(bytes.fromhex(found[1:]))) - RED).max() <= 8


def test_thumbnail_keeps_the_aspect() -> None:
    """The longest side is 256 pixels, the other follows, and the JPEG has no metadata."""
    image = random_picture((1000, 500))
    image.info["icc_profile"] = cmyk_profile()
    small = Image.open(io.BytesIO(thumbnail(image)))
    assert (small.format, small.size) == ("JPEG", (256, 128))
    assert "icc_profile" not in small.info
    assert image.size == (1000, 500)


@pytest.mark.parametrize(("size", "expected"), [((20, 10), (20, 10)), ((3000, 1), (64, 1))])
def test_thumbnail_never_enlarges_nor_vanishes(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    """A small picture stays as it is, and a line keeps one pixel."""
    assert Image.open(io.BytesIO(thumbnail(Image.new("RGB", size), 64))).size == expected


# ---------------------------------------------------------------- broken bytes


@by_seed
def test_decode_gives_picture_or_error_when_truncated(name: str) -> None:
    """Cut anywhere, a file is a PictureError or (a byte short of its end) still the picture."""
    data, outcomes = SEEDS[name], []
    for length in range(0, len(data), max(1, len(data) // 60)):
        try:
            outcomes.append(to_pixels(decode(data[:length])).shape)
        except PictureError as error:
            outcomes.append(error.code)
    assert set(outcomes) <= {"undecodable", "unsupported_type", (256, 256, 3)}
    assert outcomes.count("undecodable") > len(outcomes) // 2


@by_seed
def test_decode_says_undecodable_when_half_is_missing(name: str) -> None:
    """A picture cut in the middle is never shown half grey."""
    with pytest.raises(UndecodableImage, match="cut off or broken") as caught:
        decode(SEEDS[name][: len(SEEDS[name]) // 2])
    # Of an AVIF we see it ourselves, before a decoder does.
    assert (caught.value.__cause__ is None) == (name == "AVIF")


def is_picture_or_error(data: bytes) -> bool:
    """Say that a file was read, or refused in the promised way."""
    try:
        return to_pixels(decode(data, SMALL)).shape == (256, 256, 3)
    except PictureError as error:
        return error.code in {"undecodable", "unsupported_type", "too_large"}


HEADS = [b"", *(data[:30] for data in SEEDS.values())]


@settings(max_examples=300, deadline=None)
@given(head=st.sampled_from(HEADS), body=st.binary(max_size=200))
def test_decode_survives_random_bytes(head: bytes, body: bytes) -> None:
    """No bytes raise anything but a PictureError."""
    assert is_picture_or_error(head + body)


@settings(max_examples=600, deadline=None)
@given(
    name=st.sampled_from(sorted(SEEDS)),
    flips=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=6
    ),
    in_header=st.booleans(),
)
def test_decode_survives_flipped_bits(
    name: str, flips: list[tuple[float, int]], in_header: bool
) -> None:
    """Flipped bits in real files raise nothing but a PictureError."""
    data = bytearray(SEEDS[name])
    reach = min(len(data), 200) if in_header else len(data)
    for place, bit in flips:
        data[int(place * reach)] ^= 1 << bit
    assert is_picture_or_error(bytes(data))
