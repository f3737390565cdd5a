import numpy as np

from service.schemas import MapPoint
from service.web import map_drawing


def test_drawing_is_upright_and_inside():
    """A y of 1 is at the top, and every dot is inside the drawing."""
    corners = [
        MapPoint(id="a", path="a", x=x, y=y, cluster=None, thumbnail_url=None)
        for x, y in ((0, 0), (1, 1))
    ]
    low, high = map_drawing.draw(corners)
    assert (low.x, low.y) == (high.y, high.x)
    assert 0 < low.x < high.x < map_drawing.SIDE


class LargeSnapshot:
    """The parts of a snapshot that the drawing needs: many pictures in two groups."""

    def __init__(self, n, n_second):
        self.n = n
        self.clusters = type("Groups", (), {"labels": np.repeat([0, 1], [n - n_second, n_second])})

    def __len__(self):
        return self.n


def test_large_collection_is_thinned_out_but_one_group_is_complete():
    """At most 3,000 evenly spaced pictures are drawn, and on top all of the requested group."""
    snapshot = LargeSnapshot(100_000, 50)
    rows = map_drawing.rows_to_show(snapshot)
    assert len(rows) == map_drawing.MAX_DOTS
    assert (rows[0], rows[-1]) == (0, 99_999)
    assert max(np.diff(rows)) <= 34
    assert map_drawing.rows_to_show(snapshot, 1)[-50:] == list(range(99_950, 100_000))
    assert map_drawing.rows_to_show(LargeSnapshot(5, 1)) == [0, 1, 2, 3, 4]
