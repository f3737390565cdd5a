"""Groups of a stored collection: how many, around which medoids, written as clusters.json."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.clusters import Clusters
from index.snapshot import CLUSTERS_FILE
from index.store import VectorStore
from indexer.fasterpam import fasterpam
from indexer.stages import Stages

GROUP_FILES = (CLUSTERS_FILE,)


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
