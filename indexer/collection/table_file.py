r"""Tables that users supply, with metadata or labels: CSV or JSON lines, with one path per line.

Spreadsheets, databases and scripts on every system write such files, so all common forms are
accepted:

- commas, semicolons or tabs as delimiters;
- line ends of Windows, Unix and old Macs;
- UTF-8, UTF-16 and UTF-32;
- `Path` or `path`;
- `sub\a.jpg`, `./sub/a.jpg` or `sub/a.jpg`.

If a line cannot be used, an error names the line.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from index.text import normal_form, quoted
from indexer.errors import BadTable

PATH = "path"
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_DELIMITERS = (",", ";", "\t")
_LINE_END = re.compile(r"\r\n|\r|\n")
_EXCEL_HINT = re.compile(r'"?sep=(.)"?(\r\n|\r|\n)')  # a first line that Excel understands
_ENCODINGS = (  # by byte order mark; UTF-32 first, because its mark starts with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes
    ----------
    number : int
        Number of the line in the file, from 1.
    path : str
        Path in the file, with "/" and without "./" at the start.
    values : dict
        Other values that are not empty, by column name: strings in CSV, JSON values in JSON lines.
    """

    number: int
    path: str
    values: dict[str, Any]


class Table:
    """The lines of a table, found by the path of a picture.

    Parameters
    ----------
    file : Path
    sha256 : str
        Hex SHA-256 of its bytes.
    names : sequence of str
        Names of the columns except the path, in order.
    lines : iterable of Line
    delimiter : str or None
        Delimiter of a CSV file; None for JSON lines.

    Raises
    ------
    BadTable
        If two lines have the same path.
    """

    def __init__(
        self,
        file: Path,
        sha256: str,
        names: Sequence[str],
        lines: Iterable[Line],
        delimiter: str | None = None,
    ) -> None:
        self.file, self.sha256, self.names, self.delimiter = file, sha256, tuple(names), delimiter
        self._by_path: dict[str, Line] = {}
        self._by_form: dict[str, Line] = {}
        for line in lines:
            self._add(line)

    @classmethod
    def read(cls, file: Path) -> Table:
        """Read a CSV file with a header, or a file with one JSON object per line.

        Parameters
        ----------
        file : Path
            JSON lines if the name ends in .jsonl, .ndjson or .json, or the content starts with "{".
            Otherwise CSV. UTF-8, or UTF-16 or UTF-32 with a byte order mark.

        Raises
        ------
        BadTable
            If it cannot be read; the message names the line.
        """
        try:
            data = file.read_bytes()
        except OSError as error:
            raise BadTable(f"{file} cannot be read: {error.strerror}.") from error
        text = _text(file, data)
        sha256 = hashlib.sha256(data).hexdigest()
        if file.suffix.lower() in _JSON_SUFFIXES or text.lstrip().startswith("{"):
            lines = list(_json_lines(file, text))
            names = dict.fromkeys(name for line in lines for name in line.values)
            return cls(file, sha256, list(names), lines)
        delimiter, columns, cells = _csv(file, text)
        names_ = [name for name in columns if name not in (PATH, "")]
        return cls(file, sha256, names_, _csv_lines(file, columns, cells), delimiter)

    def __iter__(self) -> Iterator[Line]:
        return iter(self._by_path.values())

    def __len__(self) -> int:
        return len(self._by_path)

    def find(self, path: str) -> Line | None:
        """Return the line of a picture, or None if there is none.

        The path is compared as it is, and then in its normal form. If only the normal form matches
        and several lines have it, the first one is returned.
        """
        plain = _plain(path)
        return self._by_path.get(plain) or self._by_form.get(normal_form(plain))

    def unknown(self, paths: Iterable[str]) -> list[str]:
        """Return the paths in the table that are not among `paths`, in the order of the lines."""
        found = {line.number for path in paths if (line := self.find(path)) is not None}
        return [line.path for line in self if line.number not in found]

    def refuse(self, number: int, what: str) -> NoReturn:
        """Raise BadTable about a line."""
        _refuse(self.file, number, what)

    def _add(self, line: Line) -> None:
        if not line.path:
            self.refuse(line.number, "has no path. Add the path of a picture, or remove the line.")
        if line.path in self._by_path:
            before = self._by_path[line.path].number
            what = f"repeats {quoted(line.path)} of line {before}. Remove one of them."
            self.refuse(line.number, what)
        self._by_path[line.path] = line
        # A folder may contain both forms of a name, so each may have a line.
        self._by_form.setdefault(normal_form(line.path), line)


def _plain(path: str) -> str:
    return path.strip().replace("\\", "/").removeprefix("./")


def _text(file: Path, data: bytes) -> str:
    encoding = next((name for mark, name in _ENCODINGS if data.startswith(mark)), "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = _line_number(data[: error.start].decode(encoding, "replace"))
        name = encoding.removesuffix("-sig").upper()
        _refuse(file, line, f"is not {name}. Save the file as UTF-8 (in Excel: CSV UTF-8).")
    if "\0" in text:
        line = _line_number(text[: text.index("\0")])
        _refuse(file, line, "is not text. Save the file as UTF-8 (in Excel: CSV UTF-8).")
    return text


def _line_number(text_before: str) -> int:
    return len(_LINE_END.findall(text_before)) + 1


def _json_lines(file: Path, text: str) -> Iterator[Line]:
    for number, written in enumerate(_LINE_END.split(text), start=1):
        if not written.strip():
            continue
        found = _json_object(file, number, written)
        keys = [key for key in found if _name(key) == PATH]
        if len(keys) > 1:
            _refuse(file, number, f"has two paths. Remove {quoted(keys[1])}.")
        path = found.pop(keys[0]) if keys else ""
        if not isinstance(path, str):
            _refuse(file, number, f"has {path!r} as its path. Put the path in quotes.")
        for key, value in found.items():
            if not _is_allowed(value):
                what = "is not text, a number, a boolean or a list of these. Change or remove it."
                _refuse(file, number, f"has a value of {quoted(key)} that {what}")
        values = {key: value for key, value in found.items() if value is not None}
        yield Line(number, _plain(path), values)


def _json_object(file: Path, number: int, written: str) -> dict[str, Any]:
    try:
        found = json.loads(written, object_pairs_hook=_unique_keys)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except _RepeatedKey as error:
        _refuse(file, number, f"has two values of {error}. Remove one of them.")
    except (ValueError, RecursionError):  # also lone surrogates, NaN and infinity
        found = None
    if not isinstance(found, dict):
        example = '{"path": "a.jpg", "year": 2020}'
        _refuse(file, number, f"is not a JSON object. Write each line like {example}.")
    return found


class _RepeatedKey(Exception):
    pass


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKey(quoted(next(name for name in names if names.count(name) > 1)))
    return found


def _is_allowed(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str | int | float) for one in value)
    return value is None or isinstance(value, str | int | float)


Numbered = tuple[int, list[str]]  # number of a line, and its cells


def _csv(file: Path, text: str) -> tuple[str, list[str], list[Numbered]]:
    """Return the delimiter, the column names, and the other lines that are not empty."""
    hint = _EXCEL_HINT.match(text)
    delimiters = _DELIMITERS if hint is None else (hint[1],)
    n_before = 0 if hint is None else 1
    body = text if hint is None else text[hint.end() :]
    number = n_before + 1
    for delimiter in delimiters:
        lines = _cells(file, body, delimiter, n_before)
        number, header = next(lines, (number, []))
        names = [_name(cell) for cell in header]
        if PATH in names:
            duplicate = next((name for name in names if name and names.count(name) > 1), None)
            if duplicate is not None:
                _refuse(file, number, f"has two columns {quoted(duplicate)}. Rename one of them.")
            return delimiter, names, list(lines)
    _refuse(file, number, f"has no column `path`. Name the columns in line {number}, one path.")


def _name(cell: str) -> str:
    name = cell.strip()
    return PATH if name.lower() == PATH else name


def _cells(file: Path, text: str, delimiter: str, n_before: int) -> Iterator[Numbered]:
    """Yield the number and the cells of each line that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = n_before + 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield number, stripped
            number = n_before + reader.line_num + 1
    except csv.Error as error:
        _refuse(file, number, f"is not CSV ({error}). Check its quotes.")


def _csv_lines(file: Path, names: list[str], lines: list[Numbered]) -> Iterator[Line]:
    path_column = names.index(PATH)
    for number, cells in lines:
        if len(cells) != len(names):
            n_values, n_columns = _count(len(cells), "value"), _count(len(names), "column")
            what = "Put values that contain a delimiter in quotes."
            _refuse(file, number, f"has {n_values} for {n_columns}. {what}")
        values = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
        if "" in values:
            _refuse(file, number, "has a value in a column without a name. Name it.")
        values.pop(PATH, None)
        yield Line(number, _plain(cells[path_column]), values)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _refuse(file: Path, line: int, what: str) -> NoReturn:
    raise BadTable(f"{file}: line {line} {what}")
