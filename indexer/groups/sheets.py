"""Image files about groups: a plot of the error curve, and a sheet of a group's thumbnails."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont

from index.artefacts.clusters import Clusters
from indexer.errors import IndexerError

MAX_MEMBERS = 60
_TILE_PX = 128
_GAP_PX = 8
_TITLE_PX = 32
_COLUMNS = 10
_MEDOID_COLOUR = (214, 90, 20)


class NoCurve(IndexerError, ValueError):
    """The groups were made without a sweep, so there is no error curve."""


def plot_elbow(clusters: Clusters, path: Path) -> None:
    """Plot the within-cluster error against the number of groups, and mark the chosen number.

    Parameters
    ----------
    clusters : Clusters
        Groups with the error curve of a sweep.
    path : Path
        PNG file. An existing file is replaced.

    Raises
    ------
    NoCurve
        If there was no sweep.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # needs no display
    from matplotlib.figure import Figure

    if not clusters.wce:
        raise NoCurve(
            "These groups have no error curve. Run `bin/lookalike cluster` without --clusters."
        )
    numbers, errors = zip(*clusters.wce, strict=True)
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(numbers, errors, color="#1f4e79", linewidth=1.5)
    axes.plot([numbers[0], numbers[-1]], [errors[0], errors[-1]], color="#999999", linestyle=":")
    chosen = len(clusters)
    axes.plot([chosen], [dict(clusters.wce)[chosen]], "o", color="#d65a14")
    axes.axvline(chosen, color="#d65a14", linewidth=0.8)
    axes.set_xlabel("number of groups")
    axes.set_ylabel(f"within-cluster error ({clusters.wce_method})")
    axes.set_title(_elbow_title(clusters))
    FigureCanvasAgg(figure).print_png(str(path))


def group_sheet(
    clusters: Clusters,
    label: int,
    thumbnail: Callable[[int], bytes],
    path: Path,
    max_members: int = MAX_MEMBERS,
) -> None:
    """Draw the pictures of a group: the medoid in a frame, then the others by falling score.

    Parameters
    ----------
    clusters : Clusters
    label : int
        Label of the group.
    thumbnail : callable
        Returns the bytes of a row's thumbnail.
    path : Path
        JPEG file. An existing file is replaced.
    max_members : int
        Maximum number of pictures on the sheet, at least 1. The title gives the size of the group.

    Raises
    ------
    UnknownCluster
        If there is no such group.
    """
    rows = clusters.members(label).tolist()
    shown = rows[: max(1, max_members)]
    sheet = _empty_sheet(len(shown))
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP_PX, _GAP_PX), _sheet_title(label, len(rows), len(shown)), "black", _font())
    for position, row in enumerate(shown):
        left, top = _corner(position)
        if position == 0:
            frame = (left - 4, top - 4, left + _TILE_PX + 3, top + _TILE_PX + 3)
            draw.rectangle(frame, fill=_MEDOID_COLOUR)
        sheet.paste(_tile(thumbnail(row)), (left, top))
    sheet.save(path, "JPEG", quality=85)


def _elbow_title(clusters: Clusters) -> str:
    if clusters.elbow_clear:
        return f"{len(clusters)} groups: elbow of the curve"
    return f"{len(clusters)} groups: farthest from the line, but no clear elbow"


def _sheet_title(label: int, n_members: int, n_shown: int) -> str:
    count = "1 picture" if n_members == 1 else f"{n_members} pictures"
    rest = "" if n_shown == n_members else f", the {n_shown} closest to the medoid"
    return f"Group {label}: {count}{rest}"


def _empty_sheet(n_shown: int) -> Image.Image:
    columns, rows = max(4, min(n_shown, _COLUMNS)), -(-n_shown // _COLUMNS)
    step = _TILE_PX + _GAP_PX
    size = (columns * step + _GAP_PX, rows * step + _GAP_PX + _TITLE_PX)
    return Image.new("RGB", size, "white")


def _corner(position: int) -> tuple[int, int]:
    line, column = divmod(position, _COLUMNS)
    step = _TILE_PX + _GAP_PX
    return column * step + _GAP_PX, line * step + _GAP_PX + _TITLE_PX


def _tile(picture: bytes) -> Image.Image:
    """Return a picture scaled to fit a white square, with its aspect ratio kept."""
    tile = Image.new("RGB", (_TILE_PX, _TILE_PX), "white")
    with Image.open(io.BytesIO(picture)) as image:
        small = image.convert("RGB")
        small.thumbnail((_TILE_PX, _TILE_PX))
    free = np.subtract(tile.size, small.size) // 2
    tile.paste(small, (int(free[0]), int(free[1])))
    return tile


def _font() -> FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=18)
