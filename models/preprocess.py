"""Bytes of a picture file to (256, 256, 3) uint8 RGB: the one way for collection and queries.

Pure: no disk, no state, safe in threads. Two choices that every vector depends on:

* The picture is squeezed to a square, not cropped or padded, as the original solution did.
* JPEG is decoded in full. ``Image.draft`` would be faster, but gives other pixels than
  the same picture saved as PNG, which then would not be recognised as the same.
"""

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from models.errors import ImageTooLarge, UndecodableImage, UnknownFormat
from models.image_files.decoder_limits import (
    MAX_EXIF_BYTES,
    CountedReads,
    check_decoding,
    check_file,
)

SIDE_PX = 256

# Pillow's own guard is one number for the whole process and only warns up to twice its size.
# Here every picture goes through `_check_pixels`, between reading the header and decoding.
Image.MAX_IMAGE_PIXELS = None
# Odd metadata (a cut-off EXIF block, say) is no news for whoever reads a million pictures.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# What Pillow's decoders are known to raise on broken bytes, besides OSError:
_DECODER_ERRORS = (
    OSError,  # truncated data, an error from a C decoder, UnidentifiedImageError
    SyntaxError,  # broken PNG chunk, broken TIFF or JPEG header
    ValueError,  # impossible sizes and modes; also UnicodeDecodeError
    TypeError,  # a tag of the wrong type
    KeyError,  # unknown tag, compression or marker
    IndexError,  # a header that points past its end
    AttributeError,  # a frame without a palette or tile
    AssertionError,  # Pillow's own, as of a palette picture that brings no palette
    struct.error,  # a header that is too short
    zlib.error,
    EOFError,  # no first frame
    ArithmeticError,  # overflow or division by a zero in the header
    MemoryError,  # a header that asks for more than there is
    RuntimeError,  # libavif, libheif
    Image.DecompressionBombError,  # should other code in the process set Pillow's limit again
)

_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_TIFF_HEADERS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SRGB_TOLERANCE = 2  # levels of 255; what sRGB profiles of different makers differ by

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
    """Bounds that are checked before a picture is decoded.

    Attributes
    ----------
    max_bytes : int
        Size of the file.
    max_pixels : int
        Width times height, as the header says.
    """

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000


@dataclass(frozen=True)
class Picture:
    """One picture as the encoder sees it, and what its file was.

    Attributes
    ----------
    pixels : ndarray of shape (256, 256, 3), uint8
        RGB, sRGB.
    width, height : int
        Pixels of the upright picture, before it was squeezed.
    format : str
        JPEG, PNG, WEBP, AVIF, GIF, BMP, TIFF or HEIC.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: str


def read_picture(data: bytes, limits: Limits | None = None) -> Picture:
    """Turn the bytes of a picture file into pixels for the encoder.

    Parameters
    ----------
    data : bytes
        The whole file. Bytes after the end of the picture are ignored.
    limits : Limits, optional
        Default: 20 MiB and 50 million pixels.

    Returns
    -------
    Picture

    Raises
    ------
    UnknownFormat, UndecodableImage, ImageTooLarge
        All of them `PictureError`; nothing else is raised for any bytes.
    """
    upright, format_ = _decode(data, limits or Limits())
    return Picture(to_pixels(upright), upright.width, upright.height, format_)


def decode(data: bytes, limits: Limits | None = None) -> Image.Image:
    """Decode the first frame of a picture file, upright, as sRGB, on white.

    Parameters
    ----------
    data : bytes
        The whole file.
    limits : Limits, optional
        Default: 20 MiB and 50 million pixels.

    Returns
    -------
    PIL.Image.Image
        Mode RGB, full size, turned as EXIF asks, transparency laid on white; its `format` is the
        file's.

    Raises
    ------
    UnknownFormat, UndecodableImage, ImageTooLarge
        As `read_picture`.
    """
    image, format_ = _decode(data, limits or Limits())
    image.format = format_
    return image


def pixel_count(data: bytes, limits: Limits | None = None) -> int:
    """Return how many pixels decoding a picture file takes, without decoding it.

    Parameters
    ----------
    data : bytes
        The whole file.
    limits : Limits, optional
        Default: 20 MiB and 50 million pixels.

    Returns
    -------
    int
        Width times height, or what the streams of an AVIF hold if that is more; decoding needs
        at least three bytes for each.

    Raises
    ------
    UnknownFormat, UndecodableImage, ImageTooLarge
        As `read_picture`.
    """
    limits = limits or Limits()
    _check_bytes(data, limits)
    format_ = _format_of(data)
    with _translated(format_):
        image, behind = _opened(data, format_, limits)
        return max(image.width * image.height, behind)


def supported_formats() -> tuple[str, ...]:
    """Return the names of the formats that can be decoded, JPEG first.

    HEIC is among them only if the package pillow-heif is installed.
    """
    has_heic = find_spec("pillow_heif") is not None
    return tuple(name for name in _SIGNATURES if name != "HEIC" or has_heic)


def formats_in_words() -> str:
    """Return the names of the supported formats, such as "JPEG, PNG or WEBP"."""
    *others, last = supported_formats()
    return f"{', '.join(others)} or {last}"


def to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Squeeze a decoded picture to the encoder's square.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB. Not modified.

    Returns
    -------
    ndarray of shape (256, 256, 3), uint8
        Bilinear with the whole footprint of each pixel (anti-aliased when shrinking),
        C-contiguous, owned and writable.
    """
    # reducing_gap would shrink roughly first: faster, but then pixels depend on the file's size.
    square = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR, reducing_gap=None)
    return np.array(square, dtype=np.uint8)  # (256, 256, 3)


def shrink(images: NDArray[np.uint8], side_px: int) -> NDArray[np.float32]:
    """Make pictures smaller by taking the mean of whole blocks: the input of smaller networks.

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
        raise ValueError(f"side of {side_px} px does not divide {SIDE_PX}; take 64, 128 or 256")
    if block == 1:
        return images.astype(np.float32)
    # Integer sums are exact, so the order of adding cannot matter; and adding whole planes is six
    # times faster than `sum` over two axes.
    sums = np.zeros((len(images), side_px, side_px, 3), np.uint16 if block <= 16 else np.uint32)
    for y, x in np.ndindex(block, block):
        sums += images[:, y::block, x::block]
    return sums.astype(np.float32) / np.float32(block**2)


def file_digest(data: bytes) -> str:
    """Return the SHA-256 of a file's content as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def pixel_digest(pixels: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of the pixels as 64 hex digits: the same picture in any lossless form.

    Parameters
    ----------
    pixels : ndarray of shape (256, 256, 3), uint8

    Returns
    -------
    str
    """
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def thumbnail(image: Image.Image, side_px: int = SIDE_PX) -> bytes:
    """Make a small JPEG of a decoded picture.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB. Not modified.
    side_px : int
        Longest side of the thumbnail; a smaller picture is not enlarged.

    Returns
    -------
    bytes
        JPEG of quality 80, aspect kept, no metadata.
    """
    small = image.copy()
    small.thumbnail((side_px, side_px), Image.Resampling.BILINEAR)
    small.info.clear()
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _decode(data: bytes, limits: Limits) -> tuple[Image.Image, str]:
    _check_bytes(data, limits)
    format_ = _format_of(data)
    with _translated(format_):
        image, _ = _opened(data, format_, limits)
        image.load()
        return _upright(_on_white(image), _orientation(image)), format_


def _opened(data: bytes, format_: str, limits: Limits) -> tuple[Image.Image, int]:
    """Read the header only; also return the pixels that decoding takes whatever it says."""
    behind = check_file(data, format_, limits.max_pixels)
    image = Image.open(CountedReads(data, format_), formats=[_prepare_decoder(format_)])
    _check_pixels(image, limits)
    check_decoding(image, limits.max_pixels)
    return image, behind


@contextmanager
def _translated(format_: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one error: the only place that does so."""
    try:
        yield
    except _DECODER_ERRORS as error:
        raise UndecodableImage(
            f"the {format_} picture is cut off or broken ({error}); save it anew or leave it out"
        ) from error


def _check_bytes(data: bytes, limits: Limits) -> None:
    if not data:
        raise UndecodableImage("the picture is empty (0 bytes); send the whole file")
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(
            f"the picture has {len(data)} bytes, at most {limits.max_bytes} are read; "
            "make it smaller or raise the limit"
        )


def _check_pixels(image: Image.Image, limits: Limits) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise UndecodableImage(f"the picture says that it is {width} x {height} pixels")
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"the picture is {width} x {height} = {width * height} pixels, at most "
            f"{limits.max_pixels} are decoded; make it smaller or raise the limit"
        )


def _format_of(data: bytes) -> str:
    """Name the format by its first bytes, so that a broken picture is told from a strange file."""
    for format_, claims in _SIGNATURES.items():
        if claims(data):
            return format_
    raise UnknownFormat(
        f"the file is none of {', '.join(_SIGNATURES)} (it begins with {data[:8]!r}); convert it"
    )


def _is_bmp(data: bytes) -> bool:
    # Two letters alone would claim many a text file.
    header_size = int.from_bytes(data[14:18], "little")
    return data[:2] == b"BM" and header_size in _BMP_HEADER_SIZES


def _brands(data: bytes) -> set[bytes]:
    """Return the brands of an ISO media file (AVIF, HEIC), or none."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), 256)
    return {data[8:12]} | {data[i : i + 4] for i in range(16, end - 3, 4)}


_SIGNATURES: dict[str, Callable[[bytes], bool]] = {
    "JPEG": lambda data: data.startswith(b"\xff\xd8\xff"),
    "PNG": lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"),
    "WEBP": lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP",
    "AVIF": lambda data: not _AVIF_BRANDS.isdisjoint(_brands(data)),
    "GIF": lambda data: data.startswith((b"GIF87a", b"GIF89a")),
    "BMP": _is_bmp,
    "TIFF": lambda data: data.startswith(_TIFF_HEADERS),
    "HEIC": lambda data: not _HEIC_BRANDS.isdisjoint(_brands(data)),
}


def _prepare_decoder(format_: str) -> str:
    """Return Pillow's name of a format; HEIC needs a package that not everybody has."""
    if format_ != "HEIC":
        return format_
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise UnknownFormat(
            "HEIC pictures need the package pillow-heif; install it or convert the picture"
        ) from error
    register_heif_opener()
    return "HEIF"


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; broken EXIF does not make a picture unreadable."""
    if len(image.info.get("exif") or b"") > MAX_EXIF_BYTES:
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DECODER_ERRORS:
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _on_white(image: Image.Image) -> Image.Image:
    """Return an RGB picture in sRGB, with what is transparent laid on white."""
    alpha = _alpha(image)
    colour = _to_srgb(_opaque(image), image.info.get("icc_profile"))
    if alpha is None:
        return colour
    return Image.composite(colour, Image.new("RGB", image.size, "white"), alpha)


def _alpha(image: Image.Image) -> Image.Image | None:
    if not image.has_transparency_data:
        return None
    key = image.info.get("transparency")
    if _is_wide(image):
        return Image.fromarray(np.where(np.asarray(image) == key, 0, 255).astype(np.uint8))
    if isinstance(key, tuple) and max(key) > 255:  # of a PNG with 16 bits a channel
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in key)
    return image.convert("RGBA").getchannel("A")


def _opaque(image: Image.Image) -> Image.Image:
    """Return the colours without transparency, in a mode that a colour profile may speak of."""
    if _is_wide(image):
        return _to_8_bit(image)
    if image.mode in ("RGB", "L", "CMYK", "LAB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("LA", "La"):
        return image.convert("LA").getchannel("L")
    if image.mode == "RGBa":
        image = image.convert("RGBA")
    image = image.copy()
    image.info.pop("transparency", None)  # or Pillow mixes it into the colours
    return image.convert("RGB")


def _is_wide(image: Image.Image) -> bool:
    return image.mode == "F" or image.mode.startswith("I")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale greys of more than 8 bits to 0..255, rounded to the nearest."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=0, posinf=0, neginf=0)
    low, high = _range_of(image, values)
    levels = np.rint((values - low) * (255 / max(high - low, 1e-30)))
    if _tiff_tag(image, ExifTags.Base.PhotometricInterpretation) == 0 and image.mode != "F":
        levels = 255 - levels  # "white is zero", which Pillow minds in 8 bits only
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def _range_of(image: Image.Image, values: NDArray[np.float32]) -> tuple[float, float]:
    """Return which values are black and white.

    16 bits say it themselves. Integers of 32 bits and floats do not: the smallest usual range
    that holds them is taken, and else the values' own.
    """
    if image.mode.startswith("I;16"):
        twelve_bits = _tiff_tag(image, ExifTags.Base.BitsPerSample) == (12,)
        return 0, 4095 if twelve_bits else 65535
    low, high = float(values.min()), float(values.max())
    usual = (1, 255, 65535) if image.mode == "F" else (255, 65535)
    fitting = [full for full in usual if low >= 0 and high <= full]
    return (0, fitting[0]) if fitting else (low, high)


def _tiff_tag(image: Image.Image, tag: int) -> Any:
    return getattr(image, "tag_v2", {}).get(tag)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the picture as RGB in sRGB; a profile that is broken or does not fit is ignored."""
    if image.mode == "LAB":
        return _transformed(image, ImageCms.createProfile("LAB"))
    if profile:
        try:
            return _apply_profile(image, profile)
        except (ImageCms.PyCMSError, *_DECODER_ERRORS):
            pass  # better the colours as they stand than no picture
    return image.convert("RGB")


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if image.mode != "CMYK" and _is_srgb(source, image.mode):
        return image.convert("RGB")
    return _transformed(image, source)


def _is_srgb(profile: ImageCms.ImageCmsProfile, mode: str) -> bool:
    """Say whether a profile changes no colour by more than rounding.

    So the same pixels give the same vector whether a tool writes its sRGB profile or not.
    """
    probe = _probe().convert(mode)
    before = np.asarray(probe.convert("RGB"), dtype=np.int16)
    after = np.asarray(_transformed(probe, profile), dtype=np.int16)
    return int(np.abs(before - after).max()) <= _SRGB_TOLERANCE


def _probe() -> Image.Image:
    """Return 729 colours, nine levels of each channel."""
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1)  # (9, 9, 9, 3)
    return Image.fromarray(cube.reshape(27, 27, 3))


def _transformed(image: Image.Image, source: Any) -> Image.Image:
    transform = ImageCms.buildTransform(
        source, ImageCms.createProfile("sRGB"), image.mode, "RGB", ImageCms.Intent.PERCEPTUAL
    )
    result = ImageCms.applyTransform(image, transform)
    assert result is not None  # only an in-place transform gives None
    return result
