"""MetadataIndex: which pictures have which metadata values, by key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from index.arrays import Rows
from index.text import normal_form


@dataclass
class _Column:
    """The values of one key: the picture of `rows[i]` has the value numbered `codes[i]`."""

    values: dict[tuple[type, Any], int] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    def add(self, row: int, value: Any) -> None:
        # The type is part of the key: in a Python dict, 1, 1.0 and True are the same key.
        self.rows.append(row)
        self.codes.append(self.values.setdefault((type(value), value), len(self.values)))

    def rows_where(self, holds: Callable[[Any], bool]) -> Rows:
        is_wanted = np.array([holds(value) for _, value in self.values], bool)
        rows: Rows = np.array(self.rows, np.int64)[is_wanted[np.array(self.codes, np.int64)]]
        return rows


class MetadataIndex:
    """The metadata of a snapshot's pictures, by key.

    Each element of a list counts as a value. Only text, numbers and booleans are indexed.
    Keys and texts are in their normal form.

    Parameters
    ----------
    entries : iterable of (int, dict)
        Each row with its metadata.
    """

    def __init__(self, entries: Iterable[tuple[int, dict[str, Any]]]) -> None:
        self._columns: dict[str, _Column] = {}
        for row, metadata in entries:
            for key, value in metadata.items():
                column = self._columns.setdefault(normal_form(key), _Column())
                for one in value if isinstance(value, list) else [value]:
                    if isinstance(one, str | int | float):
                        column.add(row, normal_form(one) if isinstance(one, str) else one)

    @property
    def keys(self) -> list[str]:
        """All keys, in alphabetical order."""
        return sorted(self._columns)

    def rows_where(self, key: str, holds: Callable[[Any], bool]) -> Rows:
        """Return the rows with a value for which `holds` is true.

        Parameters
        ----------
        key : str
        holds : callable
            Called once with each distinct value of the key.

        Returns
        -------
        rows : ndarray of shape (m,), int64
            A row occurs once for each of its values that pass.

        Raises
        ------
        KeyError
            If no picture has this key.
        """
        return self._columns[key].rows_where(holds)
