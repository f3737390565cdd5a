"""The map as a drawing: which pictures are on it, and at which coordinates. No Flask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from index.snapshot import Snapshot
from service.api.schemas import MapPoint

SIDE = 1000  # of the square drawing, in its own units
MOST_SHOWN = 3000  # dots; more make the page slow and hide each other
N_LANDMARKS = 16
N_COLOURS = 12  # as many as the style sheet names
_MARGIN = 36


@dataclass(frozen=True)
class Dot:
    """A picture on the drawing: `x` and `y` in its units, y growing downwards."""

    point: MapPoint
    x: float
    y: float

    @property
    def colour(self) -> int:
        """Number of its group's colour."""
        return (self.point.cluster or 0) % N_COLOURS


def rows_to_show(snapshot: Snapshot, cluster: int | None = None) -> list[int]:
    """Return the rows that are drawn: all, or some from all over, with all of one group on top."""
    n = len(snapshot)
    rows = np.unique(np.linspace(0, n - 1, min(n, MOST_SHOWN)).astype(np.int64))
    if cluster is None or snapshot.clusters is None:
        return rows.tolist()
    own = np.flatnonzero(snapshot.clusters.labels == cluster)[:MOST_SHOWN]
    return [*np.setdiff1d(rows, own).tolist(), *own.tolist()]


def landmarks(snapshot: Snapshot) -> list[int]:
    """Return the rows that stand for the largest groups."""
    return [] if snapshot.clusters is None else snapshot.clusters.medoids[:N_LANDMARKS].tolist()


def draw(points: Iterable[MapPoint]) -> list[Dot]:
    """Place pictures on the drawing."""
    room = SIDE - 2 * _MARGIN
    return [
        Dot(point, round(_MARGIN + room * point.x, 1), round(_MARGIN + room * (1 - point.y), 1))
        for point in points
    ]
