"""Quality of groups: medoid silhouette, and agreement with known classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from index.arrays import Labels
from indexer.errors import IndexerError
from indexer.groups.dissimilarity import Assignment, from_scores


class NoClasses(IndexerError, ValueError):
    """No picture has a known class, so groups cannot be compared with classes."""


def medoid_silhouette(found: Assignment) -> float | None:
    """Return the medoid silhouette of groups.

    Parameters
    ----------
    found : Assignment
        Nearest and next medoid of every picture.

    Returns
    -------
    float or None
        Mean of 1 - a / b, [0, 1], where a is the dissimilarity to the own medoid and b that to the
        next one. 1 if all pictures equal their medoids, 0 if both medoids are equally near. A
        picture with b = 0 counts as 0. None with one group.

    Notes
    -----
    Source: L. Lenssen, E. Schubert, "Clustering by Direct Optimization of the Medoid Silhouette",
    SISAP 2022, doi:10.1007/978-3-031-17849-8_15.
    """
    if np.isnan(found.next_scores).any():
        return None
    a = from_scores(found.scores.copy()).astype(np.float64)
    b = from_scores(found.next_scores.copy()).astype(np.float64)
    silhouettes = np.where(b > 0, 1 - a / np.where(b > 0, b, 1), 0.0)
    return float(silhouettes.mean())


def agreement(labels: Labels, classes: Sequence[str | None]) -> dict[str, float | None]:
    """Compare groups with known classes, over the pictures whose class is known.

    Parameters
    ----------
    labels : ndarray of shape (n,), int32
        Group of every picture.
    classes : sequence of str or None, of length n
        Class of every picture, None if unknown.

    Returns
    -------
    dict of str to float
        "purity": share of pictures whose class is the most frequent one of their group. It rises
        with the number of groups, up to 1 if every picture is a group.
        "nmi": normalised mutual information, arithmetic mean.
        "ari": adjusted Rand index, 0 for random groups.

    Raises
    ------
    NoClasses
        If no class is known, or the number of classes is not n.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    if len(classes) != len(labels):
        raise NoClasses(f"{len(classes)} classes for {len(labels)} pictures: pass one for each")
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
