"""Metadata files: CSV or JSON lines, with the `path` of a picture in each line.

A CSV column holds numbers if all its values are numbers, booleans if all are `true` or `false`, and
text otherwise. "007" is text, because a number would lose the zeros. An empty cell is no value.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from indexer.errors import BadMetadata

PATH = "path"
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_DELIMITERS = (",", ";", "\t")
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+|(\.[0-9]+)?[eE][+-]?[0-9]+)")
_MAX_WHOLE = 2**63  # the largest number that a filter can compare

Metadata = dict[str, Any]
Line = tuple[int, str, Metadata]  # line number, path of a picture, and its metadata


@dataclass(frozen=True)
class MetadataFile:
    """The content of a metadata file.

    Attributes
    ----------
    file : Path
        Absolute.
    sha256 : str
        Of its bytes, hex.
    """

    file: Path
    sha256: str
    _by_path: dict[str, Metadata]

    @classmethod
    def read(cls, file: Path) -> MetadataFile:
        """Read a CSV file with a header, or a file with one JSON object a line.

        Parameters
        ----------
        file : Path
            JSON lines if its name ends in .jsonl, .ndjson or .json or it begins with "{". CSV with
            commas, semicolons or tabs otherwise. UTF-8, with or without a byte order mark.

        Raises
        ------
        BadMetadata
            If it cannot be read; the message names the line.
        """
        try:
            data = file.read_bytes()
        except OSError as error:
            raise BadMetadata(f"{file} cannot be read: {error.strerror}.") from error
        text = _text(file, data)
        is_json = file.suffix.lower() in _JSON_SUFFIXES or text.lstrip().startswith("{")
        lines = _json_lines(file, text) if is_json else _csv_lines(file, text)
        return cls(file.resolve(), hashlib.sha256(data).hexdigest(), _by_path(file, lines))

    def __len__(self) -> int:
        return len(self._by_path)

    def lookup(self, *paths: str) -> Metadata | None:
        """Return the metadata of the first of some paths that has a line, or None."""
        return next((self._by_path[key] for key in map(_key, paths) if key in self._by_path), None)

    def unknown(self, paths: Iterator[str]) -> list[str]:
        """Return the paths of the file that are not among `paths`, in the order of its lines."""
        known = set(map(_key, paths))
        return [key for key in self._by_path if key not in known]


def _text(file: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        _refuse(file, line, "is not UTF-8. Save the file as UTF-8 (in Excel: CSV UTF-8).")


def _by_path(file: Path, lines: Iterator[Line]) -> dict[str, Metadata]:
    found: dict[str, Metadata] = {}
    numbers: dict[str, int] = {}
    for number, path, metadata in lines:
        key = _key(path)
        if not key:
            _refuse(file, number, "has no path. Add the path of a picture, or remove the line.")
        if key in found:
            _refuse(file, number, f"repeats {path!r} of line {numbers[key]}. Remove one of them.")
        found[key], numbers[key] = metadata, number
    return found


def _key(path: str) -> str:
    """Return a path in one form: Windows, macOS and Linux write the same path differently."""
    return unicodedata.normalize("NFC", path.strip().replace("\\", "/")).removeprefix("./")


def _json_lines(file: Path, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        found = _json_object(file, number, line)
        path = found.pop(PATH, "")
        if not isinstance(path, str):
            _refuse(file, number, f"has {path!r} as its path. Put the path in quotes.")
        for key, value in found.items():
            if not _is_allowed(value):
                what = "is not text, a number, a boolean or a list of these. Change or remove it."
                _refuse(file, number, f"has a value of {key!r} that {what}")
        yield number, path, {key: value for key, value in found.items() if value is not None}


def _json_object(file: Path, number: int, line: str) -> Metadata:
    try:
        found = json.loads(line)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError):  # also lone surrogates, NaN and infinity
        found = None
    if not isinstance(found, dict):
        example = '{"path": "a.jpg", "year": 2020}'
        _refuse(file, number, f"is not a JSON object. Write each line like {example}.")
    return found


def _is_allowed(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str | int | float) for one in value)
    return value is None or isinstance(value, str | int | float)


def _csv_lines(file: Path, text: str) -> Iterator[Line]:
    delimiter, names = _header(file, text)
    lines = _cells(file, text, delimiter, len(names))
    columns = zip(*(cells for _, cells in lines), strict=True)
    of_columns = [_values(column, delimiter) for column in columns]
    for place, (number, cells) in enumerate(lines):
        values = [column[place] for column in of_columns]
        found = {name: one for name, one in zip(names, values, strict=True) if one is not None}
        if "" in found:
            _refuse(file, number, "has a value in a column without a name. Name it in line 1.")
        yield number, cells[names.index(PATH)], {k: one for k, one in found.items() if k != PATH}


def _header(file: Path, text: str) -> tuple[str, list[str]]:
    """Return the delimiter and the column names; one of them is `path`."""
    first = text.split("\n", 1)[0]
    for delimiter in _DELIMITERS:
        names = [_name(cell) for cell in next(csv.reader([first], delimiter=delimiter), [])]
        if PATH in names:
            twice = next((name for name in names if name and names.count(name) > 1), None)
            if twice is not None:
                _refuse(file, 1, f"has two columns {twice!r}. Rename one of them.")
            return delimiter, names
    _refuse(file, 1, "has no column `path`. Name the columns in line 1, one of them path.")


def _name(cell: str) -> str:
    name = cell.strip()
    return PATH if name.lower() == PATH else name


def _cells(file: Path, text: str, delimiter: str, n_columns: int) -> list[tuple[int, list[str]]]:
    """Return the cells of each line with its number, without the header and empty lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found: list[tuple[int, list[str]]] = []
    number = 1
    try:
        next(reader)
        number = reader.line_num + 1
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                _check_length(file, number, stripped, n_columns)
                found.append((number, stripped))
            number = reader.line_num + 1
    except csv.Error as error:
        _refuse(file, number, f"is not CSV ({error}). Check its quotes.")
    return found


def _check_length(file: Path, number: int, cells: list[str], n_columns: int) -> None:
    if len(cells) != n_columns:
        what = f"has {len(cells)} values for {n_columns} columns"
        _refuse(file, number, f"{what}. Put values that contain a delimiter in quotes.")


def _values(cells: tuple[str, ...], delimiter: str) -> list[Any]:
    """Return the values of a column; None for an empty cell."""
    convert = _conversion([cell for cell in cells if cell], delimiter)
    return [convert(cell) if cell else None for cell in cells]


def _conversion(given: list[str], delimiter: str) -> Callable[[str], Any]:
    """Return the function that turns the cells of a column into its values."""
    if all(cell.lower() in ("true", "false") for cell in given):
        return lambda cell: cell.lower() == "true"
    if all(map(_is_number, given)):
        return _number
    # If Excel separates values by semicolons, it writes 3,5 for 3.5.
    has_points = any("." in cell for cell in given)
    if delimiter == ";" and not has_points and all(_is_number(_pointed(c)) for c in given):
        return lambda cell: _number(_pointed(cell))
    return str


def _pointed(cell: str) -> str:
    return cell.replace(",", ".")


def _is_number(cell: str) -> bool:
    if _WHOLE.fullmatch(cell):
        return -_MAX_WHOLE <= int(cell) < _MAX_WHOLE
    return _DECIMAL.fullmatch(cell) is not None and math.isfinite(float(cell))


def _number(cell: str) -> int | float:
    return int(cell) if _WHOLE.fullmatch(cell) else float(cell)


def _refuse(file: Path, line: int, what: str) -> NoReturn:
    raise BadMetadata(f"{file}: line {line} {what}")
