"""Files that look like camera raw: headers and directories as the makers write them."""

from __future__ import annotations

import numpy as np

from tests.helpers.tiffs import GREY, RGB, Tag, TiffWriter, page_of

CFA, LINEAR_RAW = 32803, 34892  # photometric interpretations
_PREVIEW = np.full((120, 160, 3), [90, 120, 60], np.uint8)
_SENSOR = np.full((64, 96, 1), 300, np.uint16)
_MAKE: Tag = (271, "B", list(b"Maker\0"))


def raw_tiff(order: str = "<", *more: Tag, child: int | None = CFA) -> bytes:
    """Return a preview of 160 x 120 whose sub-directory holds the sensor's data, as in a NEF.

    `child` is the photometric interpretation below, or None for data that only the maker knows.
    """
    writer = TiffWriter(order)
    below = writer.directory(_sensor(writer, order, child), is_page=False)
    tags = ((254, "I", [1]), _MAKE, (330, "I", [below]), *more)
    writer.directory(page_of(writer, _PREVIEW, RGB, order=order, tags=tags))
    return writer.file()


def sensor_first(order: str = "<") -> bytes:
    """Return sensor data as the first page, as in a PEF."""
    writer = TiffWriter(order)
    writer.directory(_sensor(writer, order, CFA))
    return writer.file()


def _sensor(writer: TiffWriter, order: str, photometric: int | None) -> list[Tag]:
    tags: tuple[Tag, ...] = () if photometric is None else ((262, "H", [photometric]),)
    return page_of(writer, _SENSOR, GREY, order=order, tags=tags)


def canon_cr2() -> bytes:
    """Return what a CR2 begins with: its mark, and a large preview as the first page."""
    file = bytearray(raw_tiff(child=None))
    directory = int.from_bytes(file[4:8], "little")
    moved = file[directory:]
    return b"II*\0\x10\0\0\0CR\2\0" + bytes(4) + bytes(moved)


RAWS = {
    "adobe.dng": raw_tiff("<", (50706, "B", [1, 4, 0, 0]), child=LINEAR_RAW),
    "linear.dng": raw_tiff(">", child=LINEAR_RAW),
    "nikon.nef": raw_tiff(">"),
    "sony.arw": raw_tiff("<"),
    "pentax.pef": sensor_first(">"),
    "samsung.srw": raw_tiff("<", child=None),
    "canon.cr2": canon_cr2(),
    "phase-one.iiq": b"II*\0" + b"\x10\1\0\0" + b"IIII\1waR" + bytes(400),
    "canon.cr3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(400),
    "canon.crw": b"II\x1a\0\0\0HEAPCCDR" + bytes(400),
    "fuji.raf": b"FUJIFILMCCD-RAW 0201" + bytes(400),
    "olympus.orf": b"IIRO\x08\0\0\0" + bytes(400),
    "olympus-new.orf": b"IIRS\x08\0\0\0" + bytes(400),
    "panasonic.rw2": b"IIU\0\x18\0\0\0" + bytes(400),
    "minolta.mrw": b"\0MRM\0\0\1\0" + bytes(400),
    "sigma.x3f": b"FOVb\0\0\2\0" + bytes(400),
}
