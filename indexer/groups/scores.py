"""How good groups are: by themselves, and against known classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexerError
from indexer.groups.dissimilarity import Assignment, from_scores


class NoClasses(IndexerError, ValueError):
    """No picture has a known class, so groups cannot be compared with classes."""


def medoid_silhouette(found: Assignment) -> float | None:
    """Return how much nearer pictures are to their own medoid than to the next one.

    Parameters
    ----------
    found : Assignment
        Nearest and next medoid of every picture.

    Returns
    -------
    float or None
        Mean of 1 - own / next dissimilarity, [0, 1]: 1 where every picture lies on its medoid, 0
        where the next medoid is as near. A picture at 0 from both counts as 0. None with one
        group, where there is no next medoid.

    Notes
    -----
    Source: L. Lenssen, E. Schubert, "Clustering by Direct Optimization of the Medoid Silhouette",
    SISAP 2022, doi:10.1007/978-3-031-17849-8_15.
    """
    if np.isnan(found.next_scores).any():
        return None
    own = from_scores(found.scores.copy()).astype(np.float64)
    other = from_scores(found.next_scores.copy()).astype(np.float64)
    silhouettes = np.where(other > 0, 1 - own / np.where(other > 0, other, 1), 0.0)
    return float(silhouettes.mean())


def agreement(labels: NDArray[np.int32], classes: Sequence[str | None]) -> dict[str, float | None]:
    """Compare groups with known classes, over the pictures whose class is known.

    Parameters
    ----------
    labels : ndarray of shape (n,), int32
        Group of every picture.
    classes : sequence of str or None, of length n
        Class of every picture, None where it is not known.

    Returns
    -------
    dict
        "purity": share of pictures whose class is the most frequent one of their group (rises
        with the number of groups: 1 if every picture is its own group); "nmi": normalised mutual
        information, arithmetic mean; "ari": adjusted Rand index, 0 for groups made by chance.

    Raises
    ------
    NoClasses
        If no class is known, or there is not one entry for each picture.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    if len(classes) != len(labels):
        raise NoClasses(f"{len(classes)} classes for {len(labels)} pictures: give one per picture")
    known = [row for row, name in enumerate(classes) if name is not None]
    if not known:
        raise NoClasses(
            "No picture of the collection has a known class. Check the paths in the labels file."
        )
    truth, groups = [str(classes[row]) for row in known], labels[known]
    counts = contingency_matrix(groups, truth)  # (groups, classes)
    return {
        "purity": float(counts.max(axis=1).sum() / len(known)),
        "nmi": float(normalized_mutual_info_score(truth, groups)),
        "ari": float(adjusted_rand_score(truth, groups)),
    }
