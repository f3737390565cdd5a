"""The records of a folder: copies are numbered, and files that vanish meanwhile are dropped."""

import numpy as np
import pytest

from indexer.collection.changes import FolderChanges
from indexer.collection.records import check_pictures, collect
from indexer.errors import NoPictures, PicturesSkipped
from indexer.folder.dataset import PixelSource
from indexer.folder.walk import walk
from indexer.stages import Stages
from tests.helpers.pictures import noise_picture


@pytest.fixture
def images(tmp_path):
    """Give a folder of three pictures, the first two byte-identical, and a text file."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        noise_picture(seed).save(folder / name)
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture
def collected(images, tmp_path):
    """Give the collected pictures; without a cache, each is read again from its file."""
    out = tmp_path / "out"
    out.mkdir()
    with PixelSource(images, out, max_images=4, cache_bytes=0) as source:
        yield collect(FolderChanges(images, walk(images).files), source, out, Stages())


def test_without_an_old_snapshot_every_picture_is_new(collected):
    """Each record has its own row of pixels. None has a row of an old snapshot."""
    short = collected.records[0].sha256[:16]

    assert [one.id for one in collected.records[:2]] == [short, f"{short}-2"]
    assert collected.source_rows == [0, 1, 2]
    assert collected.old_rows == [-1, -1, -1]
    assert [one.path for one in collected.skipped] == ["notes.txt"]


def test_a_lost_picture_is_dropped_and_the_rest_keep_their_ids(collected, images):
    """The copy moves up a row; the vanished original is skipped."""
    second = collected.records[1].id
    (images / "a.png").unlink()
    collected.source.read(np.arange(3))

    collected.drop_lost()

    assert [(one.row, one.path) for one in collected.records] == [(0, "b.png"), (1, "c.png")]
    assert collected.records[0].id == second
    assert collected.source_rows == [1, 2]
    assert [one.path for one in collected.skipped] == ["notes.txt", "a.png"]


def test_strict_refuses_a_skipped_file(collected):
    """Without --strict the pictures are enough."""
    check_pictures(collected, strict=False)

    with pytest.raises(PicturesSkipped, match=r"The first is notes\.txt"):
        check_pictures(collected, strict=True)


def test_a_folder_without_pictures_is_refused(collected):
    """The message names a file that was skipped, and why."""
    collected.records.clear()

    with pytest.raises(NoPictures, match=r"None of the 1 files .* readable .*notes\.txt"):
        check_pictures(collected, strict=False)
