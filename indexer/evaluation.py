"""Evaluation of the neighbours against labels.

Precision at k, R-precision and mean average precision as in Manning, Raghavan and Schuetze,
"Introduction to Information Retrieval" (2008), chapter 8.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from index.snapshot import Snapshot
from indexer.errors import BadLabels


@dataclass(frozen=True)
class Quality:
    """Means over all labelled pictures, each a query among the others that are labelled.

    Attributes
    ----------
    n_queries : int
        Labelled pictures that share their label with at least one other.
    p_at_1, p_at_10, r_precision, mean_average_precision : float
        In [0, 1].
    chance : float
        What a random order would reach at any rank.
    """

    n_queries: int
    p_at_1: float
    p_at_10: float
    r_precision: float
    mean_average_precision: float
    chance: float


def labels_of(snapshot: Snapshot, source: str, column: str | None = None) -> dict[int, str]:
    """Return the label of each labelled row.

    Parameters
    ----------
    snapshot : Snapshot
    source : str
        "folders" for the name of each picture's folder, else the path of a CSV file with a column
        "path" (as in the catalogue).
    column : str, optional
        The CSV's column with the labels; default: the first one that is not "path".

    Raises
    ------
    BadLabels
        If the file cannot be used, or labels no picture of the collection.
    """
    if source == "folders":
        return {r.row: str(PurePosixPath(r.path).parent) for r in snapshot.catalogue}
    by_path = _read_labels(Path(source), column)
    labels = {r.row: by_path[r.path] for r in snapshot.catalogue if r.path in by_path}
    if not labels:
        raise BadLabels(
            f"{source} labels none of the pictures: its column `path` must be relative to "
            f"{snapshot.image_root}"
        )
    return labels


def _read_labels(path: Path, column: str | None) -> dict[str, str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = list(reader.fieldnames or [])
            chosen = column or next((name for name in names if name != "path"), None)
            if "path" not in names or chosen not in names:
                wanted = chosen or "a label"
                raise BadLabels(f"{path} needs the columns `path` and `{wanted}`, it has {names}")
            return {line["path"]: line[chosen] for line in reader if line[chosen]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadLabels(f"{path} cannot be read as a CSV file: {error}") from error


def evaluate(snapshot: Snapshot, labels: Mapping[int, str]) -> Quality:
    """Measure how often neighbours share a label; see `Quality`."""
    rows = np.array(sorted(labels))
    names, codes = np.unique([labels[row] for row in rows.tolist()], return_inverse=True)
    return quality_of(snapshot.store.vectors(rows), codes)


def quality_of(vectors: NDArray[np.float32], codes: NDArray[np.int64]) -> Quality:
    """Measure unit rows, (n, dim) float32, against label numbers, (n,).

    Pictures whose label nobody shares are no queries, but stay among the answers. A query's own
    row is left out by row.
    """
    n = len(vectors)
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, : n - 1]
    relevant = codes[order] == codes[:, None]
    n_relevant = relevant.sum(axis=1)
    queries = np.flatnonzero(n_relevant)
    if len(queries) == 0:
        raise BadLabels("no two labelled pictures share a label, so nothing can be measured")
    relevant, n_relevant = relevant[queries], n_relevant[queries]
    ranks = np.arange(1, n)
    precision = relevant.cumsum(axis=1) / ranks
    average = (precision * relevant).sum(axis=1) / n_relevant
    return Quality(
        n_queries=len(queries),
        p_at_1=float(precision[:, 0].mean()),
        p_at_10=float(precision[:, min(10, n - 1) - 1].mean()),
        r_precision=float(precision[np.arange(len(queries)), n_relevant - 1].mean()),
        mean_average_precision=float(average.mean()),
        chance=float((n_relevant / (n - 1)).mean()),
    )
