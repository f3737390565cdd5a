"""Groups of a stored collection: made anew, or carried over to a changed one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.artefacts.clusters import Clusters, group_name
from index.layout import CLUSTERS_FILE, ELBOW_PLOT_FILE
from index.search.store import VectorStore
from index.snapshot import Snapshot
from indexer.groups.clustering import Grouping, group_images
from indexer.groups.dissimilarity import assign
from indexer.groups.sheets import group_sheet, plot_elbow
from indexer.quality.drift import is_much
from indexer.stages import Stages


def group(
    store: VectorStore,
    folder: Path,
    how: Grouping,
    stages: Stages,
    classes: Sequence[str | None] | None = None,
) -> Clusters:
    """Group all stored vectors; write clusters.json and, after a sweep, elbow.png into a folder."""
    clusters = group_images(store, how, classes=classes, progress=stages.progress, say=stages.say)
    clusters.save(folder / CLUSTERS_FILE)
    if clusters.wce:
        plot_elbow(clusters, folder / ELBOW_PLOT_FILE)
    return clusters


def carry_groups(
    live: Snapshot,
    store: VectorStore,
    old_rows: NDArray[np.int64],
    n_changed: int,
    folder: Path,
    stages: Stages,
) -> bool:
    """Give each picture of a changed collection the nearest of the medoids that there were.

    Where a medoid is gone, or over a tenth of the pictures changed since the groups were made, they
    are made anew, as they were made before. A collection without groups stays without.

    Returns
    -------
    is_carried : bool
        The medoids are the old ones, and so is the curve.
    """
    old = live.clusters
    if old is None:
        return False
    new_of_old = np.full(old.n_images, -1)
    new_of_old[old_rows[old_rows >= 0]] = np.flatnonzero(old_rows >= 0)
    medoids = new_of_old[old.medoids]
    if (medoids < 0).any() or is_much(n_changed, len(store)):
        group(store, folder, _as_before(live, len(store)), stages)
        return False
    found = assign(store, medoids, stages.progress)
    facts = _facts(old) | {"loss": found.loss}
    Clusters.numbered(found.labels, medoids, found.scores, **facts).save(folder / CLUSTERS_FILE)
    return True


def _as_before(live: Snapshot, n_images: int) -> Grouping:
    """Return the options of the live snapshot's groups, cut to what a smaller collection allows."""
    how = Grouping.of(live.manifest.settings.groups)
    if how.n_clusters is not None:
        return replace(how, n_clusters=min(how.n_clusters, n_images))
    return replace(how, min_clusters=min(how.min_clusters, n_images))


def _facts(clusters: Clusters) -> dict[str, Any]:
    """Return what is known of groups but for labels, medoids and scores."""
    parts = ("labels", "medoids", "scores")
    return {f.name: getattr(clusters, f.name) for f in fields(clusters) if f.name not in parts}


def write_sheets(snapshot: Snapshot, clusters: Clusters, folder: Path, stages: Stages) -> None:
    """Write a picture sheet of every group, group-000.jpg and so on, the medoid first."""
    folder.mkdir(parents=True, exist_ok=True)

    def thumbnail(row: int) -> bytes:
        assert snapshot.thumbnails is not None
        return snapshot.thumbnails.jpeg(snapshot.catalogue.image(row).id) or b""

    with stages.progress(total=len(clusters), desc="sheets", unit="group") as bar:
        for label in range(len(clusters)):
            name = group_name(label, len(clusters))
            group_sheet(clusters, label, thumbnail, folder / f"{name}.jpg")
            bar.update(1)
