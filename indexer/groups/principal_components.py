"""The leading principal components of a collection's vectors."""

from __future__ import annotations

import numpy as np

from index.arrays import Rows, Vectors
from indexer.groups.dissimilarity import VectorRows, blocks
from indexer.groups.fasterpam import one_thread

_N_SAMPLED = 2048  # rows that the directions are found from: 32 MB of 4,096 numbers each


def principal_components(
    vectors: VectorRows, n: int, seed: int = 0, rows: Rows | None = None
) -> Vectors:
    """Return the coordinates of vectors along their leading principal directions.

    Parameters
    ----------
    vectors : VectorRows
    n : int
        Number of directions.
    seed : int
        Of the sample that the directions are found from, and of scikit-learn's PCA.
    rows : ndarray of shape (m,), int64, optional
        Those to use; all by default.

    Returns
    -------
    ndarray of shape (m, n), float32
        The direction with the largest variance first. Where there are fewer directions than n,
        the rest is 0. The same for the same vectors and seed on one machine.

    Notes
    -----
    The directions are those of at most 2,048 rows. Memory: three times these rows, and the result.
    """
    from sklearn.decomposition import PCA  # takes a second to import

    rows = np.arange(len(vectors)) if rows is None else rows
    found = np.zeros((len(rows), n), np.float32)
    sample = np.sort(np.random.default_rng(seed).permutation(rows)[:_N_SAMPLED])
    n_directions = min(n, len(sample) - 1, vectors.dim)
    if n_directions == 0:
        return found
    # Sums of several threads differ from run to run. Of equal vectors the variance is 0.
    with one_thread(), np.errstate(invalid="ignore", divide="ignore"):
        pca = PCA(n_directions, random_state=seed).fit(vectors.vectors(sample))
        for part in blocks(len(rows)):
            found[part, :n_directions] = pca.transform(vectors.vectors(rows[part]))
    return found
