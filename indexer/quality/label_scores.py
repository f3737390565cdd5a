"""Evaluation of nearest neighbours against labels.

Precision at k, R-precision and mean average precision as in Manning, Raghavan and Schuetze,
"Introduction to Information Retrieval" (2008), chapter 8.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.arrays import Rows, Vectors
from index.snapshot import Snapshot
from indexer.errors import BadLabels

N_NEAREST = 10
BLOCK = 512  # queries ranked together


@dataclass(frozen=True)
class Quality:
    """Means over all queries. Each labelled picture is a query among the other labelled ones.

    Attributes
    ----------
    n_queries : int
        Number of labelled pictures that share their label with at least one other.
    p_at_1, p_at_10, r_precision, mean_average_precision : float
        In [0, 1].
    chance : float
        Precision of a random order, at any rank.
    """

    n_queries: int
    p_at_1: float
    p_at_10: float
    r_precision: float
    mean_average_precision: float
    chance: float


@dataclass(frozen=True)
class ClassQuality:
    """Means over the queries of one label.

    Attributes
    ----------
    label : str
    n_queries : int
    p_at_1, p_at_10, r_precision, mean_average_precision : float
        In [0, 1].
    mistaken_for : str or None
        The most frequent wrong label among the ten nearest neighbours of its queries.
    """

    label: str
    n_queries: int
    p_at_1: float
    p_at_10: float
    r_precision: float
    mean_average_precision: float
    mistaken_for: str | None


@dataclass(frozen=True)
class Rankings:
    """The measures of each query.

    Attributes
    ----------
    names : list of str
        Labels, by their numbers.
    codes : ndarray of shape (n,), int64
        Label number of each labelled picture.
    queries : ndarray of shape (n_queries,), int64
        Positions of the queries among the labelled pictures.
    nearest : ndarray of shape (n_queries, k), int64
        Positions of the k = min(10, n - 1) nearest neighbours, best first.
    p_at_1, p_at_10, r_precision, average_precision, chance : ndarray of shape (n_queries,), float64
    """

    names: list[str]
    codes: NDArray[np.int64]
    queries: Rows
    nearest: Rows
    p_at_1: NDArray[np.float64]
    p_at_10: NDArray[np.float64]
    r_precision: NDArray[np.float64]
    average_precision: NDArray[np.float64]
    chance: NDArray[np.float64]

    def quality(self) -> Quality:
        """Return the means over all queries."""
        return Quality(
            n_queries=len(self.queries),
            p_at_1=float(self.p_at_1.mean()),
            p_at_10=float(self.p_at_10.mean()),
            r_precision=float(self.r_precision.mean()),
            mean_average_precision=float(self.average_precision.mean()),
            chance=float(self.chance.mean()),
        )

    def per_class(self) -> list[ClassQuality]:
        """Return the means over the queries of each label, the lowest average precision first."""
        labels = np.unique(self.codes[self.queries]).tolist()
        found = [self._of_class(label) for label in labels]
        return sorted(found, key=lambda one: one.mean_average_precision)

    def worst(self, n: int) -> Rows:
        """Return the indices of the n worst queries, by P@10 and then by average precision."""
        return np.lexsort((self.average_precision, self.p_at_10))[:n]

    def _of_class(self, label: int) -> ClassQuality:
        mine = self.codes[self.queries] == label
        others = Counter(self.codes[self.nearest[mine]].ravel().tolist())
        del others[label]
        return ClassQuality(
            label=self.names[label],
            n_queries=int(mine.sum()),
            p_at_1=float(self.p_at_1[mine].mean()),
            p_at_10=float(self.p_at_10[mine].mean()),
            r_precision=float(self.r_precision[mine].mean()),
            mean_average_precision=float(self.average_precision[mine].mean()),
            mistaken_for=self.names[others.most_common(1)[0][0]] if others else None,
        )


def labels_of(snapshot: Snapshot, source: str, column: str | None = None) -> dict[int, str]:
    """Return the label of each labelled row.

    Parameters
    ----------
    snapshot : Snapshot
    source : str
        "folders" to use the folder of each picture as its label. Otherwise the path of a CSV file
        with a column "path" (as in the catalogue).
    column : str, optional
        Column of the CSV file with the labels. Default: the first one that is not "path".

    Raises
    ------
    BadLabels
        If the file cannot be used, or labels no picture of the collection.
    """
    if source == "folders":
        return {r.row: str(PurePosixPath(r.path).parent) for r in snapshot.catalogue}
    by_path = read_labels(Path(source), column)
    labels = {r.row: by_path[r.path] for r in snapshot.catalogue if r.path in by_path}
    if not labels:
        raise BadLabels(
            f"{source} labels none of the pictures. Its column `path` must be relative to "
            f"{snapshot.image_root}."
        )
    return labels


def read_labels(path: Path, column: str | None = None) -> dict[str, str]:
    """Return the labels of a CSV file by path, without empty labels. See `labels_of`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = list(reader.fieldnames or [])
            chosen = column or next((name for name in names if name != "path"), None)
            if "path" not in names or chosen not in names:
                wanted = chosen or "a label"
                raise BadLabels(f"{path} needs the columns `path` and `{wanted}`; it has {names}.")
            return {line["path"]: line[chosen] for line in reader if line[chosen]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadLabels(f"{path} cannot be read as a CSV file: {error}") from error


def evaluate(snapshot: Snapshot, labels: Mapping[int, str]) -> Quality:
    """Measure how often nearest neighbours share a label; see `Quality`."""
    return rank_labelled(snapshot, labels).quality()


def rank_labelled(snapshot: Snapshot, labels: Mapping[int, str]) -> Rankings:
    """Rank the labelled pictures for each of them. Positions are in the order of rows."""
    rows = np.array(sorted(labels))
    names, codes = np.unique([labels[row] for row in rows.tolist()], return_inverse=True)
    return rankings(snapshot.store.vectors(rows), codes, names.tolist())


def rankings(
    vectors: Vectors, codes: NDArray[np.int64], names: list[str] | None = None
) -> Rankings:
    """Rank the labelled pictures for each query.

    Parameters
    ----------
    vectors : ndarray of shape (n, dim), float32
        Unit rows.
    codes : ndarray of shape (n,), int64
        Label numbers.
    names : list of str, optional
        Labels. Default: their numbers.

    Returns
    -------
    Rankings
        A picture with a unique label is not a query, but may be a neighbour. A query is never its
        own neighbour.

    Raises
    ------
    BadLabels
        If no label is shared.
    """
    shared = np.bincount(codes)[codes] > 1
    queries = np.flatnonzero(shared)
    if len(queries) == 0:
        raise BadLabels("No two labelled pictures share a label, so nothing can be measured.")
    parts = zip(*_measured(vectors, codes, queries), strict=True)
    names = names or [str(code) for code in range(int(codes.max()) + 1)]
    return Rankings(names, codes, queries, *(np.concatenate(part) for part in parts))


def _measured(
    vectors: Vectors, codes: NDArray[np.int64], queries: Rows
) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield the arrays of `Rankings`, from `nearest` on, for each block of queries."""
    n = len(vectors)
    ranks = np.arange(1, n)
    k = min(N_NEAREST, n - 1)
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        lines = np.arange(len(block))
        scores = vectors[block] @ vectors.T
        scores[lines, block] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, : n - 1]
        relevant = codes[order] == codes[block, None]
        n_relevant = relevant.sum(axis=1)
        precision = relevant.cumsum(axis=1) / ranks
        yield (
            order[:, :k],
            precision[:, 0],
            precision[:, k - 1],
            precision[lines, n_relevant - 1],
            (precision * relevant).sum(axis=1) / n_relevant,
            n_relevant / (n - 1),
        )
