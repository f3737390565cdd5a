"""File names that harm a terminal, or that it cannot show: what every command prints of them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from index.text import printable
from tests.helpers.commands import plain_environment
from tests.helpers.paths import GOLDEN_ENCODER, ROOT
from tests.helpers.pictures import file_of, noise_picture, picture_bytes

# Each name as it is on the disk, and what commands show of it where the encoding has all letters.
NAMES = {
    b"red\x1b[31m.png": r"red\x1b[31m.png",
    b"line\nbreak\ttab.png": r"line\nbreak\ttab.png",
    "gnp\u202e.exe.png".encode(): r"gnp\u202e.exe.png",
    "c1\x9b31m.png".encode(): r"c1\x9b31m.png",
    b"caf\xe9 \xff.png": r"caf\xe9 \xff.png",
    "café.png".encode(): "café.png",
    "猫 🦊.png".encode(): "猫 🦊.png",
    b"del\x7f.png": r"del\x7f.png",
}
FOLDER = "Bücher \x1b[7m猫".encode()
BROKEN = b"broken\x1b[2J\n.png"
SHOWN_BROKEN = r"broken\x1b[2J\n.png"
LABEL = "Füchse\x1b[5m"
LABELS = "labels\x1b[1m.jsonl"
STRAY = "stray\x1b\n.png"

# Environment, encoding of what is printed, and encoding of file names in arguments.
LOCALES = {
    "UTF-8": ({"PYTHONUTF8": "1"}, "utf-8", "utf-8"),
    "latin-1": ({"PYTHONIOENCODING": "latin-1"}, "latin-1", "utf-8"),
    "ascii": ({"PYTHONIOENCODING": "ascii"}, "ascii", "utf-8"),
    "C": ({"LC_ALL": "C"}, "utf-8", "utf-8"),
    "C without UTF-8": (
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        "ascii",
        "ascii",
    ),
}

# Runs commands one after the other in one process, and separates what they print.
DRIVER = """
import json, os, sys
from indexer.cli import main
for arguments in json.loads(sys.argv[1]):
    try:
        main([os.fsdecode(bytes.fromhex(one)) for one in arguments])
    except SystemExit as ended:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.write(1, b"\\x00%d\\x00" % ended.code)
        os.write(2, b"\\x00")
"""


def commands(environment, encoding, *all_arguments):
    """Run commands; return the exit status, the output and the messages of each, as text.

    None of them may contain a control character other than the ends of lines.
    """
    coded = [[os.fsencode(str(one)).hex() for one in arguments] for arguments in all_arguments]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(coded)],
        cwd=ROOT,
        env={k: v for k, v in plain_environment(**environment).items() if k != "LANG"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    *outputs, rest = done.stdout.split(b"\0")
    messages = done.stderr.split(b"\0")
    assert rest == b""
    found = []
    for out, code, err in zip(outputs[::2], outputs[1::2], messages, strict=False):
        err = re.sub(rb"[^\n]*\r", b"", err).removesuffix(b"\r")  # progress bars
        texts = [each.decode(encoding) for each in (out, err)]  # strictly
        for text in texts:
            assert "Traceback" not in text
            for line in text.split("\n"):
                assert line == printable(line)
        found.append((int(code), *texts))
    assert len(found) == len(all_arguments)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Give a folder with pictures of such names, a broken one, labels, and a collection of it.

    Every two pictures are equal.
    """
    place = tmp_path_factory.mktemp("terminals")
    images = place / os.fsdecode(FOLDER)
    images.mkdir()
    for number, name in enumerate(NAMES):
        try:
            (images / os.fsdecode(name)).write_bytes(file_of(noise_picture(number // 2)))
        except OSError as error:
            pytest.skip(f"this file system refuses a name: {error}")
    (images / os.fsdecode(BROKEN)).write_bytes(picture_bytes()[:60])
    labels = {readable(name): (LABEL, "b")[i // 2 % 2] for i, name in enumerate(NAMES)}
    lines = [json.dumps({"path": path, LABEL: label}) for path, label in labels.items()]
    (place / LABELS).write_text("\n".join([*lines, json.dumps({"path": STRAY, LABEL: "b"})]))
    how = ("--encoder", GOLDEN_ENCODER / "encoder.tflite", "--clusters", 2)
    commands({}, "utf-8", ("build", images, "--data", place / "data", *how))
    return place


def readable(name):
    """Return a name as the catalogue has it."""
    return name.decode("utf-8", "backslashreplace")


@pytest.fixture(params=LOCALES.values(), ids=LOCALES)
def run(request, place, tmp_path):
    """Give a function that runs commands in a locale on a copy of the collection.

    It returns what `commands` returns. Its `shown` says how a text is shown, and its `argument` how
    a file name that was an argument is.
    """
    environment, encoding, of_arguments = request.param
    shutil.copytree(place / "data", tmp_path / "data")

    def run(*all_arguments):
        given = [(*arguments, "--data", tmp_path / "data") for arguments in all_arguments]
        return commands(environment, encoding, *given)

    def argument(name):
        return printable(name.decode(of_arguments, "surrogateescape"), encoding)

    run.shown = lambda text: printable(text, encoding)
    run.argument = argument
    return run


def ends(text):
    """Return the last column of a table."""
    return [line.split("  ")[-1] for line in text.splitlines()]


def test_results_name_every_picture(run, place):
    """Tables escape names, all in the same way; JSON is ASCII, and has the names as they are."""
    image = place / os.fsdecode(FOLDER) / os.fsdecode(next(iter(NAMES)))
    labels = ("--labels", place / LABELS)
    done = run(
        ("search", image),
        ("search", image, "--json"),
        ("duplicates",),
        ("duplicates", "--format", "csv"),
        ("duplicates", "--format", "json"),
        ("evaluate", *labels, "--per-class"),
        ("evaluate", *labels, "--json"),
        ("cluster", "--clusters", 2, *labels),
    )
    assert [code for code, _, _ in done] == [0] * 8
    found, found_json, table, lines, as_json, classes, classes_json, _ = (out for _, out, _ in done)
    shown = {run.shown(name) for name in NAMES.values()}
    paths = {readable(name) for name in NAMES}

    assert set(ends(found)) == shown
    assert {one["path"] for one in json.loads(found_json)["results"]} == paths
    assert {end for end in ends(table) if "pictures" not in end} == shown
    # In CSV, what the names have in quotes and line ends is escaped too: each line is a picture.
    assert {line["path"] for line in csv.DictReader(io.StringIO(lines))} == shown
    listed = [one["path"] for line in as_json.splitlines() for one in json.loads(line)["images"]]
    assert set(listed) == paths
    assert run.shown(r"Füchse\x1b[5m") in classes
    assert {one["label"] for one in json.loads(classes_json)["per_class"]} == {LABEL, "b"}
    assert (found_json + as_json + classes_json).isascii()
    said = r"labels: 1 line matches no picture (the first: 'stray\x1b\n.png')"
    assert [said in err for _, _, err in done[-3:]] == [True] * 3


def test_changes_name_every_picture(run, place, tmp_path):
    """Building, re-indexing, adding, removing and writing files, from and into such folders."""
    images = place / os.fsdecode(FOLDER)
    encoder = ("--encoder", GOLDEN_ENCODER / "encoder.tflite", "--clusters", 2)
    out = os.fsencode(tmp_path) + b"/out\x1b[0m\xff"
    done = run(
        ("reindex",),
        ("reindex", "--json"),
        ("add", images / os.fsdecode(BROKEN)),
        ("partition", os.fsdecode(out)),
        ("export", os.fsdecode(out) + "2"),
        ("verify",),
        ("snapshots", "list"),
        ("snapshots", "list", "--json"),
        ("build", images, *encoder),
        ("build", images, *encoder, "--strict"),
    )
    assert [code for code, _, _ in done] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert f"  {SHOWN_BROKEN}: " in done[0][2]
    assert [one["path"] for one in json.loads(done[1][1])["skipped"]] == [readable(BROKEN)]
    assert f"  {SHOWN_BROKEN}: " in done[2][2]
    written = [name for _, _, names in os.walk(out) for name in names if name.endswith(b".png")]
    assert len(written) == len(NAMES)
    assert all(any(one.endswith(name) for one in written) for name in NAMES)
    assert done[4][1] == run.shown(f"written to {tmp_path}/out\\x1b[0m\\xff2") + "\n"
    assert f"  {SHOWN_BROKEN}: " in done[8][2]
    assert f"The first is {SHOWN_BROKEN}" in done[9][2]
    ((_, out, _),) = run(("search", images / os.fsdecode(next(iter(NAMES))), "--json"))
    assert len(json.loads(out)["results"]) == len(NAMES)


def test_errors_name_what_was_wrong(run, place):
    """Whatever a command is given, its error is one printable sentence."""
    raw = "none\x1b[2J\u202e 猫".encode() + b"\xff.png"
    name, shown = os.fsdecode(raw), run.argument(raw)
    done = run(
        ("search", place / name),
        ("build", place / name),
        ("add", place / name),
        ("remove", name),
        ("evaluate", "--labels", place / name),
        ("reindex", "--metadata", place / name),
        ("snapshots", "rollback", name),
        ("build", place, "--encoder", name),
        ("evaluate", "--sample", "1\x1b[2J"),
        ("export", place / LABELS),
    )
    assert [code for code, _, _ in done] == [1] * 8 + [2, 2]
    words_of = [shown] * 8 + [r"1\x1b[2J", r"labels\x1b[1m.jsonl"]
    for (_, _, err), words in zip(done, words_of, strict=True):
        assert words in err
