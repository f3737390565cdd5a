"""Evaluation of nearest neighbours against labels.

Precision at k, R-precision and mean average precision as in Manning, Raghavan and Schuetze,
"Introduction to Information Retrieval" (2008), chapter 8.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.arrays import Rows, Vectors
from index.snapshot import Snapshot
from index.text import normal_form, quoted
from indexer.collection.table_file import Table
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


def labels_of(
    snapshot: Snapshot,
    source: str,
    column: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[int, str]:
    """Return the label of each labelled row.

    Parameters
    ----------
    snapshot : Snapshot
    source : str
        "folders" to use the folder of each picture as its label. Otherwise the path of a file with
        the paths of pictures (as in the catalogue) and their labels; see `Table.read`.
    column : str, optional
        Column with the labels. Default: the first one that is not the path.
    say : callable
        Called with a message if lines of the file match no picture.

    Raises
    ------
    BadTable
        If the file cannot be read.
    BadLabels
        If it lacks the column, or labels no picture of the collection.
    """
    if source == "folders":
        return {r.row: str(PurePosixPath(r.path).parent) for r in snapshot.catalogue}
    given = LabelsFile.read(Path(source), column)
    labels = {r.row: label for r in snapshot.catalogue if (label := given.find(r.path))}
    if not labels:
        raise BadLabels(
            f"{source} labels none of the pictures. Its column `path` must be relative to "
            f"{snapshot.image_root}."
        )
    if unknown := given.table.unknown(r.path for r in snapshot.catalogue):
        lines = "line matches" if len(unknown) == 1 else "lines match"
        say(f"labels: {len(unknown):,} {lines} no picture (the first: {quoted(unknown[0])})")
    return labels


@dataclass(frozen=True)
class LabelsFile:
    """A table of pictures with a column of labels.

    Attributes
    ----------
    table : Table
    column : str
        Name of the column with the labels.
    """

    table: Table
    column: str

    @classmethod
    def read(cls, file: Path, column: str | None = None) -> LabelsFile:
        """Read a labels file; see `labels_of`.

        Raises
        ------
        BadTable, BadLabels
            As `labels_of`.
        """
        table = Table.read(file)
        chosen = _chosen(table.names, column)
        if chosen is None:
            raise BadLabels(
                f"{file} needs the columns `path` and `{column or 'a label'}`; "
                f"it has {['path', *table.names]}."
            )
        return cls(table, chosen)

    def find(self, path: str) -> str | None:
        """Return the label of a picture, or None if it has none."""
        line = self.table.find(path)
        value = None if line is None else line.values.get(self.column)
        if isinstance(value, list):
            assert line is not None
            self.table.refuse(line.number, f"has a list in {quoted(self.column)}. Give one label.")
        if value is None:
            return None
        return normal_form(value if isinstance(value, str) else json.dumps(value))


def _chosen(names: Sequence[str], column: str | None) -> str | None:
    """Return the name of a column in the file, compared without case; None if there is none."""
    if column is None or column in names:
        return column or next(iter(names), None)
    return next((name for name in names if _form(name) == _form(column)), None)


def _form(name: str) -> str:
    return normal_form(name.strip()).casefold()


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
