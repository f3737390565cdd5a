"""Clusters: the group of each picture, and how the groups were found (clusters.json)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from index.arrays import Labels, Rows, Scores
from index.durable import replace_text
from index.errors import CorruptSnapshot, InvalidClusters, NewerSchema, UnknownCluster
from index.schema1 import upgraded_clusters

SCHEMA = 2
FIXED = "fixed"  # `rule` if the user set the number of groups
_REMEDY = "run `bin/lookalike cluster` again"


@dataclass(frozen=True, eq=False)
class Clusters:
    """Groups of the pictures of a collection, the largest first.

    Attributes
    ----------
    labels : ndarray of shape (n,), int32
        Group of every row, 0 to n_clusters - 1. 0 is the largest group. Among groups of equal size,
        the one whose medoid has the lower row comes first.
    medoids : ndarray of shape (n_clusters,), int64
        Row of each group's medoid, which belongs to the group.
    scores : ndarray of shape (n,), float32
        Cosine similarity of every row with the medoid of its group, [-1, 1].
    loss : float
        Sum over all rows of the dissimilarity (1 - cosine) to the medoid of the group.
    wce : tuple of (int, float)
        Number of groups and within-cluster error, for each number in the sweep, rising. Empty
        without a sweep.
    wce_method : str or None
        "kmedoids" or "pyclustering" (`wce` is a loss as above), "kmeans" (a sum of squared
        Euclidean distances to the mean of the cluster), or None without a sweep.
    rule : str
        How the number of groups was chosen, with the source of the method. "fixed" if the user set
        it.
    elbow_clear : bool or None
        Whether the curve has a clear elbow; None without a sweep.
    knee_strength : float or None
        How much faster the error falls before the elbow than after it: 1 for a smooth curve, 1.25
        or more for a clear elbow. None without a sweep.
    algorithm : str
        "fasterpam" or "pyclustering".
    seed : int
    seconds : float
        Duration of the sweep and the grouping.
    n_sampled : int or None
        Number of pictures in each sample if the collection was too large for a full dissimilarity
        matrix. `wce` is then the error of the first sample. None if all pictures were used.
    quality : mapping of str to float or None
        "medoid_silhouette" (None with one group) and, with known classes, "purity", "nmi", "ari".
    """

    labels: Labels
    medoids: Rows
    scores: Scores
    loss: float
    algorithm: str
    seed: int
    seconds: float
    wce: tuple[tuple[int, float], ...] = ()
    wce_method: str | None = None
    rule: str = FIXED
    elbow_clear: bool | None = None
    knee_strength: float | None = None
    n_sampled: int | None = None
    quality: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self.labels, self.medoids, self.scores)

    @classmethod
    def numbered(
        cls,
        labels: Labels,
        medoids: Rows,
        scores: Scores,
        **rest: Any,
    ) -> Self:
        """Return groups numbered by falling size, and equal sizes by rising medoid.

        Parameters
        ----------
        labels, medoids, scores : ndarrays
            As the attributes, but with the groups in any order.
        **rest
            The other attributes.

        Raises
        ------
        InvalidClusters
            If the three arrays contradict each other.
        """
        _check(labels, medoids, scores)
        sizes = np.bincount(labels, minlength=len(medoids))
        order = np.lexsort((medoids, -sizes))
        new_label = np.empty(len(order), np.int32)
        new_label[order] = np.arange(len(order))
        return cls(new_label[labels], medoids[order], scores, **rest)

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self.medoids)

    @property
    def n_images(self) -> int:
        """Number of pictures in all groups together."""
        return len(self.labels)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of pictures in each group, (n_clusters,) int64, falling."""
        return np.bincount(self.labels, minlength=len(self))

    def members(self, label: int) -> Rows:
        """Return the rows of a group: its medoid, then the others by falling score.

        Equal scores come lower row first.

        Raises
        ------
        UnknownCluster
            If there is no such group.
        """
        if not 0 <= label < len(self):
            raise UnknownCluster(f"there is no group {label}: the groups are 0 to {len(self) - 1}")
        rows = np.flatnonzero(self.labels == label)
        is_other = rows != self.medoids[label]
        return rows[np.lexsort((rows, -self.scores[rows], is_other))]

    def save(self, path: Path) -> None:
        """Write clusters.json atomically and durably."""
        replace_text(path, json.dumps(self._as_dict(), separators=(",", ":"), allow_nan=False))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read clusters.json.

        Raises
        ------
        CorruptSnapshot
            If it is missing or damaged, or its values contradict each other.
        NewerSchema
            If a later version of Lookalike wrote it.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            _check_schema(found, path)
            found = upgraded_clusters(found)
            clusters = cls(**_arguments(found))
            _check_counts(clusters, found)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CorruptSnapshot(f"{path.name} cannot be used: {error}; {_REMEDY}") from error
        return clusters

    def _as_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "n_images": self.n_images,
            "n_clusters": len(self),
            "algorithm": self.algorithm,
            "rule": self.rule,
            "elbow_clear": self.elbow_clear,
            "knee_strength": self.knee_strength,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "n_sampled": self.n_sampled,
            "loss": self.loss,
            "quality": dict(self.quality),
            "wce_method": self.wce_method,
            "wce": [{"n_clusters": n_clusters, "wce": wce} for n_clusters, wce in self.wce],
            "medoids": self.medoids.tolist(),
            "sizes": self.sizes.tolist(),
            "labels": self.labels.tolist(),
            # Via text, to get the shortest decimals that read back as the same float32.
            "scores": self.scores.astype("U").astype(np.float64).tolist(),
        }


def group_name(label: int, n_clusters: int) -> str:
    """Return the name of a group, such as "group-007". Names sort in the order of labels."""
    digits = max(3, len(str(n_clusters - 1)))
    return f"group-{label:0{digits}}"


def k_groups(clusters: Clusters) -> list[list[Any]]:
    """Return the groups in the format of the original's k_groups.json.

    Returns
    -------
    [medoids, groups] : list
        Row numbers. `medoids` has length n_clusters. `groups` has one list for each group, with
        its medoid first and then the others by falling score.
    """
    groups = [clusters.members(label).tolist() for label in range(len(clusters))]
    return [clusters.medoids.tolist(), groups]


def _check(labels: Labels, medoids: Rows, scores: Scores) -> None:
    n, n_clusters = len(labels), len(medoids)
    if labels.shape != (n,) or scores.shape != (n,) or medoids.shape != (n_clusters,):
        raise InvalidClusters(
            f"labels {labels.shape}, scores {scores.shape}, medoids {medoids.shape}: "
            "each picture needs one label and one score"
        )
    if not 1 <= n_clusters <= n:
        raise InvalidClusters(f"{n_clusters} groups of {n} pictures: there must be 1 to {n}")
    if labels.min() < 0 or labels.max() >= n_clusters:
        raise InvalidClusters(
            f"labels are {labels.min()} to {labels.max()}, but there are {n_clusters} groups"
        )
    if medoids.min() < 0 or medoids.max() >= n:
        raise InvalidClusters(
            f"medoids are rows {medoids.min()} to {medoids.max()}, but the last row is {n - 1}"
        )
    misplaced = np.flatnonzero(labels[medoids] != np.arange(n_clusters))
    if len(misplaced):
        label = int(misplaced[0])
        raise InvalidClusters(
            f"the medoid of group {label}, row {medoids[label]}, "
            f"is in group {labels[medoids[label]]}"
        )
    if not np.isfinite(scores).all():
        raise InvalidClusters("a score is not a finite number")


def _check_schema(found: dict[str, Any], path: Path) -> None:
    if found["schema"] > SCHEMA:
        raise NewerSchema(
            f"{path.name} has schema {found['schema']}, this version reads up to {SCHEMA}: "
            f"update Lookalike, or {_REMEDY}"
        )


def _arguments(found: dict[str, Any]) -> dict[str, Any]:
    """Return the constructor's arguments for the parsed file."""
    arguments = {f.name: found[f.name] for f in fields(Clusters)}
    arguments["labels"] = _integers(found, "labels", np.int32)
    arguments["medoids"] = _integers(found, "medoids", np.int64)
    arguments["scores"] = np.array(found["scores"], np.float32)
    arguments["wce"] = tuple((int(at["n_clusters"]), float(at["wce"])) for at in found["wce"])
    return arguments


def _integers(found: dict[str, Any], name: str, dtype: type) -> NDArray[Any]:
    """Return a list of whole numbers as an array. NumPy alone would truncate 1.5 to 1."""
    array = np.array(found[name])
    if array.dtype.kind != "i":
        raise InvalidClusters(f"{name} must be a list of whole numbers")
    if array.size and not np.array_equal(array.astype(dtype), array):
        raise InvalidClusters(f"{name} contain a number that is too large: {array.max()}")
    return array.astype(dtype)


def _check_counts(clusters: Clusters, found: dict[str, Any]) -> None:
    if found["sizes"] != clusters.sizes.tolist():
        raise InvalidClusters("the sizes contradict the labels")
    if (found["n_images"], found["n_clusters"]) != (clusters.n_images, len(clusters)):
        raise InvalidClusters(
            f"n_images and n_clusters are {found['n_images']} and {found['n_clusters']}, but the "
            f"file lists {clusters.n_images} pictures in {len(clusters)} groups"
        )
