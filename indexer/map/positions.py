"""A map of the collection: its vectors laid out in the plane.

Small collections are laid out by t-SNE (van der Maaten and Hinton, "Visualizing Data using t-SNE",
JMLR 9, 2008; Barnes-Hut: van der Maaten, JMLR 15, 2014) from 30 principal components, large ones by
the first two principal components.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.artefacts.map_points import MapPoints
from index.search.store import VectorStore
from index.search.topk import TopKTable
from index.snapshot import Snapshot
from indexer.groups.principal_components import principal_components

MOST_FOR_TSNE = 5_000  # pictures; its time grows faster than their number, 8 s for 3,000
_FEWEST_FOR_TSNE = 20  # fewer pictures have no neighbourhoods to preserve
_N_COMPONENTS = 30  # input of t-SNE
_PERPLEXITY = 30.0
_TSNE_STEPS = 500
_N_NEIGHBOURS = 3  # a new picture is placed between them
_SHARPNESS = 4  # exponent of their scores: a higher one gives the closest more weight


def draw_map(store: VectorStore, seed: int = 0) -> MapPoints:
    """Lay out all vectors.

    Parameters
    ----------
    store : VectorStore
    seed : int
        Of the principal components, and of t-SNE.

    Returns
    -------
    MapPoints
        The same for the same vectors and seed on one machine. Memory: that of
        `principal_components`.
    """
    uses_tsne = _FEWEST_FOR_TSNE <= len(store) <= MOST_FOR_TSNE
    components = principal_components(store, _N_COMPONENTS if uses_tsne else 2, seed)
    points = _tsne(components, seed) if uses_tsne else components
    return MapPoints.fitted(points.astype(np.float64))


def _tsne(components: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    from sklearn.manifold import TSNE  # takes a second to import
    from threadpoolctl import threadpool_limits

    spread = components[:, 0].std()
    if spread == 0:  # all pictures are the same
        return components[:, :2]
    start = components[:, :2] / spread * 1e-4  # as small as its authors have it
    perplexity = min(_PERPLEXITY, (len(components) - 1) / 3)
    layout = TSNE(init=start, perplexity=perplexity, max_iter=_TSNE_STEPS, random_state=seed)
    with threadpool_limits(1):  # sums of several threads differ from run to run
        return np.asarray(layout.fit_transform(components), np.float32)


def carry_map(live: Snapshot, table: TopKTable, old_rows: NDArray[np.int64], folder: Path) -> bool:
    """Keep the positions of the old pictures, and place each new one between its neighbours.

    Parameters
    ----------
    live : Snapshot
        Before the change.
    table : TopKTable
        Of the changed collection.
    old_rows : ndarray of shape (n,), int64
        For each row its row in the live snapshot, or -1.
    folder : Path

    Returns
    -------
    is_carried : bool
        False if there is no old map, or a new picture has no neighbour on it.
    """
    if live.map_points is None:
        return False
    is_old = old_rows >= 0
    points = np.zeros((len(old_rows), 2), np.float32)
    points[is_old] = live.map_points.xy[old_rows[is_old]]
    for row in np.flatnonzero(~is_old):
        near = np.flatnonzero(is_old[table.rows[row]])[:_N_NEIGHBOURS]
        if len(near) == 0:
            return False
        weights = np.clip(table.scores[row][near], 1e-3, 1) ** _SHARPNESS
        points[row] = np.average(points[table.rows[row][near]], axis=0, weights=weights)
    MapPoints(points).save(folder)
    return True
