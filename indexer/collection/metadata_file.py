"""What a user says of the pictures, from a CSV or a JSON-lines file with a `path` in each line.

A column of a CSV file holds numbers if all its values are numbers, truth values if all are `true`
or `false`, and else texts. "007" is a text, as a number would lose its zeros. An empty cell says
nothing.
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
_MOST_WHOLE = 2**63  # a filter can ask for no more

Said = dict[str, Any]
Line = tuple[int, str, Said]  # number in the file, path, and what is said of it


@dataclass(frozen=True)
class MetadataFile:
    """What a file says of pictures.

    Attributes
    ----------
    file : Path
        Absolute.
    sha256 : str
        Of its content, hex.
    """

    file: Path
    sha256: str
    _said: dict[str, Said]

    @classmethod
    def read(cls, file: Path) -> MetadataFile:
        """Read a CSV file with a header, or a file with one JSON object a line.

        Parameters
        ----------
        file : Path
            JSON lines if it ends in .jsonl, .ndjson or .json, or begins with "{"; else CSV, with
            commas, semicolons or tabs. UTF-8, with or without a byte order mark.

        Raises
        ------
        BadMetadata
            If it cannot be read; the sentence names the line.
        """
        try:
            data = file.read_bytes()
        except OSError as error:
            raise BadMetadata(f"{file} cannot be read: {error.strerror}") from error
        text = _text(file, data)
        is_json = file.suffix.lower() in _JSON_SUFFIXES or text.lstrip().startswith("{")
        lines = _json_lines(file, text) if is_json else _csv_lines(file, text)
        return cls(file.resolve(), hashlib.sha256(data).hexdigest(), _by_key(file, lines))

    def __len__(self) -> int:
        return len(self._said)

    def of(self, *paths: str) -> Said | None:
        """Return what is said of the first of some paths that has a line, or None."""
        return next((self._said[key] for key in map(_key, paths) if key in self._said), None)

    def unknown(self, paths: Iterator[str]) -> list[str]:
        """Return the paths of the file that are not among some, in the order of its lines."""
        known = set(map(_key, paths))
        return [key for key in self._said if key not in known]


def _text(file: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        _refuse(file, line, "is not UTF-8: save the file as UTF-8 (in Excel, as CSV UTF-8)")


def _by_key(file: Path, lines: Iterator[Line]) -> dict[str, Said]:
    said: dict[str, Said] = {}
    numbers: dict[str, int] = {}
    for number, path, one in lines:
        key = _key(path)
        if not key:
            _refuse(file, number, "has no path: give it the picture's, or remove the line")
        if key in said:
            _refuse(file, number, f"is about {path!r} as line {numbers[key]} is: leave one of them")
        said[key], numbers[key] = one, number
    return said


def _key(path: str) -> str:
    """Return what paths are compared by: Windows, macOS and Linux write the same one otherwise."""
    return unicodedata.normalize("NFC", path.strip().replace("\\", "/")).removeprefix("./")


def _json_lines(file: Path, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        said = _json_object(file, number, line)
        path = said.pop(PATH, "")
        if not isinstance(path, str):
            _refuse(file, number, f"has {path!r} for a path: put it in quotes")
        for key, value in said.items():
            if not _can_be_said(value):
                _refuse(
                    file,
                    number,
                    f"says of {key!r} what is no text, number, truth value or list of these",
                )
        yield number, path, {key: value for key, value in said.items() if value is not None}


def _json_object(file: Path, number: int, line: str) -> Said:
    try:
        said = json.loads(line)
        json.dumps(said, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError):  # also half a character, and numbers without end
        said = None
    if not isinstance(said, dict):
        _refuse(file, number, 'is not a JSON object such as {"path": "a.jpg", "year": 2020}')
    return said


def _can_be_said(value: Any) -> bool:
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
        said = {name: one for name, one in zip(names, values, strict=True) if one is not None}
        if "" in said:
            _refuse(file, number, "has a value in a column without a name: name it in line 1")
        yield number, cells[names.index(PATH)], {k: one for k, one in said.items() if k != PATH}


def _header(file: Path, text: str) -> tuple[str, list[str]]:
    """Return the delimiter with which the first line has a column `path`, and all its columns."""
    first = text.split("\n", 1)[0]
    for delimiter in _DELIMITERS:
        names = [_name(cell) for cell in next(csv.reader([first], delimiter=delimiter), [])]
        if PATH in names:
            twice = next((name for name in names if name and names.count(name) > 1), None)
            if twice is not None:
                _refuse(file, 1, f"has two columns {twice!r}: rename one of them")
            return delimiter, names
    _refuse(file, 1, "has no column `path`: name the columns there, one of them path")


def _name(cell: str) -> str:
    name = cell.strip()
    return PATH if name.lower() == PATH else name


def _cells(file: Path, text: str, delimiter: str, n_columns: int) -> list[tuple[int, list[str]]]:
    """Return the cells of each line but the first and empty ones, with the line's number."""
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
        _refuse(file, number, f"is not CSV ({error}): is a quote missing or too many?")
    return found


def _check_length(file: Path, number: int, cells: list[str], n_columns: int) -> None:
    if len(cells) != n_columns:
        what = f"has {len(cells)} values for {n_columns} columns"
        _refuse(file, number, f"{what}: put a value that holds a delimiter in quotes")


def _values(cells: tuple[str, ...], delimiter: str) -> list[Any]:
    """Return the values of a column; None for an empty cell."""
    convert = _conversion([cell for cell in cells if cell], delimiter)
    return [convert(cell) if cell else None for cell in cells]


def _conversion(given: list[str], delimiter: str) -> Callable[[str], Any]:
    """Return what turns the cells of a column into its values."""
    if all(cell.lower() in ("true", "false") for cell in given):
        return lambda cell: cell.lower() == "true"
    if all(map(_is_number, given)):
        return _number
    # Where Excel puts semicolons between values it writes 3,5 for 3.5.
    has_points = any("." in cell for cell in given)
    if delimiter == ";" and not has_points and all(_is_number(_pointed(c)) for c in given):
        return lambda cell: _number(_pointed(cell))
    return str


def _pointed(cell: str) -> str:
    return cell.replace(",", ".")


def _is_number(cell: str) -> bool:
    if _WHOLE.fullmatch(cell):
        return -_MOST_WHOLE <= int(cell) < _MOST_WHOLE
    return _DECIMAL.fullmatch(cell) is not None and math.isfinite(float(cell))


def _number(cell: str) -> int | float:
    return int(cell) if _WHOLE.fullmatch(cell) else float(cell)


def _refuse(file: Path, line: int, what: str) -> NoReturn:
    raise BadMetadata(f"{file}: line {line} {what}")
