"""Tables that people supply: the same values in every form that a spreadsheet may write."""

from __future__ import annotations

import itertools

import pytest

from indexer.collection.metadata_file import MetadataFile
from indexer.collection.table_file import Table
from indexer.errors import BadTable
from indexer.quality.label_scores import LabelsFile

NFC, NFD = "caf\u00e9/gr\u00fcn.png", "cafe\u0301/gru\u0308n.png"
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}
LINE_ENDS = {"Unix": "\n", "Windows": "\r\n", "old Mac": "\r"}
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]
FORMS = list(itertools.product(DELIMITERS, LINE_ENDS, ENCODINGS))


def written(tmp_path, lines, delimiter=",", line_end="\n", encoding="utf-8", name="table.csv"):
    """Write lines of cells; return the file."""
    file = tmp_path / name
    text = "".join(delimiter.join(cells) + line_end for cells in lines)
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize(("delimiter", "line_end", "encoding"), FORMS)
def test_metadata_and_labels_are_read_in_every_form(tmp_path, delimiter, line_end, encoding):
    """Delimiter, line end and encoding do not matter, nor do letters in NFC for files in NFD."""
    end = LINE_ENDS[line_end]
    lines = [
        ["Path", "Species"],
        [NFC, "fox"],
        ["sub\\a.png", f'"two{end}lines, or;	so"'],
        ["./b.png", "L\u00f6we"],
    ]
    file = written(tmp_path, lines, DELIMITERS[delimiter], end, encoding)
    values = {NFD: "fox", "sub/a.png": f"two{end}lines, or;	so", "b.png": "L\u00f6we"}
    metadata, labels = MetadataFile.read(file), LabelsFile.read(file, "species")
    assert {path: metadata.lookup(path) for path in values} == {
        path: {"Species": value} for path, value in values.items()
    }
    assert {path: labels.find(path) for path in values} == values
    assert len(metadata) == 3
    assert metadata.unknown(iter(values)) == []


@pytest.mark.parametrize("line_end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_lines_are_read_in_every_form(tmp_path, line_end, encoding):
    """Labels are read from JSON lines as well; numbers and booleans are labels in JSON's words."""
    lines = [
        [f'{{"Path": "{NFD}", "x": "fox\u2028"}}'],
        ['{"x": 7, "path": "sub\\\\a.png"}'],
        ['{"path": "./b.png", "x": true}'],
        ['{"path": "c.png", "x": null}'],
    ]
    file = written(tmp_path, lines, "", line_end, encoding, "table.jsonl")
    labels, metadata = LabelsFile.read(file), MetadataFile.read(file)
    found = [labels.find(path) for path in (NFC, "sub/a.png", "b.png", "c.png", "d.png")]
    assert found == ["fox\u2028", "7", "true", None, None]
    found = [metadata.lookup(path) for path in (NFC, "sub/a.png", "b.png", "c.png", "d.png")]
    assert found == [{"x": "fox\u2028"}, {"x": 7}, {"x": True}, {}, None]


@pytest.mark.parametrize("read", [MetadataFile.read, LabelsFile.read], ids=["metadata", "labels"])
@pytest.mark.parametrize(
    ("first", "second"), [("a.png", "a.png"), ("s/a.png", "s\\a.png"), ("a.png", " ./a.png ")]
)
def test_repeated_path_is_refused_with_both_lines(tmp_path, read, first, second):
    """The same for both kinds of files: no line is silently lost."""
    file = written(tmp_path, [["path", "x"], [first, "1"], ["b.png", "2"], [second, "3"]])
    with pytest.raises(BadTable, match=r"line 4 repeats '\S+' of line 2\. Remove one of them\."):
        read(file)


def test_two_forms_of_a_name_are_two_files(tmp_path):
    """A folder may hold both, so each has its line; a third form gets the first line."""
    file = written(tmp_path, [["path", "x"], [NFD, "1"], [NFC, "2"]])
    table = Table.read(file)
    mixed = "cafe\u0301/gr\u00fcn.png"
    assert [table.find(path).values["x"] for path in (NFC, NFD, mixed)] == ["2", "1", "1"]
    assert table.unknown([NFC]) == [NFD]


def test_line_for_excel_names_the_delimiter(tmp_path):
    """`sep=` before the header is for Excel, and is no header."""
    file = written(tmp_path, [["sep=;"], ["path;x"], ["a,b.png;1,5"]], line_end="\r\n")
    assert MetadataFile.read(file).lookup("a,b.png") == {"x": 1.5}


def test_labels_keep_their_text(tmp_path):
    """A label is a name: 007 and 7 are two labels, and TRUE is what the file says."""
    file = written(tmp_path, [["path", "x"], ["a.png", "007"], ["b.png", "7"], ["c.png", "TRUE"]])
    labels = LabelsFile.read(file)
    assert [labels.find(f"{name}.png") for name in "abc"] == ["007", "7", "TRUE"]


def test_equal_labels_in_two_forms_are_one_label(tmp_path):
    """Letters with accents look the same however they are written."""
    file = written(tmp_path, [["path", "x"], ["a.png", "L\u00f6we"], ["b.png", "Lo\u0308we"]])
    labels = LabelsFile.read(file)
    assert labels.find("a.png") == labels.find("b.png") == "L\u00f6we"


def test_list_is_no_label(tmp_path):
    """The line of the picture is named."""
    file = written(tmp_path, [['{"path": "a.png", "x": ["fox"]}']], name="table.jsonl")
    with pytest.raises(BadTable, match="line 1 has a list in 'x'"):
        LabelsFile.read(file).find("a.png")
