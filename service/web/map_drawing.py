"""The drawing of the map: which pictures it shows, and where. No Flask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from index.snapshot import Snapshot
from service.schemas import MapPoint

SIDE = 1000  # side of the square drawing, in SVG units
MAX_DOTS = 3000  # more would slow the page down and hide each other
N_LANDMARKS = 16
N_COLOURS = 12  # the style sheet defines as many
_MARGIN = 36


@dataclass(frozen=True)
class Dot:
    """A picture on the drawing.

    Attributes
    ----------
    point : MapPoint
    x, y : float
        SVG units from the top left corner, [0, SIDE].
    """

    point: MapPoint
    x: float
    y: float

    @property
    def colour(self) -> int:
        """Number of the group's colour, [0, N_COLOURS)."""
        return (self.point.cluster or 0) % N_COLOURS


def rows_to_show(snapshot: Snapshot, cluster: int | None = None) -> list[int]:
    """Return the rows to draw, in drawing order.

    Parameters
    ----------
    snapshot : Snapshot
    cluster : int, optional
        Label of a group to draw on top, with as many of its pictures as the limit allows.

    Returns
    -------
    list of int
        All rows, or MAX_DOTS evenly spaced ones, and then the rows of the group.
    """
    n = len(snapshot)
    rows = np.unique(np.linspace(0, n - 1, min(n, MAX_DOTS)).astype(np.int64))
    if cluster is None or snapshot.clusters is None:
        return [int(row) for row in rows]
    own = np.flatnonzero(snapshot.clusters.labels == cluster)[:MAX_DOTS]
    return [*np.setdiff1d(rows, own).tolist(), *own.tolist()]


def landmarks(snapshot: Snapshot) -> list[int]:
    """Return the medoids of the largest groups, at most N_LANDMARKS; none without groups."""
    return [] if snapshot.clusters is None else snapshot.clusters.medoids[:N_LANDMARKS].tolist()


def draw(points: Iterable[MapPoint]) -> list[Dot]:
    """Convert map positions, [0, 1] with y upwards, to SVG units, with y downwards."""
    extent = SIDE - 2 * _MARGIN
    return [
        Dot(point, round(_MARGIN + extent * point.x, 1), round(_MARGIN + extent * (1 - point.y), 1))
        for point in points
    ]
