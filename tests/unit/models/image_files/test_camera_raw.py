"""Camera raw is refused as such, and ordinary TIFFs of cameras and scanners are read."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import UnknownFormat, UnsupportedPicture
from models.image_files.formats import format_of
from models.preprocess import decode
from tests.helpers.raws import RAWS
from tests.helpers.tiffs import RGB, Tag, TiffWriter, page_of, tiff_of

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")

LARGE = np.full((60, 80, 3), [200, 60, 20], np.uint8)
SMALL = np.full((12, 16, 3), [0, 0, 255], np.uint8)
MAKE: Tag = (271, "B", list(b"Maker\0"))
REDUCED: Tag = (254, "I", [1])


@pytest.mark.parametrize("name", sorted(RAWS))
def test_camera_raw_is_refused_as_camera_raw(name):
    """Neither its preview of 160 x 120 is read, nor is it called broken or unknown."""
    with pytest.raises(UnsupportedPicture, match=r"camera raw \(.*\) is not supported: export it"):
        decode(RAWS[name])
    assert UnsupportedPicture.code == UnknownFormat.code == "unsupported_type"


def test_camera_raw_that_is_no_tiff_is_known_by_its_first_bytes():
    """16 bytes are enough, and what merely begins alike is none."""
    with pytest.raises(UnsupportedPicture, match="CR3"):
        format_of(RAWS["canon.cr3"][:16])
    with pytest.raises(UnknownFormat) as caught:
        format_of(b"\0\0\0\x18ftypcrxx" + bytes(100))
    assert not isinstance(caught.value, UnsupportedPicture)


def pages(*of: tuple[np.ndarray, tuple[Tag, ...]]) -> bytes:
    """Return a TIFF of several pages."""
    writer = TiffWriter()
    for samples, tags in of:
        writer.directory(page_of(writer, samples, RGB, tags=tags))
    return writer.file()


def pyramid() -> bytes:
    """Return a page with smaller versions of it below, as microscopes write."""
    writer = TiffWriter()
    below = writer.directory(page_of(writer, SMALL, RGB, tags=(REDUCED,)), is_page=False)
    writer.directory(page_of(writer, LARGE, RGB, tags=(MAKE, (330, "I", [below]))))
    return writer.file()


ORDINARY = {
    "of a camera": tiff_of(LARGE, tags=(MAKE, (272, "B", list(b"Model\0")))),
    "with smaller versions below": pyramid(),
    "with smaller versions as pages": pages((LARGE, (MAKE,)), (SMALL, (REDUCED,))),
    "with its preview first": pages((SMALL, (REDUCED, MAKE)), (LARGE, ())),
    "of several pages": pages((LARGE, ()), (SMALL, ())),
    "with a filter pattern copied from raw": tiff_of(LARGE, tags=((33422, "B", [0, 1, 1, 2]),)),
    "with nothing but a preview": pages((LARGE, (REDUCED, MAKE))),
}


@pytest.mark.parametrize("name", sorted(ORDINARY))
def test_ordinary_tiff_shows_its_first_whole_picture(name):
    """The first page that is not a smaller version of another is read."""
    decoded = np.asarray(decode(ORDINARY[name]))
    assert decoded.shape == LARGE.shape
    assert (decoded == LARGE).all()


@pytest.mark.parametrize("start", [b"IIII", b"MMMM", b"CR\2\0"])
def test_pixels_that_look_like_marks_of_camera_raw_are_pixels(start):
    """The first pixels of many TIFFs are where CR2 and IIQ have their marks."""
    samples = np.frombuffer(start + bytes(44), np.uint8).reshape(4, 4, 3)
    data = tiff_of(samples)
    assert data[8:12] == start
    assert (np.asarray(decode(data)) == samples).all()


def test_previews_without_their_picture_are_not_taken_for_it():
    """A scanner's file whose picture is only below a preview is not supported, and says so."""
    writer = TiffWriter()
    below = writer.directory(page_of(writer, LARGE, RGB), is_page=False)
    writer.directory(page_of(writer, SMALL, RGB, tags=(REDUCED, (330, "I", [below]))))
    with pytest.raises(UnsupportedPicture, match="previews of a picture that is not a page"):
        decode(writer.file())


def test_pages_that_loop_end():
    """A chain of pages that leads back to its start is followed once."""
    data = bytearray(pages((SMALL, (REDUCED,)), (SMALL, (REDUCED,))))
    first = int.from_bytes(data[4:8], "little")
    n_entries = int.from_bytes(data[first : first + 2], "little")
    second = int.from_bytes(data[first + 2 + 12 * n_entries :][:4], "little")
    data[second + 2 + 12 * n_entries :][:4] = first.to_bytes(4, "little")
    assert decode(bytes(data)).size == (16, 12)
