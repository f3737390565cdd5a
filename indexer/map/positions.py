"""A map of the collection: its vectors laid out in the plane.

Small collections by t-SNE (van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 9, 2008;
Barnes-Hut: van der Maaten, JMLR 15, 2014) of their 30 leading principal components, larger ones by
the two leading ones, found by subspace iteration over blocks of rows (Halko, Martinsson and Tropp,
"Finding structure with randomness", SIAM Review 53, 2011, doi 10.1137/090771806).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.arrays import blocks
from index.artefacts.map_points import MapPoints
from index.search.store import VectorStore
from index.search.topk import TopKTable
from index.snapshot import Snapshot

MOST_FOR_TSNE = 5_000  # pictures; its time grows faster than their number, 8 s for 3,000
_FEWEST_FOR_TSNE = 20  # fewer have no neighbourhoods to keep
_N_COMPONENTS = 30  # that t-SNE starts from
_PERPLEXITY = 30.0
_TSNE_STEPS = 500
_SPARE = 10  # directions that are followed beyond those wanted
_N_PASSES = 4  # over all rows, until the directions are taken as found
_BLOCK = 1024  # rows; 16 MB
_N_NEIGHBOURS = 3  # that a new picture is placed between
_SHARPNESS = 4  # how much more the closest of them counts

Matrix = NDArray[np.float32]


def draw_map(store: VectorStore, seed: int = 0) -> MapPoints:
    """Lay out all vectors.

    Parameters
    ----------
    store : VectorStore
    seed : int
        Of the directions that the search for components begins with, and of t-SNE.

    Returns
    -------
    MapPoints
        The same for the same vectors and seed on one machine. Memory: a few blocks of rows and
        40 numbers a picture.
    """
    uses_tsne = _FEWEST_FOR_TSNE <= len(store) <= MOST_FOR_TSNE
    components = principal_components(store, _N_COMPONENTS if uses_tsne else 2, seed)
    return MapPoints.fitted(_tsne(components, seed) if uses_tsne else components)


def _tsne(components: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE  # takes a second to import
    from threadpoolctl import threadpool_limits

    spread = components[:, 0].std()
    if spread == 0:  # all pictures are the same
        return components[:, :2]
    start = components[:, :2] / spread * 1e-4  # as small as its authors have it
    perplexity = min(_PERPLEXITY, (len(components) - 1) / 3)
    layout = TSNE(init=start, perplexity=perplexity, max_iter=_TSNE_STEPS, random_state=seed)
    with threadpool_limits(1):  # sums of several threads differ from run to run
        return np.asarray(layout.fit_transform(components), np.float64)


def principal_components(store: VectorStore, n: int, seed: int = 0) -> NDArray[np.float64]:
    """Return the coordinates of all vectors along their leading principal directions.

    Parameters
    ----------
    store : VectorStore
    n : int
        How many; where the vectors have not so many, the rest is 0.
    seed : int

    Returns
    -------
    ndarray of shape (len(store), n), float64
        The direction with the largest variance first, each with the sign that makes the largest
        coordinate positive.
    """
    mean = _mean(store)
    rng = np.random.default_rng(seed)
    width = min(n + _SPARE, store.dim)
    basis = rng.standard_normal((store.dim, width)).astype(np.float32)
    for _ in range(_N_PASSES):
        basis = np.linalg.qr(_covariance_times(store, mean, basis))[0]
    coordinates = np.concatenate([block @ basis for block in _centred(store, mean)])
    _, turn = np.linalg.eigh(coordinates.T.astype(np.float64) @ coordinates)
    found = coordinates @ turn[:, ::-1][:, :n]
    found *= np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])])
    return np.pad(found, ((0, 0), (0, n - found.shape[1])))


def _mean(store: VectorStore) -> Matrix:
    total = np.zeros(store.dim)
    for vectors in _blocks(store):
        total += vectors.sum(axis=0, dtype=np.float64)
    return (total / len(store)).astype(np.float32)


def _covariance_times(store: VectorStore, mean: Matrix, basis: Matrix) -> Matrix:
    product = np.zeros_like(basis)
    for block in _centred(store, mean):
        product += block.T @ (block @ basis)
    return product


def _centred(store: VectorStore, mean: Matrix) -> Iterator[Matrix]:
    return (vectors - mean for vectors in _blocks(store))


def _blocks(store: VectorStore) -> Iterator[Matrix]:
    return (store.vectors(rows) for rows in blocks(np.arange(len(store)), _BLOCK))


def carry_map(live: Snapshot, table: TopKTable, old_rows: NDArray[np.int64], folder: Path) -> bool:
    """Keep the places of the pictures that stay, and put each new one between its neighbours.

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
        False where that cannot be: there is no map, or a new picture has no neighbour on it.
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
