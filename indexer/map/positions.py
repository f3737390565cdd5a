"""Positions of the pictures on the map, computed from their vectors.

Up to 5,000 pictures, the positions come from t-SNE on 30 principal components (van der Maaten and
Hinton, "Visualizing Data using t-SNE", JMLR 9, 2008; Barnes-Hut: van der Maaten, JMLR 15, 2014).
In a larger collection they are the first two principal components.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.arrays import Rows
from index.artefacts.map_points import MapPoints
from index.search.store import VectorStore
from index.search.topk import TopKTable
from index.snapshot import Snapshot
from indexer.groups.principal_components import principal_components

_MAX_TSNE_IMAGES = 5_000  # the time grows faster than the number: 8 s for 3,000 pictures
_MIN_TSNE_IMAGES = 20  # fewer pictures have no neighbourhoods to preserve
_N_COMPONENTS = 30  # input of t-SNE
_PERPLEXITY = 30.0
_TSNE_STEPS = 500
_N_NEIGHBOURS = 3  # a new picture is placed between them
_EXPONENT = 4  # of the scores as weights; a larger one gives the nearest more weight


def draw_map(store: VectorStore, seed: int = 0) -> MapPoints:
    """Compute the positions of all pictures.

    Parameters
    ----------
    store : VectorStore
    seed : int
        Seed of the principal components and of t-SNE.

    Returns
    -------
    MapPoints
        The same for the same vectors and seed on one machine.

    Notes
    -----
    Uses as much memory as `principal_components`.
    """
    uses_tsne = _MIN_TSNE_IMAGES <= len(store) <= _MAX_TSNE_IMAGES
    components = principal_components(store, _N_COMPONENTS if uses_tsne else 2, seed)
    points = _tsne(components, seed) if uses_tsne else components
    return MapPoints.fitted(points.astype(np.float64))


def _tsne(components: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Return positions of some principal components, (n, 2)."""
    from sklearn.manifold import TSNE  # takes a second to import
    from threadpoolctl import threadpool_limits

    spread = components[:, 0].std()
    if spread == 0:  # all pictures are the same
        return components[:, :2]
    start = components[:, :2] / spread * 1e-4  # the scale that the authors of t-SNE use
    perplexity = min(_PERPLEXITY, (len(components) - 1) / 3)
    layout = TSNE(init=start, perplexity=perplexity, max_iter=_TSNE_STEPS, random_state=seed)
    with threadpool_limits(1):  # sums of several threads differ from run to run
        return np.asarray(layout.fit_transform(components), np.float32)


def update_map(old: Snapshot, table: TopKTable, old_rows: Rows, folder: Path) -> bool:
    """Keep the positions of the old pictures, and place each new one between its neighbours.

    Parameters
    ----------
    old : Snapshot
        Snapshot before the change.
    table : TopKTable
        Nearest neighbours in the changed collection.
    old_rows : ndarray of shape (n,), int64
        For each row, its row in the old snapshot, or -1 for a new picture.
    folder : Path
        Folder to write map.npy to.

    Returns
    -------
    is_updated : bool
        False if there is no old map, or a new picture has no neighbour on it. Then no file is
        written.
    """
    if old.map_points is None:
        return False
    is_old = old_rows >= 0
    points = np.zeros((len(old_rows), 2), np.float32)
    points[is_old] = old.map_points.xy[old_rows[is_old]]
    for row in np.flatnonzero(~is_old):
        near = np.flatnonzero(is_old[table.rows[row]])[:_N_NEIGHBOURS]
        if len(near) == 0:
            return False
        weights = np.clip(table.scores[row][near], 1e-3, 1) ** _EXPONENT
        points[row] = np.average(points[table.rows[row][near]], axis=0, weights=weights)
    MapPoints(points).save(folder)
    return True
