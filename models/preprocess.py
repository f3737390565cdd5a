"""Decode picture files to pixels of (256, 256, 3) uint8 RGB, alike for collection and queries.

Pure: no disk, no state, safe in threads. Every vector depends on two choices:

* The picture is squeezed to a square, not cropped or padded, as in the original solution.
* JPEG is decoded in full. ``Image.draft`` would be faster, but its pixels differ from those of
  the same picture saved as PNG, so the two would not be recognised as the same.
"""

import hashlib
import io
import struct
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import ImageTooLarge, UndecodableImage
from models.image_files.colours import on_white
from models.image_files.formats import format_of
from models.image_files.opening import open_file, translated

SIDE_PX = 256

# Pillow's own limit is one number for the whole process, and only warns up to twice its size.
# Here `check_size` checks every picture between reading the header and decoding.
Image.MAX_IMAGE_PIXELS = None
# Warnings about odd metadata, such as a cut-off EXIF block, do not help with a million pictures.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_FLAT_LEVELS = 8  # of 255; less is the noise of compression, and hardly visible
_STRIP_PIXELS = 1 << 18  # pixels that are packed at a time for the full digest
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Limits:
    """Limits that are checked before a picture is decoded.

    Attributes
    ----------
    max_bytes : int
        Size of the file.
    max_pixels : int
        Width times height, according to the header.
    """

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000


# The owner of a folder chose its pictures, so the limits are higher than for uploads.
COLLECTION_LIMITS = Limits(max_bytes=512 << 20, max_pixels=200_000_000)


def decode(data: bytes, limits: Limits | None = None) -> Image.Image:
    """Decode the first frame of a picture file: upright, sRGB, on white.

    Parameters
    ----------
    data : bytes
        The whole file. Bytes after the end of the picture are ignored.
    limits : Limits, optional
        Default: 20 MiB and 50 million pixels.

    Returns
    -------
    PIL.Image.Image
        Mode RGB, full size, rotated as EXIF asks, with transparency on white. Its `format` is that
        of the file.

    Raises
    ------
    UnknownFormat, UndecodableImage, ImageTooLarge
        All are a `PictureError`. No bytes raise anything else.
    """
    limits = limits or Limits()
    _check_bytes(data, limits)
    format_ = format_of(data)
    with translated(data, format_):
        image, orientation = open_file(data, format_, limits.max_pixels).load()
        image = on_white(image)  # one after the other, so that the first is freed
        image = _upright(image, orientation)
    image.format = format_
    image.info.clear()  # saving the picture would write profile and EXIF again
    return image


def pixel_count(data: bytes, limits: Limits | None = None) -> int:
    """Return how many pixels a picture file decodes to, without decoding it.

    Parameters
    ----------
    data : bytes
        The whole file.
    limits : Limits, optional
        Default: 20 MiB and 50 million pixels.

    Returns
    -------
    int
        Width times height, or more if decoding takes more memory than usual: for the streams of
        an AVIF, or large strips of a TIFF.

    Raises
    ------
    UnknownFormat, UndecodableImage, ImageTooLarge
        As `decode`.
    """
    limits = limits or Limits()
    _check_bytes(data, limits)
    format_ = format_of(data)
    with translated(data, format_):
        return open_file(data, format_, limits.max_pixels).n_pixels


def to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Squeeze a decoded picture to the encoder's square.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB. Not modified.

    Returns
    -------
    ndarray of shape (256, 256, 3), uint8
        Bilinear, anti-aliased when shrinking. C-contiguous, owned and writable.
    """
    # reducing_gap would shrink in two steps. That is faster, but pixels depend on the file's size.
    square = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR, reducing_gap=None)
    return np.array(square, dtype=np.uint8)  # (256, 256, 3)


def shrink(images: NDArray[np.uint8], side_px: int) -> NDArray[np.float32]:
    """Shrink pictures to the means of whole blocks, for networks with a smaller input.

    Parameters
    ----------
    images : ndarray of shape (n, 256, 256, 3), uint8
        Not modified.
    side_px : int
        A divisor of 256.

    Returns
    -------
    ndarray of shape (n, side_px, side_px, 3), float32
        0..255.

    Raises
    ------
    ValueError
        If side_px does not divide 256.
    """
    block = SIDE_PX // side_px
    if block * side_px != SIDE_PX:
        raise ValueError(f"a side of {side_px} px does not divide {SIDE_PX}: use 64, 128 or 256")
    if block == 1:
        return images.astype(np.float32)
    # Integer sums are exact, so their order does not matter. Adding whole planes is six times
    # faster than `sum` over two axes.
    sums = np.zeros((len(images), side_px, side_px, 3), np.uint16 if block <= 16 else np.uint32)
    for y, x in np.ndindex(block, block):
        sums += images[:, y::block, x::block]
    return sums.astype(np.float32) / np.float32(block**2)


def file_digest(data: bytes) -> str:
    """Return the SHA-256 of a file's content as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def pixel_digest(pixels: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of the pixels that the encoder sees, as 64 hex digits.

    Pictures that differ only in size or in fine detail may share it; see `full_digest`.

    Parameters
    ----------
    pixels : ndarray of shape (256, 256, 3), uint8

    Returns
    -------
    str
    """
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def single_colour(pixels: NDArray[np.uint8]) -> str | None:
    """Return the colour of a picture that has only one, or None.

    An encoder compares patterns. A picture without any says nothing but its colour.

    Parameters
    ----------
    pixels : ndarray of shape (256, 256, 3), uint8

    Returns
    -------
    str or None
        Mean colour as "#rrggbb", if no channel varies by more than 8 levels.
    """
    by_pixel = pixels.reshape(-1, 3)
    lowest, highest = by_pixel.min(axis=0), by_pixel.max(axis=0)
    if (highest - lowest).max() > _FLAT_LEVELS:
        return None
    red, green, blue = np.rint(by_pixel.mean(axis=0)).astype(int).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def full_digest(image: Image.Image) -> str:
    """Return the SHA-256 of a picture's size and of all its pixels, as 64 hex digits.

    Every lossless copy of a picture has the same one: another format, another compression, or
    turned pixels with the orientation tag that turns them back.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB, upright, full size, as `decode` returns it. Not modified.

    Returns
    -------
    str

    Notes
    -----
    The input of the hash is width and height as two little-endian 4-byte integers, and then the
    pixels row by row, 3 bytes each. Memory besides the picture: 1 MB, or one row if that is more.
    """
    width, height = image.size
    digest = hashlib.sha256(struct.pack("<II", width, height))
    n_rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, n_rows):
        strip = image.crop((0, top, width, min(top + n_rows, height)))
        digest.update(strip.tobytes())
    return digest.hexdigest()


def thumbnail(image: Image.Image, side_px: int = SIDE_PX) -> bytes:
    """Make a small JPEG of a decoded picture.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB. Not modified.
    side_px : int
        Longer side of the thumbnail. A smaller picture is not enlarged.

    Returns
    -------
    bytes
        JPEG of quality 80, with the same aspect ratio and without metadata.
    """
    scale = min(1, side_px / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    # As `Image.thumbnail` does, without its copy of the whole picture.
    small = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2)
    small.info.clear()
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _check_bytes(data: bytes, limits: Limits) -> None:
    if not data:
        raise UndecodableImage("the file is empty (0 bytes): copy it again")
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(
            f"the file has {len(data):,} bytes, the limit is {limits.max_bytes:,}: "
            "make it smaller or raise the limit"
        )


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)
