"""Principal components of the vectors of a collection."""

from __future__ import annotations

import numpy as np

from index.arrays import Rows, Vectors
from indexer.groups.dissimilarity import VectorRows, blocks
from indexer.groups.fasterpam import one_thread

_SAMPLE = 2048  # rows that determine the directions; 32 MB at length 4096


def principal_components(
    vectors: VectorRows, n: int, seed: int = 0, rows: Rows | None = None
) -> Vectors:
    """Return the leading principal components of vectors.

    Parameters
    ----------
    vectors : VectorRows
    n : int
        Number of components.
    seed : int
        Seed of the sample that determines the directions, and of scikit-learn's PCA.
    rows : ndarray of shape (m,), int64, optional
        Rows of the vectors. Default: all.

    Returns
    -------
    ndarray of shape (m, n), float32
        The component with the largest variance comes first. If there are fewer than n components,
        the other columns are 0. The same for the same vectors and seed on one machine.

    Notes
    -----
    A sample of at most 2,048 rows determines the directions. Uses memory for three times these
    rows, and for the result.
    """
    from sklearn.decomposition import PCA  # takes a second to import

    rows = np.arange(len(vectors)) if rows is None else rows
    found = np.zeros((len(rows), n), np.float32)
    sample = np.sort(np.random.default_rng(seed).permutation(rows)[:_SAMPLE])
    n_directions = min(n, len(sample) - 1, vectors.dim)
    if n_directions == 0:
        return found
    # Sums of several threads differ from run to run. The variance of equal vectors is 0.
    with one_thread(), np.errstate(invalid="ignore", divide="ignore"):
        pca = PCA(n_directions, random_state=seed).fit(vectors.vectors(sample))
        for part in blocks(len(rows)):
            found[part, :n_directions] = pca.transform(vectors.vectors(rows[part]))
    return found
