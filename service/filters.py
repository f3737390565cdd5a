"""Filters: which pictures a condition on group, path, size or metadata lets through. No Flask."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.artefacts.clusters import Clusters
from index.catalogue import Catalogue
from index.snapshot import Snapshot
from service.api.schemas import Condition, Filter, Range
from service.errors import InvalidRequest

METADATA = "metadata."  # before the user's own keys, so that none of them hides one of ours
_OWN_KEYS = ("cluster", "path", "width", "height")
_MOST_NAMED = 20  # keys in the sentence about an unknown one

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass
class _Column:
    """The values of one key: `codes[i]` says which of `values` the picture of `rows[i]` has."""

    values: dict[tuple[type, Any], int] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    def add(self, row: int, value: Any) -> None:
        # With its type: for Python 1, 1.0 and True are one key of a dictionary.
        self.rows.append(row)
        self.codes.append(self.values.setdefault((type(value), value), len(self.values)))

    def rows_where(self, holds: Callable[[Any], bool]) -> Rows:
        is_wanted = np.array([holds(value) for _, value in self.values], bool)
        return np.array(self.rows, np.int64)[is_wanted[np.array(self.codes, np.int64)]]


class Metadata:
    """What the user said of the pictures of one snapshot, by key.

    Of a list every element counts as a value of its own; what is neither text, number nor truth
    value has no value that could be asked for.

    Parameters
    ----------
    entries : iterable of (int, dict)
        Rows, and what was said of each.
    """

    def __init__(self, entries: Iterable[tuple[int, dict[str, Any]]]) -> None:
        self._columns: dict[str, _Column] = {}
        for row, said in entries:
            for key, value in said.items():
                column = self._columns.setdefault(key, _Column())
                for one in value if isinstance(value, list) else [value]:
                    if isinstance(one, str | int | float):
                        column.add(row, one)

    @property
    def keys(self) -> list[str]:
        """The keys that there are, in the order of the alphabet."""
        return sorted(self._columns)

    def rows_where(self, key: str, holds: Callable[[Any], bool]) -> Rows:
        """Return the rows with a value of a key of which something holds; KeyError without it."""
        return self._columns[key].rows_where(holds)


def passing_rows(snapshot: Snapshot, metadata: Metadata, wanted: Filter) -> Rows:
    """Return the rows of the pictures that pass a filter.

    Parameters
    ----------
    snapshot : Snapshot
    metadata : Metadata
        Of the same snapshot.
    wanted : Filter
        All of `must`, at least one of `should` (if there are any), none of `must_not`.

    Returns
    -------
    rows : ndarray of shape (m,), int64
        Rising.

    Raises
    ------
    InvalidRequest
        If a condition names a key that there is not, or asks something else of it than it can be
        asked.
    """

    def masks(conditions: Iterable[Condition]) -> list[Mask]:
        return [_mask(snapshot, metadata, condition) for condition in conditions]

    passes = np.ones(len(snapshot), bool)
    for mask in masks(wanted.must):
        passes &= mask
    for mask in masks(wanted.must_not):
        passes &= ~mask
    if wanted.should:
        passes &= np.logical_or.reduce(masks(wanted.should))
    return np.flatnonzero(passes)


def _mask(snapshot: Snapshot, metadata: Metadata, condition: Condition) -> Mask:
    mask = np.zeros(len(snapshot), bool)
    mask[_rows(snapshot, metadata, condition)] = True
    return mask


def _rows(snapshot: Snapshot, metadata: Metadata, condition: Condition) -> Rows | list[int]:
    key = condition.key
    if key == "path":
        return _rows_of_path(snapshot.catalogue, condition)
    if key == "cluster":
        return _rows_of_clusters(snapshot.clusters, condition)
    if key == "width":
        return snapshot.catalogue.rows_between("width", *_bounds(condition))
    if key == "height":
        return snapshot.catalogue.rows_between("height", *_bounds(condition))
    name = key.removeprefix(METADATA)
    if name == key or name not in metadata.keys:
        raise _unknown_key(key, metadata)
    return metadata.rows_where(name, _claim(condition))


def _rows_of_path(catalogue: Catalogue, condition: Condition) -> list[int]:
    if condition.match is None or not isinstance(condition.match.value, str):
        raise _invalid("path can only be matched, with the text that it begins with")
    return catalogue.rows_under(condition.match.value)


def _rows_of_clusters(clusters: Clusters | None, condition: Condition) -> Rows:
    if clusters is None:
        raise _invalid("there is no cluster to ask for: no groups have been made yet")
    least, most = _bounds(condition)
    return np.flatnonzero((clusters.labels >= least) & (clusters.labels <= most))


def _bounds(condition: Condition) -> tuple[float, float]:
    """Return the least and the largest number that a condition lets through, both counted in."""
    if condition.range is not None:
        return _range(condition.range)
    value = condition.match and condition.match.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid(f"{condition.key} is a number, not {value!r}")
    return value, value


def _range(bounds: Range) -> tuple[float, float]:
    least = -np.inf if bounds.gte is None else bounds.gte
    return least, np.inf if bounds.lte is None else bounds.lte


def _claim(condition: Condition) -> Callable[[Any], bool]:
    """Return what a condition says of one value of the user's."""
    if condition.match is not None:
        value = condition.match.value
        return lambda one: _is_number(one) == _is_number(value) and one == value
    least, most = _range(condition.range or Range())
    return lambda one: _is_number(one) and least <= one <= most


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unknown_key(key: str, metadata: Metadata) -> InvalidRequest:
    keys = [*_OWN_KEYS, *(METADATA + name for name in metadata.keys)]
    more = f" and {len(keys) - _MOST_NAMED} more" if len(keys) > _MOST_NAMED else ""
    return _invalid(f"there is no key {key!r}; there are {', '.join(keys[:_MOST_NAMED])}{more}")


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest([("filter", message)])
