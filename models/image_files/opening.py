"""Open a picture file: read its header, check what decoding it takes, and decode it.

Pillow decodes nearly every file. Here it gets only files that it reads rightly, without the parts
that it would trip over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from PIL import ExifTags, Image, UnidentifiedImageError

from models.errors import ImageTooLarge, UndecodableImage, UnsupportedPicture
from models.image_files.camera_raw import check_not_raw
from models.image_files.decoder_limits import (
    MAX_EXIF_BYTES,
    CountedReads,
    check_decoding,
    check_file,
    check_size,
    check_tags,
    check_tile,
)
from models.image_files.essentials import essentials
from models.image_files.formats import DECODER_ERRORS, prepare_decoder
from models.image_files.tiff import ORIENTATION, Directory, Tiff, picture_of
from models.image_files.tiff_samples import TiffSamples
from models.image_files.unsupported import (
    is_complete,
    layout,
    why_not_supported,
    why_tiff_is_not_supported,
)


class OpenFile(Protocol):
    """A picture file whose header has been read and checked.

    Attributes
    ----------
    n_pixels : int
        Pixels that decoding takes: width times height, or more.
    """

    n_pixels: int

    def load(self) -> tuple[Image.Image, int]:
        """Decode the pixels; call it once.

        Returns
        -------
        image : PIL.Image.Image
            Of any mode.
        orientation : int
            How it is to be turned, as EXIF counts, 1 to 8.
        """
        ...


def open_file(data: bytes, format_: str, max_pixels: int) -> OpenFile:
    """Open a picture file.

    Parameters
    ----------
    data : bytes
        The whole file.
    format_ : str
        As `formats.format_of` names it.
    max_pixels : int
        Limit of width times height.

    Raises
    ------
    UnsupportedPicture, UndecodableImage, ImageTooLarge
        Also raised by `load`, within `translated`.
    """
    if format_ == "TIFF":
        return _open_tiff(Tiff(data), max_pixels)
    behind = check_file(data, format_, max_pixels)
    needed, profile = essentials(data, format_)
    image = Image.open(CountedReads(needed, format_), formats=[prepare_decoder(format_)])
    if profile is not None:
        image.info["icc_profile"] = profile
    return _PillowFile(image, max_pixels, behind)


@contextmanager
def translated(data: bytes, format_: str) -> Iterator[None]:
    """Turn whatever a decoder raises into `UnsupportedPicture` or `UndecodableImage`."""
    try:
        yield
    except DECODER_ERRORS as error:
        if reason := why_not_supported(data, format_):
            raise _unsupported(format_, reason) from error
        raise UndecodableImage(
            f"the {format_} picture is cut off or broken ({error}): save it again or remove it"
        ) from error


def _open_tiff(tiff: Tiff, max_pixels: int) -> OpenFile:
    check_not_raw(tiff)
    page = picture_of(tiff)
    if page.is_reduced and any(page.children()):
        raise _unsupported("TIFF", "its pages are previews of a picture that is not a page")
    check_tags(page)
    samples = TiffSamples(page)
    if samples.is_misread_by_pillow:
        return _SamplesFile(samples, page, max_pixels)
    if reason := why_tiff_is_not_supported(page):
        raise _unsupported("TIFF", reason)
    data = tiff.data if page.at == tiff.first else tiff.beginning_at(page.at)
    try:
        image = Image.open(CountedReads(data, "TIFF"), formats=["TIFF"])
    except UnidentifiedImageError:
        if samples.is_readable:
            return _SamplesFile(samples, page, max_pixels)
        if is_complete(page):
            raise _unsupported("TIFF", layout(page)) from None
        raise
    if image.mode in ("I", "F"):  # of which `TiffSamples` reads all that make sense
        raise _unsupported("TIFF", layout(page))
    return _PillowFile(image, max_pixels)


class _PillowFile:
    def __init__(self, image: Image.Image, max_pixels: int, behind: int = 0) -> None:
        # Pillow would turn the picture as XMP says. Browsers do not.
        image.info.pop("xmp", None)
        check_decoding(image, max_pixels)
        self._image = image
        self.n_pixels = max(image.width * image.height, behind)

    def load(self) -> tuple[Image.Image, int]:
        self._image.load()
        return self._image, _orientation(self._image)


class _SamplesFile:
    def __init__(self, samples: TiffSamples, page: Directory, max_pixels: int) -> None:
        check_size(*samples.pieces.size, max_pixels)
        check_tile(*samples.pieces.piece_size, max_pixels)
        if samples.n_pixels > max_pixels:
            raise ImageTooLarge(
                "decoding the picture takes as much memory as a picture of "
                f"{samples.n_pixels:,} pixels, the limit is {max_pixels:,}: "
                "save it with smaller strips or tiles"
            )
        self._samples, self._page = samples, page
        self.n_pixels = samples.n_pixels

    def load(self) -> tuple[Image.Image, int]:
        return self._samples.load(), self._page.number(ORIENTATION, 1)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, or 1 if EXIF is broken."""
    if len(image.info.get("exif") or b"") > MAX_EXIF_BYTES:
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except DECODER_ERRORS:
        return 1


def _unsupported(format_: str, reason: str) -> UnsupportedPicture:
    return UnsupportedPicture(
        f"this kind of {format_} is not supported ({reason}): save it as PNG or JPEG"
    )
