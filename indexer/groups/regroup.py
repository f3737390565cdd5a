"""The grouping of a build or re-index: compute the groups, or update those of the old snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from index.arrays import Rows
from index.artefacts.clusters import Clusters, group_name
from index.layout import CLUSTERS_FILE, ELBOW_PLOT_FILE
from index.search.store import VectorStore
from index.snapshot import Snapshot
from indexer.groups.clustering import group_images
from indexer.groups.dissimilarity import assign
from indexer.groups.grouping import Grouping
from indexer.groups.sheets import group_sheet, plot_elbow
from indexer.output.written import add_to_list, check_outside
from indexer.quality.drift import has_drifted
from indexer.stages import Stages


def group(
    store: VectorStore,
    folder: Path,
    how: Grouping,
    stages: Stages,
    classes: Sequence[str | None] | None = None,
) -> Clusters:
    """Group all vectors. Write clusters.json and, after a sweep, elbow.png to a folder."""
    clusters = group_images(store, how, classes=classes, progress=stages.progress, say=stages.say)
    clusters.save(folder / CLUSTERS_FILE)
    if clusters.wce:
        plot_elbow(clusters, folder / ELBOW_PLOT_FILE)
    return clusters


def regroup(
    old: Snapshot,
    store: VectorStore,
    old_rows: Rows,
    n_changed: int,
    folder: Path,
    stages: Stages,
) -> bool:
    """Group a changed collection by assigning each picture to the nearest of the old medoids.

    If a medoid was removed, or over a tenth of the pictures changed since the groups were computed,
    the groups are computed again with the same options. A collection without groups gets none.

    Parameters
    ----------
    old : Snapshot
        Snapshot before the change.
    store : VectorStore
        Vectors of the changed collection.
    old_rows : ndarray of shape (n,), int64
        For each row, its row in the old snapshot, or -1 for a new picture. No row occurs twice.
    n_changed : int
        Number of pictures added or removed since the groups were computed.
    folder : Path
        Folder to write clusters.json and elbow.png to.
    stages : Stages

    Returns
    -------
    keeps_medoids : bool
        Whether the medoids and the error curve are still the old ones.
    """
    if old.clusters is None:
        return False
    medoids = _new_rows(old.clusters.medoids, old_rows, len(old))
    if (medoids < 0).any() or has_drifted(n_changed, len(store)):
        group(store, folder, _same_options(old, len(store)), stages)
        return False
    found = assign(store, medoids, stages.progress)
    rest = _other_attributes(old.clusters) | {"loss": found.loss}
    Clusters.numbered(found.labels, medoids, found.scores, **rest).save(folder / CLUSTERS_FILE)
    return True


def _new_rows(wanted: Rows, old_rows: Rows, n_old: int) -> Rows:
    """Return the new rows of some rows of the old snapshot, -1 for removed ones."""
    new_of_old = np.full(n_old, -1)
    new_of_old[old_rows[old_rows >= 0]] = np.flatnonzero(old_rows >= 0)
    return new_of_old[wanted]


def _same_options(old: Snapshot, n_images: int) -> Grouping:
    """Return the options of the old groups, limited to the number of pictures."""
    how = Grouping.of(old.manifest.settings.groups)
    if how.n_clusters is not None:
        return replace(how, n_clusters=min(how.n_clusters, n_images))
    return replace(how, min_clusters=min(how.min_clusters, n_images))


def _other_attributes(clusters: Clusters) -> dict[str, Any]:
    """Return the attributes of groups without labels, medoids and scores."""
    arrays = ("labels", "medoids", "scores")
    return {f.name: getattr(clusters, f.name) for f in fields(clusters) if f.name not in arrays}


def write_sheets(snapshot: Snapshot, clusters: Clusters, folder: Path, stages: Stages) -> None:
    """Write a sheet of thumbnails for each group: group-000.jpg and so on."""
    check_outside(folder, snapshot.image_root)
    folder.mkdir(parents=True, exist_ok=True)
    names = [group_name(label, len(clusters)) for label in range(len(clusters))]
    add_to_list(folder, [f"{name}.jpg" for name in names])

    def thumbnail(row: int) -> bytes:
        assert snapshot.thumbnails is not None
        return snapshot.thumbnails.jpeg(snapshot.catalogue.image(row).id) or b""

    with stages.progress(total=len(clusters), desc="sheets", unit="group") as bar:
        for label, name in enumerate(names):
            group_sheet(clusters, label, thumbnail, folder / f"{name}.jpg")
            bar.update(1)
