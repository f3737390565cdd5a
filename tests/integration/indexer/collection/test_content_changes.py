"""Edits are noticed even where size and mtime are preserved; equal files are read only once."""

import json
import os
import shutil

import pytest

from index.snapshot import DataFolder
from tests.helpers.commands import run
from tests.helpers.paths import GOLDEN_ENCODER
from tests.helpers.pictures import noise_picture


@pytest.fixture
def images(tmp_path):
    """Write 4 pictures as BMP, so that all have the same size."""
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(4):
        noise_picture(seed).save(folder / f"{seed}.bmp")
    return folder


@pytest.fixture
def data(images, tmp_path):
    """Build a collection of these pictures."""
    encoder = GOLDEN_ENCODER / "encoder.tflite"
    data = tmp_path / "data"
    assert run("build", images, "--data", data, "--encoder", encoder, "--clusters", 2) == 0
    return data


def reindex(data, capsys, *more):
    """Re-index and return what was printed."""
    capsys.readouterr()
    assert run("reindex", "--data", data, "--json", *more) == 0
    return json.loads(capsys.readouterr().out)


def records_in(data):
    """Return the live snapshot's records by path."""
    with DataFolder(data).open_current() as snapshot:
        return {record.path: record for record in snapshot.catalogue}


def edit_unnoticed(file, seed):
    """Write another picture of the same size and mtime."""
    before = file.stat()
    noise_picture(seed).save(file)
    os.utime(file, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size


def test_an_edit_that_preserves_size_and_mtime_is_noticed(images, data, capsys):
    """The picture has the id, pixels and thumbnail of its new content."""
    before = records_in(data)["1.bmp"]
    edit_unnoticed(images / "1.bmp", seed=99)

    assert reindex(data, capsys)["changed"] == ["1.bmp"]

    after = records_in(data)["1.bmp"]
    assert (after.size_bytes, after.mtime_ns) == (before.size_bytes, before.mtime_ns)
    assert after.pixel_digest != before.pixel_digest
    assert not after.id.startswith(before.id)


def test_a_file_that_replaces_another_is_noticed(images, data, capsys):
    """Renaming keeps size, mtime and even the ctime on some systems; the inode tells."""
    before = records_in(data)
    times = os.stat(images / "1.bmp").st_mtime_ns
    os.utime(images / "2.bmp", ns=(times, times))
    (images / "2.bmp").replace(images / "1.bmp")

    told = reindex(data, capsys)

    assert (told["moved"], told["removed"]) == (["1.bmp"], ["1.bmp"])
    assert records_in(data)["1.bmp"].id == before["2.bmp"].id


def test_equal_files_with_other_inodes_are_read_once(images, data, capsys):
    """As after a restored backup: nothing is encoded, and the run after that reads nothing."""
    folder = DataFolder(data)
    before = records_in(data)
    old = folder.snapshots / folder.current_id()
    shutil.copytree(images, images.with_name("backup"))  # copies the mtimes
    shutil.rmtree(images)
    images.with_name("backup").rename(images)

    told = reindex(data, capsys)

    assert sorted(told["refreshed"]) == sorted(before)
    assert [told[kind] for kind in ("added", "changed", "moved", "removed")] == [[]] * 4
    new = folder.snapshots / folder.current_id()
    assert (new / "vectors.faiss").samefile(old / "vectors.faiss")
    after = records_in(data)
    assert {n: r.id for n, r in after.items()} == {n: r.id for n, r in before.items()}
    for name, record in after.items():
        status = (images / name).stat()
        assert (record.ctime_ns, record.inode) == (status.st_ctime_ns, status.st_ino)
    assert reindex(data, capsys)["snapshot"] is None


def test_rehash_reads_every_file(images, data, capsys, monkeypatch):
    """It notices an edit that even ctime and inode do not tell of."""
    monkeypatch.setattr("index.catalogue.ImageRecord.is_unchanged", lambda record, status: True)
    assert reindex(data, capsys, "--rehash")["snapshot"] is None
    edit_unnoticed(images / "3.bmp", seed=98)
    assert reindex(data, capsys)["snapshot"] is None

    assert reindex(data, capsys, "--rehash")["changed"] == ["3.bmp"]
