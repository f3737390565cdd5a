"""The start page: the upload form, and pictures to start with."""

from __future__ import annotations

import numpy as np

from index.snapshot import Snapshot
from service.context import context
from service.web.rendering import render

N_EXAMPLES = 12


def home() -> str:
    """Show the upload form and some pictures of the collection."""
    with context().holder.use() as live:
        examples = live.snapshot.catalogue.records(_example_rows(live.snapshot))
        return render(live, "home.html", examples=examples)


def _example_rows(snapshot: Snapshot) -> list[int]:
    """Return the medoids of the largest groups, or evenly spaced rows if there are too few."""
    n = min(N_EXAMPLES, len(snapshot))
    if snapshot.clusters is not None and len(snapshot.clusters) >= n:
        return [int(row) for row in snapshot.clusters.medoids[:n]]
    return [int(row) for row in np.linspace(0, len(snapshot) - 1, n)]
