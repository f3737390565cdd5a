"""The sheet of worst queries, looked at pixel by pixel."""

import numpy as np
from PIL import Image

from indexer.quality.worst_sheet import (
    FRAME_PX,
    TILE_PX,
    WRONG_COLOUR,
    SheetTile,
    corner,
    query_sheet,
)
from tests.helpers.pictures import picture_bytes

COLOURS = {0: (0, 0, 255), 1: (0, 255, 0), 2: (255, 255, 0)}


def near(pixel, colour):
    """Say whether a pixel has a colour but for JPEG's losses."""
    return np.abs(np.subtract(pixel, colour)).max() < 40


def test_each_query_has_a_line_and_wrong_neighbours_a_frame(tmp_path):
    """Line 0 is blue, green, then yellow framed; line 1 has a neighbour without a thumbnail."""
    lines = [
        [SheetTile(0, "fox"), SheetTile(1, "fox 0.9"), SheetTile(2, "lion 0.8", is_wrong=True)],
        [SheetTile(1, "a very long caption " * 9), SheetTile(7, "no thumbnail")],
    ]

    def thumbnail(row):
        return picture_bytes(COLOURS[row], (90, 90)) if row in COLOURS else b""

    query_sheet("worst", lines, thumbnail, tmp_path / "sheet.jpg")

    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.format == "JPEG"
        for line, shown in enumerate(lines):
            for column, one in enumerate(shown):
                left, top = corner(line, column)
                middle = sheet.getpixel((left + TILE_PX // 2, top + TILE_PX // 2))
                rim = sheet.getpixel((left - FRAME_PX // 2, top + TILE_PX // 2))
                assert near(middle, COLOURS.get(one.row, (200, 200, 200)))
                assert near(rim, WRONG_COLOUR) == one.is_wrong
