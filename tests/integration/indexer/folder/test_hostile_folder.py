"""A folder that holds the whole corpus of hostile files, built with an encoder of two layers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from index.snapshot import DataFolder
from indexer.folder.other_files import IMAGE_SUFFIXES
from tests.helpers.commands import run
from tests.helpers.tiny_encoders import write_float
from tests.hostile.corpus import BY_NAME, CASES

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Give the data folder of a build over the corpus."""
    folder = tmp_path_factory.mktemp("hostile")
    pictures = folder / "pictures"
    pictures.mkdir()
    for case in CASES:
        (pictures / case.name).write_bytes(case.make())
    encoder = write_float(folder / "tiny.tflite")
    how = ("--clusters", 2, "--encoder", encoder)
    assert run("build", pictures, "--data", folder / "data", *how) == 0
    return DataFolder(folder / "data")


def is_named_like_one(name):
    """Return whether a file's name ends like a picture's, supported or not."""
    return Path(name).suffix in IMAGE_SUFFIXES


def test_build_skips_each_hostile_file_for_its_reason(built):
    """Each is listed with its code and a sentence, in the order of names; none ends the run."""
    with built.open_current() as live:
        skipped = json.loads((live.folder / "skipped.json").read_text())
    codes = {one["path"]: one["code"] for one in skipped}
    refused = {case.name: case.folder_code for case in CASES if case.folder_code}
    # A file of another kind is not skipped: it was not meant to be a picture.
    meant = {n: c for n, c in refused.items() if c != "unsupported_type" or is_named_like_one(n)}
    assert codes == meant
    assert 10 < len(refused) - len(meant) < 50
    assert all(len(one["reason"]) > 10 for one in skipped)
    assert list(codes) == sorted(codes)


def test_build_takes_each_odd_picture_in(built):
    """Each has its upright size, its id and its vector of unit length."""
    with built.open_current() as live:
        records = live.catalogue.page(0, 1000)
        sizes = {record.path: (record.width, record.height) for record in records}
        assert len(live.store) == len(records)
    wanted = {case.name: case.size for case in CASES if not case.folder_code}
    assert sizes == wanted
    assert len(wanted) >= 50


def test_strict_build_names_the_first_hostile_file(tmp_path, capsys):
    """With --strict the run ends with one sentence about the first of them."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("1x1.png", "huge-tile.tiff", "page-named.jpg", "page.html"):
        (folder / name).write_bytes(BY_NAME[name].make())
    assert run("build", folder, "--data", tmp_path / "data", "--strict") == 1
    assert "2 files cannot be used. The first is huge-tile.tiff" in capsys.readouterr().err
