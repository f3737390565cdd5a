"""Metadata files: tables of values about pictures.

A CSV column has numbers if all its values are numbers, booleans if all are `true` or `false`, and
text otherwise. "007" is text, because a number would lose the zeros. An empty cell has no value.
Values of JSON lines keep their type.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.collection.table_file import Table

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+|(\.[0-9]+)?[eE][+-]?[0-9]+)")
_MAX_WHOLE = 2**63  # the largest number that a filter can compare

Metadata = dict[str, Any]


@dataclass(frozen=True)
class MetadataFile:
    """The content of a metadata file.

    Attributes
    ----------
    file : Path
        Absolute path.
    sha256 : str
        Hex SHA-256 of its bytes.
    """

    file: Path
    sha256: str
    _table: Table
    _by_number: dict[int, Metadata]

    @classmethod
    def read(cls, file: Path) -> MetadataFile:
        """Read a metadata file; see `Table.read`.

        Raises
        ------
        BadTable
            If it cannot be read; the message names the line.
        """
        table = Table.read(file)
        values = {line.number: line.values for line in table}
        if table.delimiter is not None:
            values = _typed(table, table.delimiter)
        return cls(file.resolve(), table.sha256, table, values)

    def __len__(self) -> int:
        return len(self._table)

    def lookup(self, *paths: str) -> Metadata | None:
        """Return the metadata of the first of the paths that has a line, or None."""
        lines = (self._table.find(path) for path in paths)
        return next((self._by_number[line.number] for line in lines if line is not None), None)

    def unknown(self, paths: Iterable[str]) -> list[str]:
        """Return the paths in the file that are not among `paths`, in the order of its lines."""
        return self._table.unknown(paths)


def _typed(table: Table, delimiter: str) -> dict[int, Metadata]:
    """Return the values of each line of a CSV file, with the types of their columns."""
    found: dict[int, Metadata] = {line.number: {} for line in table}
    for name in table.names:
        given = [(line.number, line.values[name]) for line in table if name in line.values]
        convert = _conversion([cell for _, cell in given], delimiter)
        for number, cell in given:
            found[number][name] = convert(cell)
    return found


def _conversion(given: list[str], delimiter: str) -> Callable[[str], Any]:
    """Return the function that converts the cells of a column."""
    if all(cell.lower() in ("true", "false") for cell in given):
        return lambda cell: cell.lower() == "true"
    if all(map(_is_number, given)):
        return _number
    # If Excel separates values by semicolons, it writes 3,5 for 3.5.
    has_points = any("." in cell for cell in given)
    if delimiter == ";" and not has_points and all(_is_number(_with_point(c)) for c in given):
        return lambda cell: _number(_with_point(cell))
    return str


def _with_point(cell: str) -> str:
    """Replace a decimal comma by a decimal point."""
    return cell.replace(",", ".")


def _is_number(cell: str) -> bool:
    if _WHOLE.fullmatch(cell):
        return -_MAX_WHOLE <= int(cell) < _MAX_WHOLE
    return _DECIMAL.fullmatch(cell) is not None and math.isfinite(float(cell))


def _number(cell: str) -> int | float:
    return int(cell) if _WHOLE.fullmatch(cell) else float(cell)
