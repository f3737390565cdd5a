"""Ids of pictures: an untouched file keeps its own, whatever copies come or go."""

import json
import os
import shutil

import pytest

from index.snapshot import DataFolder
from index.verification import verify
from tests.helpers.commands import build_untrained, run
from tests.helpers.pictures import noise_picture


@pytest.fixture
def images(tmp_path):
    """Write 4 pictures: b, m, y and z."""
    folder = tmp_path / "images"
    folder.mkdir()
    for seed, name in enumerate("bmyz"):
        noise_picture(seed).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def data(images, tmp_path):
    """Build a collection of these pictures."""
    build_untrained(images, tmp_path / "data")
    return tmp_path / "data"


def ids_in(data):
    """Return the ids of the live snapshot by path, once the snapshot is verified."""
    with DataFolder(data).open_current() as snapshot:
        assert list(verify(snapshot, all_rows=True)) == []
        assert all(snapshot.thumbnails.jpeg(one.id) for one in snapshot.catalogue)
        return {record.path: record.id for record in snapshot.catalogue}


def reindex(data, capsys, *more):
    """Re-index and return what was printed."""
    capsys.readouterr()
    assert run("reindex", "--data", data, "--json", "--yes", *more) == 0
    return json.loads(capsys.readouterr().out)


def test_a_copy_that_sorts_first_gets_the_suffix(images, data, capsys):
    """The original keeps its id, so `remove` of that id takes out the original."""
    original = ids_in(data)["b.png"]
    shutil.copy(images / "b.png", images / "a.png")

    reindex(data, capsys)

    assert ids_in(data)["b.png"] == original
    assert ids_in(data)["a.png"] == f"{original}-2"
    assert run("remove", original, "--data", data) == 0
    assert "b.png" not in ids_in(data)
    assert ids_in(data)["a.png"] == f"{original}-2"


def test_a_copy_keeps_its_suffix_without_the_original(images, data, capsys):
    """After the original is deleted, X-2 stays X-2; the next copy gets X."""
    original = ids_in(data)["b.png"]
    shutil.copy(images / "b.png", images / "c.png")
    reindex(data, capsys)
    (images / "b.png").unlink()
    reindex(data, capsys)
    assert ids_in(data)["c.png"] == f"{original}-2"
    shutil.copy(images / "c.png", images / "a.png")

    assert run("add", images / "a.png", "--data", data) == 0

    assert ids_in(data)["a.png"] == original
    assert ids_in(data)["c.png"] == f"{original}-2"


@pytest.mark.parametrize("again", ["reindex", "build"])
def test_a_moved_copy_keeps_its_suffix(images, data, capsys, again):
    """Original and copy change their order by new names: each keeps its id."""
    original = ids_in(data)["b.png"]
    shutil.copy(images / "b.png", images / "c.png")
    reindex(data, capsys)
    (images / "b.png").rename(images / "x.png")
    (images / "c.png").rename(images / "a.png")

    if again == "reindex":
        assert sorted(reindex(data, capsys)["moved"]) == ["a.png", "x.png"]
    else:
        build_untrained(images, data)

    assert ids_in(data)["x.png"] == original
    assert ids_in(data)["a.png"] == f"{original}-2"


def test_a_build_of_the_same_folder_keeps_ids(images, data, tmp_path):
    """A copy that sorts first gets the suffix there as well; a new data folder starts anew."""
    original = ids_in(data)["b.png"]
    shutil.copy(images / "b.png", images / "a.png")

    build_untrained(images, data)
    build_untrained(images, tmp_path / "fresh")

    assert (ids_in(data)["b.png"], ids_in(data)["a.png"]) == (original, f"{original}-2")
    fresh = ids_in(tmp_path / "fresh")
    assert (fresh["a.png"], fresh["b.png"]) == (original, f"{original}-2")


def test_swapped_files_keep_their_ids(images, data, capsys):
    """Two files exchange their names, with equal times: each picture is found under its id."""
    before = ids_in(data)
    times = os.stat(images / "b.png").st_mtime_ns
    (images / "b.png").rename(images / "t")
    (images / "m.png").rename(images / "b.png")
    (images / "t").rename(images / "m.png")
    for name in ("b.png", "m.png"):
        os.utime(images / name, ns=(times, times))

    assert sorted(reindex(data, capsys)["moved"]) == ["b.png", "m.png"]

    after = ids_in(data)
    assert (after["b.png"], after["m.png"]) == (before["m.png"], before["b.png"])
    assert (after["y.png"], after["z.png"]) == (before["y.png"], before["z.png"])


def test_a_picture_that_replaces_another_keeps_its_id(images, data, capsys):
    """One picture is renamed over another: the other one is removed, not both."""
    before = ids_in(data)
    (images / "z.png").rename(images / "b.png")

    told = reindex(data, capsys)

    assert (told["moved"], told["removed"], told["changed"]) == (["b.png"], ["b.png"], [])
    assert ids_in(data) == {n: before[n] for n in ("m.png", "y.png")} | {"b.png": before["z.png"]}


def test_changed_content_gets_a_new_id(images, data, capsys):
    """The id is of the new content; a copy of the old content has the old id."""
    before = ids_in(data)["b.png"]
    (images / "b.png").rename(images / "kept.png")
    noise_picture(99).save(images / "b.png")

    told = reindex(data, capsys)

    assert (told["moved"], told["changed"]) == (["kept.png"], ["b.png"])
    assert ids_in(data)["kept.png"] == before
    assert ids_in(data)["b.png"] != before
