"""Plots and sheets, looked at pixel by pixel."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from index.artefacts.clusters import Clusters
from index.errors import UnknownCluster
from indexer.groups.sheets import NoCurve, group_sheet, plot_elbow

COLOURS = [(200, 0, 0), (0, 160, 0), (0, 0, 220), (0, 0, 0)]


@pytest.fixture
def clusters():
    """Return rows 0, 1, 2 around 1, and row 3 by itself; the curve has its elbow at 2."""
    return Clusters(
        np.array([0, 0, 0, 1], np.int32),
        np.array([1, 3]),
        np.array([0.5, 1, 0.9, 1], np.float32),
        loss=0.6,
        algorithm="fasterpam",
        seed=0,
        seconds=0.1,
        wce=((1, 9.0), (2, 2.0), (3, 1.0)),
        wce_method="kmedoids",
        elbow_clear=True,
    )


def thumbnail(row, size=(100, 100)):
    """Return a picture in the row's colour."""
    out = io.BytesIO()
    Image.new("RGB", size, COLOURS[row]).save(out, "PNG")
    return out.getvalue()


def colour_at(path, x, y):
    """Return a pixel's colour, to the nearest 20 (JPEG is not exact)."""
    with Image.open(path) as image:
        return tuple(round(value / 20) * 20 for value in image.convert("RGB").getpixel((x, y)))


def test_medoid_is_first_and_framed(clusters, tmp_path):
    """Tiles of 128 px go medoid, closest, farthest; only the medoid has a coloured frame."""
    path = tmp_path / "group.jpg"

    group_sheet(clusters, 0, thumbnail, path)

    centres = [colour_at(path, 8 + 64 + 136 * at, 40 + 64) for at in range(3)]
    assert centres == [COLOURS[1], COLOURS[2], COLOURS[0]]
    assert colour_at(path, 6, 104) == (220, 100, 20)
    assert colour_at(path, 8 + 2 * 136 - 4, 104) == (260, 260, 260)  # white, to the nearest 20


def test_sheet_is_bounded(clusters, tmp_path):
    """No more members than asked for are drawn, or even fetched."""
    fetched = []

    def counted(row):
        fetched.append(row)
        return thumbnail(row)

    group_sheet(clusters, 0, counted, tmp_path / "group.jpg", max_members=2)

    assert fetched == [1, 2]
    assert colour_at(tmp_path / "group.jpg", 8 + 64 + 2 * 136, 104) == (260, 260, 260)


def test_rows_of_tiles(tmp_path):
    """The eleventh member starts a second line."""
    eleven = Clusters(
        np.zeros(11, np.int32),
        np.array([0]),
        np.linspace(1, 0, 11).astype(np.float32),
        loss=1,
        algorithm="fasterpam",
        seed=0,
        seconds=0,
    )
    path = tmp_path / "group.jpg"

    group_sheet(eleven, 0, lambda row: thumbnail(row % 2), path)

    with Image.open(path) as image:
        assert image.size == (10 * 136 + 8, 2 * 136 + 8 + 32)
    assert colour_at(path, 72, 104 + 136) == COLOURS[0]


def test_proportions_are_kept(clusters, tmp_path):
    """A wide picture lies in the middle of its tile, white above and below."""
    path = tmp_path / "group.jpg"

    group_sheet(clusters, 1, lambda row: thumbnail(row, (200, 50)), path)

    assert colour_at(path, 72, 104) == COLOURS[3]
    assert colour_at(path, 72, 50) == (260, 260, 260)


def test_no_such_group(clusters, tmp_path):
    """A label that there is not gives an error and no file."""
    with pytest.raises(UnknownCluster):
        group_sheet(clusters, 2, thumbnail, tmp_path / "group.jpg")
    assert not (tmp_path / "group.jpg").exists()


def test_elbow_is_drawn_at_the_chosen_number(clusters, tmp_path):
    """The plot is a PNG with the mark's colour in one column of pixels, left of the middle."""
    path = tmp_path / "elbow.png"

    plot_elbow(clusters, path)

    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB")).astype(int)
    marked = (np.abs(pixels - (214, 90, 20)) < 30).all(axis=2)
    column = marked.sum(axis=0).argmax()
    assert marked[:, column].sum() > pixels.shape[0] / 2
    # Of 1 to 3 groups, 2 is in the middle of the axes.
    assert 0.45 < column / pixels.shape[1] < 0.6


def test_no_curve_to_draw(tmp_path):
    """Groups of a given number have no curve: the error says how to get one."""
    given = Clusters(
        np.zeros(1, np.int32),
        np.zeros(1, np.int64),
        np.ones(1, np.float32),
        loss=0,
        algorithm="fasterpam",
        seed=0,
        seconds=0,
    )

    with pytest.raises(NoCurve, match="without --clusters"):
        plot_elbow(given, tmp_path / "elbow.png")
