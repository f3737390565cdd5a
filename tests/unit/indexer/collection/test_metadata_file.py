"""Metadata files: what is read out of CSV and JSON lines, and how mistakes are told."""

import json

import pytest

from indexer.collection.metadata_file import MetadataFile
from indexer.errors import BadTable


def read(tmp_path, content, name="metadata.csv"):
    """Write a file and read it."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return MetadataFile.read(path)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-2", "30"], [1, -2, 30]),
        (["1", "2.5", "1e3"], [1, 2.5, 1000.0]),
        (["007", "12", "13"], ["007", "12", "13"]),
        (["1", "", "3"], [1, None, 3]),
        (["TRUE", "false", ""], [True, False, None]),
        (["true", "1", "0"], ["true", "1", "0"]),
        (["1", "n/a", "3"], ["1", "n/a", "3"]),
        (["nan", "inf", "1e999"], ["nan", "inf", "1e999"]),
        (["9223372036854775807", "1", "2"], [2**63 - 1, 1, 2]),
        (["9223372036854775808", "1", "2"], ["9223372036854775808", "1", "2"]),
        (["+1", "1.", "0x1"], ["+1", "1.", "0x1"]),
        (["1,5", "2,5", "3,5"], ["1,5", "2,5", "3,5"]),
        (["", "", ""], [None, None, None]),
        ([" red ", "two words", "é"], ["red", "two words", "é"]),
    ],
)
def test_a_column_is_what_all_its_values_are(tmp_path, cells, values):
    """Numbers and truth values only where every value is one; nothing is lost, as zeros would."""
    lines = [f'{i}.png,"{cell}"' for i, cell in enumerate(cells)]
    table = read(tmp_path, "\n".join(["path,x", *lines]))
    assert [table.lookup(f"{i}.png").get("x") for i in range(3)] == values
    assert [type(table.lookup(f"{i}.png").get("x")) for i in range(3)] == list(map(type, values))


@pytest.mark.parametrize(
    ("cells", "values"),
    [(["3,5", "-2"], [3.5, -2]), (["1.234,5", "1"], ["1.234,5", "1"]), (["1.5", "2"], [1.5, 2])],
)
def test_semicolons_come_with_decimal_commas(tmp_path, cells, values):
    """As Excel writes them in half of the world; what may be thousands stays a text."""
    table = read(tmp_path, f"path;x\na.png;{cells[0]}\nb.png;{cells[1]}\n")
    assert [table.lookup("a.png")["x"], table.lookup("b.png")["x"]] == values


def test_windows_files_are_read(tmp_path):
    """A byte order mark, Windows newlines, a large Path and backslashes do not matter."""
    content = b'\xef\xbb\xbfPath;note\r\nsub\\a.png;"two\r\nlines"\r\n;\r\n./b.png;"x;y"\r\n'
    table = read(tmp_path, content)
    assert len(table) == 2
    assert table.lookup("sub/a.png") == {"note": "two\r\nlines"}
    assert table.lookup("b.png") == {"note": "x;y"}


def test_letters_with_marks_are_the_same_however_written(tmp_path):
    """An e and its accent, as macOS writes them, are one letter elsewhere."""
    assert read(tmp_path, "path,x\ncafe\u0301.png,1\n").lookup("caf\u00e9.png") == {"x": 1}


def test_json_lines_keep_their_types(tmp_path):
    """Texts, numbers, truth values and lists as they are; null says nothing."""
    values = {"t": "007", "n": 1.5, "b": False, "l": ["a", 2], "none": None}
    table = read(tmp_path, json.dumps({"path": "a.png"} | values) + "\r\n\n", "metadata.jsonl")
    del values["none"]
    assert table.lookup("a.png") == values
    assert table.lookup("b.png") is None


def test_json_lines_are_known_by_their_first_letter(tmp_path):
    """Whatever the file is called."""
    assert read(tmp_path, '{"path": "a.png", "x": 1}', "metadata.txt").lookup("a.png") == {"x": 1}


def test_the_first_path_with_a_line_counts_and_strangers_are_listed(tmp_path):
    """A moved picture is looked up by its new path first, then by the old one."""
    table = read(tmp_path, "path,x\nnew.png,1\nold.png,2\nstray.png,3\n")
    assert table.lookup("new.png", "old.png") == {"x": 1}
    assert table.lookup("elsewhere.png", "old.png") == {"x": 2}
    assert table.unknown(iter(["old.png", "new.png"])) == ["stray.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1 has no column `path`"),
        ("name,x\na.png,1\n", "line 1 has no column `path`"),
        ("path,x,x\na.png,1,2\n", "line 1 has two columns 'x'"),
        ("Path,path\na.png,1\n", "line 1 has two columns 'path'"),
        ("path,x\na.png,1\n\nb.png,1,2\n", "line 4 has 3 values for 2 columns"),
        ("path,x\na.png,1\na.png,2\n", "line 3 repeats 'a.png' of line 2"),
        ("path,x\n,1\n", "line 2 has no path"),
        ("path,x,\na.png,1,\nb.png,1,2\n", "line 3 has a value in a column without a name"),
        ('path,x\n"a.png,1\n', "line 2 is not CSV"),
        ('path,x\na.png,"1\n2"\nb.png,"1"2\n', "line 4 is not CSV"),
        (b"path,x\na.png,\xe9\n", "line 2 is not UTF-8"),
        ("path,x\na.png,1".encode("utf-16-le"), "line 1 is not text"),
        ("path,x\ra.png,1\ra.png,2\r", "line 3 repeats 'a.png' of line 2"),
        ("path,x\ra.png,1,2\r", "line 2 has 3 values for 2 columns"),
        ('path,x\r"a.png","1\r2"\rb.png\r', "line 4 has 1 value for 2 columns"),
        (b"path,x\ra.png,\xe9\r", "line 2 is not UTF-8"),
        (b"\xff\xfep\x00a\x00t\x00h\x00\n\x00\x00\xd8", "line 2 is not UTF-16"),
        ("sep=;\r\npath;x\r\na.png;1;2\r\n", "line 3 has 3 values for 2 columns"),
        ("sep=;\npath,x\na.png,1\n", "line 2 has no column `path`"),
        ("\n\nname,x\na.png,1\n", "line 3 has no column `path`"),
        ('{"path": "a.png", "x": 1, "x": 2}\n', "line 1 has two values of 'x'"),
        ('{"path": "a.png"}\n{"path": "b.png", "Path": "c.png"}\n', "line 2 has two paths"),
        ('{"path": "a.png"}\r{"path": "a.png"}\r', "line 2 repeats 'a.png' of line 1"),
        ("path,x\na.png," + "y" * 200_000, "line 2 is not CSV"),
        ('{"path": "a.png"}\n[1]\n', "line 2 is not a JSON object"),
        ('{"path": "a.png"}\n{"path"\n', "line 2 is not a JSON object"),
        ('{"path": "a.png", "x": NaN}\n', "line 1 is not a JSON object"),
        ('{"path": "a.png", "x": 1e999}\n', "line 1 is not a JSON object"),
        ('{"path": "a.png", "x": "\\ud800"}\n', "line 1 is not a JSON object"),
        ('{"path": "a.png", "x": {"y": 1}}\n', "line 1 has a value of 'x' that is not text"),
        ('{"path": "a.png", "x": [[1]]}\n', "line 1 has a value of 'x' that is not text"),
        ('{"path": 1}\n', "line 1 has 1 as its path"),
        ('{"x": 1}\n', "line 1 has no path"),
        ("{" * 100_000, "line 1 is not a JSON object"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(tmp_path, content, message):
    """So that it can be mended at once."""
    with pytest.raises(BadTable) as error:
        read(tmp_path, content)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_file_that_is_not_there(tmp_path):
    """The sentence names it."""
    with pytest.raises(BadTable, match=r"none\.csv cannot be read: No such file"):
        MetadataFile.read(tmp_path / "none.csv")
