"""Filters: conditions on cluster, path, size and metadata, and the pictures that pass them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from index.arrays import Mask, Rows
from index.artefacts.clusters import Clusters
from index.catalogue import Catalogue
from index.errors import InvalidQuery
from index.search.metadata_index import MetadataIndex
from index.search.searchable import Searchable
from index.text import normal_form

METADATA = "metadata."  # prefix of the user's keys, so that no user key hides a built-in key
_BUILT_IN_KEYS = ("cluster", "path", "width", "height")
_MAX_LISTED = 20  # keys in the message about an unknown key


@dataclass(frozen=True)
class Match:
    """The value that a key must have. For a path: the prefix that it must have."""

    value: bool | int | float | str


@dataclass(frozen=True)
class Range:
    """A range of numbers, both ends included; None means no limit."""

    gte: float | None = None
    lte: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest number in the range."""
        least = -np.inf if self.gte is None else self.gte
        return least, np.inf if self.lte is None else self.lte


@dataclass(frozen=True)
class Condition:
    """What the value of a key must be.

    Attributes
    ----------
    key : str
        "cluster", "path", "width", "height", or "metadata." and a metadata key.
    test : Match or Range
    """

    key: str
    test: Match | Range


@dataclass(frozen=True)
class Filter:
    """Conditions on the pictures to return.

    Attributes
    ----------
    must, should, must_not : tuples of Condition
        All of `must` hold, at least one of `should` (if there are any), none of `must_not`.
    """

    must: tuple[Condition, ...] = ()
    should: tuple[Condition, ...] = ()
    must_not: tuple[Condition, ...] = ()


def passing_rows(searchable: Searchable, wanted: Filter) -> Rows:
    """Return the rows of the pictures that pass a filter.

    Parameters
    ----------
    searchable : Searchable
    wanted : Filter

    Returns
    -------
    rows : ndarray of shape (m,), int64
        Rising.

    Raises
    ------
    InvalidQuery
        If a condition names an unknown key, or its test does not suit the key.
    """

    def masks(conditions: Iterable[Condition]) -> list[Mask]:
        return [_mask(searchable, condition) for condition in conditions]

    passes = np.ones(len(searchable), bool)
    for mask in masks(wanted.must):
        passes &= mask
    for mask in masks(wanted.must_not):
        passes &= ~mask
    if wanted.should:
        passes &= np.logical_or.reduce(masks(wanted.should))
    return np.flatnonzero(passes)


def _mask(searchable: Searchable, condition: Condition) -> Mask:
    mask = np.zeros(len(searchable), bool)
    mask[_rows(searchable, condition)] = True
    return mask


def _rows(searchable: Searchable, condition: Condition) -> Rows | list[int]:
    key = condition.key
    if key == "path":
        return _rows_of_path(searchable.catalogue, condition)
    if key == "cluster":
        return _rows_of_clusters(searchable.clusters, condition)
    if key == "width":
        return searchable.catalogue.rows_between("width", *_ends(condition))
    if key == "height":
        return searchable.catalogue.rows_between("height", *_ends(condition))
    name = normal_form(key.removeprefix(METADATA))
    if not key.startswith(METADATA) or name not in searchable.metadata.keys:
        raise _unknown_key(key, searchable.metadata)
    return searchable.metadata.rows_where(name, _predicate(condition.test))


def _rows_of_path(catalogue: Catalogue, condition: Condition) -> list[int]:
    if not isinstance(condition.test, Match) or not isinstance(condition.test.value, str):
        raise _invalid("path needs a match with a text, the prefix of the path")
    return catalogue.rows_under(condition.test.value)


def _rows_of_clusters(clusters: Clusters | None, condition: Condition) -> Rows:
    if clusters is None:
        raise _invalid("cluster cannot be used: this collection has no groups yet")
    least, most = _ends(condition)
    return np.flatnonzero((clusters.labels >= least) & (clusters.labels <= most))


def _ends(condition: Condition) -> tuple[float, float]:
    """Return the lowest and the highest number that pass a condition."""
    if isinstance(condition.test, Range):
        least, most = condition.test.ends
        return float(least), float(most)  # SQLite cannot store an int of more than 64 bits
    value = condition.test.value
    if _is_number(value):
        return float(value), float(value)
    raise _invalid(f"{condition.key} must be a number, not {value!r}")


def _predicate(test: Match | Range) -> Callable[[Any], bool]:
    """Return a function that returns whether a metadata value passes."""
    if isinstance(test, Match):
        value = normal_form(test.value) if isinstance(test.value, str) else test.value
        return lambda one: _is_number(one) == _is_number(value) and one == value
    least, most = test.ends
    return lambda one: _is_number(one) and least <= one <= most


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unknown_key(key: str, metadata: MetadataIndex) -> InvalidQuery:
    keys = [*_BUILT_IN_KEYS, *(METADATA + name for name in metadata.keys)]
    more = f" and {len(keys) - _MAX_LISTED} more" if len(keys) > _MAX_LISTED else ""
    return _invalid(f"unknown key {key!r}: the keys are {', '.join(keys[:_MAX_LISTED])}{more}")


def _invalid(message: str) -> InvalidQuery:
    return InvalidQuery("filter", message)
