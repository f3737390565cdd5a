"""Groups of a stored collection: how many, around which medoids, written as clusters.json."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.clusters import Clusters
from index.snapshot import CLUSTERS_FILE, Snapshot
from index.store import VectorStore
from indexer.fasterpam import fasterpam
from indexer.stages import Stages

GROUP_FILES = (CLUSTERS_FILE,)
_REGROUP_SHARE = 0.1  # of the pictures; beyond it old medoids stand for too little
_BLOCK = 1024


@dataclass(frozen=True)
class GroupOptions:
    """How to group; see the command `cluster`."""

    n_clusters: int | None = None
    algorithm: str = "fasterpam"


def group(
    store: VectorStore, folder: Path, options: GroupOptions, seed: int, stages: Stages
) -> Clusters:
    """Group all stored vectors and write clusters.json into a folder."""
    start = time.monotonic()
    n = len(store)
    n_clusters = options.n_clusters or max(1, round(math.sqrt(n / 2)))
    vectors = store.vectors(np.arange(n))
    diss = np.clip(1 - vectors @ vectors.T, 0, None)
    np.fill_diagonal(diss, 0)
    found = fasterpam(diss, min(n_clusters, n), seed=seed)
    scores = 1 - diss[np.arange(n), found.medoids[found.labels]]
    clusters = Clusters.numbered(
        found.labels,
        found.medoids,
        scores.astype(np.float32),
        loss=found.loss,
        algorithm=options.algorithm,
        seed=seed,
        seconds=time.monotonic() - start,
    )
    clusters.save(folder / CLUSTERS_FILE)
    return clusters


def carry_groups(
    live: Snapshot,
    store: VectorStore,
    old_rows: NDArray[np.int64],
    folder: Path,
    stages: Stages,
) -> None:
    """Give each picture of a changed collection the nearest of the medoids that there were.

    Where a medoid is gone, or over a tenth of the pictures changed, the groups are made anew, as
    they were made before. A collection without groups stays without.
    """
    old = live.clusters
    if old is None:
        return
    new_of_old = np.full(old.n_images, -1)
    new_of_old[old_rows[old_rows >= 0]] = np.flatnonzero(old_rows >= 0)
    medoids = new_of_old[old.medoids]
    n_kept = int((old_rows >= 0).sum())
    n_changed = len(store) - n_kept + old.n_images - n_kept
    if (medoids < 0).any() or n_changed > _REGROUP_SHARE * len(store):
        settings = dict(live.manifest.settings["groups"])
        seed = settings.pop("seed", live.manifest.settings["seed"])
        group(store, folder, GroupOptions(**settings), seed, stages)
        return
    labels, scores = nearest_medoids(store, medoids)
    replace(
        Clusters.numbered(labels, medoids, scores, **_facts(old)),
        loss=float((1 - scores.astype(np.float64)).sum()),
    ).save(folder / CLUSTERS_FILE)


def nearest_medoids(
    store: VectorStore, medoids: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return each row's nearest medoid, (n,) int32, and the cosine with it, (n,) float32."""
    centres = store.vectors(medoids)
    labels = np.empty(len(store), np.int32)
    scores = np.empty(len(store), np.float32)
    for start in range(0, len(store), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(store)))
        products = store.vectors(block) @ centres.T
        labels[block] = products.argmax(axis=1)
        scores[block] = products.max(axis=1)
    labels[medoids] = np.arange(len(medoids))
    scores[medoids] = 1.0
    return labels, np.clip(scores, -1.0, 1.0)


def _facts(clusters: Clusters) -> dict[str, Any]:
    """Return what is known of groups but for labels, medoids and scores."""
    parts = ("labels", "medoids", "scores")
    return {f.name: getattr(clusters, f.name) for f in fields(clusters) if f.name not in parts}
