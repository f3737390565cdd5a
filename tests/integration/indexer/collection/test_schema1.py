"""A snapshot of schema 1 gets its digests of all pixels at the next re-index, without encoding."""

import hashlib
import json
import os
import shutil
import sqlite3
import struct
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from index.snapshot import DataFolder
from tests.golden.make import COLOURS, GOLDEN, SIZE_PX, write_pictures
from tests.helpers.commands import run
from tests.helpers.pictures import picture_bytes


@pytest.fixture
def collection(tmp_path):
    """Give the pictures of the golden snapshot, unchanged since they were indexed, and its data."""
    images = write_pictures(tmp_path / "images")
    data = DataFolder(shutil.copytree(GOLDEN / "schema-1", tmp_path / "data"))
    with data.open_current() as snapshot:
        for record in snapshot.catalogue:
            os.utime(images / record.path, ns=(record.mtime_ns, record.mtime_ns))
    return images, data


def reindex(collection, capsys, *more):
    """Re-index and return what was printed."""
    images, data = collection
    capsys.readouterr()
    assert run("reindex", images, "--data", data.root, "--json", *more) == 0
    return json.loads(capsys.readouterr().out)


def digest_of(colour):
    """Return the digest of all pixels of a picture in one colour, worked out by hand."""
    width, height = SIZE_PX
    content = struct.pack("<II", width, height) + bytes(colour) * (width * height)
    return hashlib.sha256(content).hexdigest()


def records_of(data):
    """Return the live snapshot's records by path."""
    with data.open_current() as snapshot:
        return {record.path: record for record in snapshot.catalogue}


def test_reindex_completes_the_records_without_encoding(collection, capsys):
    """Every file is read; vectors, neighbours and thumbnails stay the very files that they were."""
    images, data = collection
    old = data.snapshots / data.current_id()

    told = reindex(collection, capsys)

    new = data.snapshots / data.current_id()
    assert told["snapshot"] == new.name != old.name
    assert sorted(told["refreshed"]) == sorted(COLOURS)
    assert [told[kind] for kind in ("added", "changed", "moved", "removed", "skipped")] == [[]] * 5
    for name in ("vectors.faiss", "topk_rows.npy", "topk_scores.npy", "thumbnails.sqlite"):
        assert (new / name).samefile(old / name)
    assert json.loads((new / "manifest.json").read_text())["schema_version"] == 2
    for path, record in records_of(data).items():
        status = (images / path).stat()
        assert record.full_digest == digest_of(COLOURS[path])
        assert record.single_colour == "#" + bytes(COLOURS[path]).hex()
        assert (record.ctime_ns, record.inode) == (status.st_ctime_ns, status.st_ino)


def test_the_files_are_read_once(collection, capsys):
    """The run after that has nothing to do."""
    reindex(collection, capsys)
    _, data = collection
    completed = data.current_id()

    assert reindex(collection, capsys)["snapshot"] is None
    assert data.current_id() == completed


def test_a_dry_run_counts_them_and_publishes_nothing(collection, capsys):
    """Whoever asks first sees what would be read."""
    _, data = collection
    before = data.current_id()

    told = reindex(collection, capsys, "--dry-run")

    assert (told["snapshot"], len(told["refreshed"])) == (None, 8)
    assert data.current_id() == before


def test_other_commands_leave_the_digests_for_the_next_reindex(collection, capsys):
    """`remove` publishes schema 2 without reading a single file of the collection."""
    images, data = collection
    red = records_of(data)["red.bmp"].id
    assert run("remove", red, "--data", data.root) == 0
    assert {record.full_digest for record in records_of(data).values()} == {None}

    reindex(collection, capsys)

    found = {path: record.full_digest for path, record in records_of(data).items()}
    assert found == {path: digest_of(COLOURS[path]) for path in COLOURS if path != "red.bmp"}


@pytest.mark.parametrize(
    ("is_completed", "modes"), [(False, ["cached", "cached"]), (True, ["cached", "encoded"])]
)
def test_until_then_the_small_digest_decides(collection, tmp_path, capsys, is_completed, modes):
    """A red picture of another size is taken for the same one by a snapshot of schema 1 only."""
    _, data = collection
    if is_completed:
        reindex(collection, capsys)

    found = []
    for size in (SIZE_PX, (40, 30)):
        (tmp_path / "query.png").write_bytes(picture_bytes((255, 0, 0), size))
        capsys.readouterr()
        assert run("search", tmp_path / "query.png", "--json", "--data", data.root) == 0
        found.append(json.loads(capsys.readouterr().out))

    assert [one["mode"] for one in found] == modes
    assert [one["results"][0]["score"] for one in found] == [1.0, 1.0]


def test_pixels_that_a_decoder_gives_anew_are_encoded(collection, capsys):
    """An unchanged file that is decoded to other pixels than before is a changed picture."""
    _, data = collection
    with data.locked(), data.open_current() as old, data.draft() as draft:
        draft.link_from(old, old.manifest.files)
        with closing(sqlite3.connect(draft.folder / "catalogue.sqlite")) as connection:
            connection.execute("UPDATE images SET pixel_digest = 'x' WHERE path = 'green.bmp'")
            connection.commit()
        draft.publish(replace(old.manifest, created=datetime.now(UTC).isoformat()))

    told = reindex(collection, capsys)

    assert (told["changed"], len(told["refreshed"])) == (["green.bmp"], 7)
    record = records_of(data)["green.bmp"]
    assert record.full_digest == digest_of((0, 255, 0))
    assert len(record.pixel_digest) == 64
