"""A sheet of queries and their nearest neighbours, with frames around wrong neighbours."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

TILE_PX = 112
GAP_PX = 10
CAPTION_PX = 18
FRAME_PX = 4
WRONG_COLOUR = (200, 30, 30)
_STEP = TILE_PX + GAP_PX
_LINE = TILE_PX + CAPTION_PX + GAP_PX
_QUERY_GAP = 2 * GAP_PX  # between a query and its neighbours


@dataclass(frozen=True)
class SheetTile:
    """One picture of the sheet.

    Attributes
    ----------
    row : int
    caption : str
        Text below the picture, shortened to its width.
    is_wrong : bool
        Whether the picture gets a frame.
    """

    row: int
    caption: str
    is_wrong: bool = False


def query_sheet(
    title: str, lines: Sequence[Sequence[SheetTile]], thumbnail: Callable[[int], bytes], path: Path
) -> None:
    """Draw one line for each query: the query, then its nearest neighbours.

    Parameters
    ----------
    title : str
    lines : sequence of sequence of SheetTile
        At least one line, and no empty line.
    thumbnail : callable
        Returns the bytes of a row's thumbnail, or b"" for a grey tile.
    path : Path
        JPEG file. An existing file is replaced.
    """
    n_columns = max(map(len, lines))
    width = GAP_PX + n_columns * _STEP + _QUERY_GAP
    sheet = Image.new("RGB", (width, _LINE * len(lines) + GAP_PX + CAPTION_PX), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP_PX, GAP_PX // 2), title, "black", ImageFont.load_default(size=14))
    for line, tiles in enumerate(lines):
        for column, tile in enumerate(tiles):
            _draw_tile(sheet, draw, tile, corner(line, column), thumbnail(tile.row))
    sheet.save(path, "JPEG", quality=85)


def corner(line: int, column: int) -> tuple[int, int]:
    """Return left and top of a picture on the sheet. Column 0 is the query."""
    left = GAP_PX + column * _STEP + (_QUERY_GAP if column else 0)
    return left, GAP_PX + CAPTION_PX + line * _LINE


def _draw_tile(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    tile: SheetTile,
    left_top: tuple[int, int],
    picture: bytes,
) -> None:
    left, top = left_top
    if tile.is_wrong:
        start = (left - FRAME_PX, top - FRAME_PX)
        end = (left + TILE_PX + FRAME_PX - 1, top + TILE_PX + FRAME_PX - 1)
        draw.rectangle((*start, *end), fill=WRONG_COLOUR)
    sheet.paste(_fitted(picture), left_top)
    font = ImageFont.load_default(size=11)
    caption = tile.caption
    while caption and draw.textlength(caption, font) > TILE_PX:
        caption = caption[:-1]
    colour = WRONG_COLOUR if tile.is_wrong else "black"
    draw.text((left, top + TILE_PX + FRAME_PX), caption, colour, font)


def _fitted(picture: bytes) -> Image.Image:
    """Return a picture scaled to fit a white square; a grey square if there is no picture."""
    if not picture:
        return Image.new("RGB", (TILE_PX, TILE_PX), (200, 200, 200))
    square = Image.new("RGB", (TILE_PX, TILE_PX), "white")
    with Image.open(io.BytesIO(picture)) as image:
        small = image.convert("RGB")
    small.thumbnail((TILE_PX, TILE_PX))
    square.paste(small, ((TILE_PX - small.width) // 2, (TILE_PX - small.height) // 2))
    return square
