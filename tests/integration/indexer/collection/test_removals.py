"""Removed pictures stay out of the collection until `add`, wherever their files move."""

import json
import shutil

import pytest

from index.snapshot import DataFolder
from tests.helpers.commands import build_untrained, run
from tests.helpers.pictures import noise_picture


@pytest.fixture
def images(tmp_path):
    """Write 5 pictures; a, b and c are identical."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, seed in (("a", 1), ("b", 1), ("c", 1), ("x", 2), ("y", 3)):
        noise_picture(seed).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def data(images, tmp_path):
    """Build a collection of these pictures."""
    build_untrained(images, tmp_path / "data")
    return tmp_path / "data"


def ids_in(data):
    """Return the ids of the live snapshot by path."""
    with DataFolder(data).open_current() as snapshot:
        return {record.path.removesuffix(".png"): record.id for record in snapshot.catalogue}


def remove(data, name, *more):
    """Remove a picture by the id that it has."""
    assert run("remove", ids_in(data)[name], "--data", data, *more) == 0


def reindex(data, capsys, *more):
    """Re-index and return what was printed."""
    capsys.readouterr()
    assert run("reindex", "--data", data, "--json", "--yes", *more) == 0
    return json.loads(capsys.readouterr().out)


def update(how, images, data):
    """Re-index, or build the same folder again."""
    if how == "build":
        build_untrained(images, data)
    else:
        assert run("reindex", "--data", data, "--yes") == 0


@pytest.mark.parametrize("how", ["reindex", "build"])
def test_a_removed_picture_stays_out_under_any_name(images, data, how):
    """Renamed, then moved into a folder, then renamed again; `add` brings it back."""
    remove(data, "x")
    (images / "sub").mkdir()
    for old, new in (("x", "renamed"), ("renamed", "sub/x"), ("sub/x", "x2")):
        (images / f"{old}.png").rename(images / f"{new}.png")
        update(how, images, data)
        assert sorted(ids_in(data)) == ["a", "b", "c", "y"]

    assert run("add", images / "x2.png", "--data", data) == 0

    assert sorted(ids_in(data)) == ["a", "b", "c", "x2", "y"]
    (images / "x2.png").rename(images / "x3.png")
    update(how, images, data)
    assert sorted(ids_in(data)) == ["a", "b", "c", "x3", "y"]


def test_a_removed_picture_that_moved_is_told_once(images, data, capsys):
    """The next run has nothing to do, and reads nothing."""
    remove(data, "x")
    (images / "x.png").rename(images / "z.png")

    told = reindex(data, capsys)

    assert (told["kept_out"], told["added"]) == (["z.png"], [])
    assert reindex(data, capsys)["snapshot"] is None
    noise_picture(2).save(images / "x.png")  # equal, and not the removed file
    assert reindex(data, capsys)["added"] == ["x.png"]
    assert sorted(ids_in(data)) == ["a", "b", "c", "x", "y"]


@pytest.mark.parametrize("how", ["reindex", "build"])
def test_removals_are_counted_per_copy(images, data, how):
    """Of three copies one is removed: two stay, whatever is renamed, and exactly those two."""
    ids = ids_in(data)
    remove(data, "b")
    for old, new in (("a", "q"), ("b", "p"), ("c", "o")):
        (images / f"{old}.png").rename(images / f"{new}.png")

    update(how, images, data)

    assert sorted(ids_in(data)) == ["o", "q", "x", "y"]
    assert (ids_in(data)["q"], ids_in(data)["o"]) == (ids["a"], ids["c"])


def test_a_new_copy_of_a_removed_picture_is_a_new_picture(images, data, capsys):
    """The removed file is in its place, so the other file is not the removed one."""
    remove(data, "x")
    shutil.copy(images / "x.png", images / "w.png")
    assert reindex(data, capsys)["added"] == ["w.png"]


def test_a_removed_picture_that_replaces_another_stays_out(images, data, capsys):
    """The other picture is gone, and told to be."""
    remove(data, "x")
    (images / "x.png").rename(images / "y.png")

    told = reindex(data, capsys)

    assert (told["kept_out"], told["removed"]) == (["y.png"], ["y.png"])
    assert sorted(ids_in(data)) == ["a", "b", "c"]


def test_retraining_keeps_removals_and_ids(tmp_path):
    """A new encoder is no reason to bring a picture back."""
    images, data = tmp_path / "images", tmp_path / "data"
    images.mkdir()
    for seed in range(5):
        noise_picture(seed).save(images / f"{seed}.png")
    shutil.copy(images / "1.png", images / "copy.png")
    command = ("build", images, "--data", data, "--architecture", "classic", "--steps", 1)
    assert run(*command, "--clusters", 2) == 0
    ids = ids_in(data)
    remove(data, "1")
    (images / "1.png").rename(images / "one.png")

    assert run("reindex", "--retrain", "--data", data) == 0

    del ids["1"]
    assert ids_in(data) == ids
    assert ids["copy"].endswith("-2")


def publish_more(data, images, n):
    """Publish more snapshots, each with another picture."""
    for seed in range(n):
        noise_picture(50 + seed).save(images / f"more {seed}.png")
        assert run("reindex", "--data", data) == 0


def test_purge_removes_the_snapshots_that_contain_the_picture(images, data, capsys):
    """Those before the picture came stay; the live one no longer contains it."""
    first = DataFolder(data).current_id()
    publish_more(data, images, 1)
    second = DataFolder(data).current_id()
    capsys.readouterr()

    remove(data, "more 0", "--purge", "--json")

    told = json.loads(capsys.readouterr().out)
    assert (told["purged"], told["not_purged"]) == ([second], [])
    assert DataFolder(data).ids() == [first, DataFolder(data).current_id()]
    assert "more 0" not in ids_in(data)


def test_purge_names_a_snapshot_that_is_in_use(images, data, capsys, monkeypatch):
    """It stays whole, and the command fails with the cure, after the picture was removed."""
    monkeypatch.setattr("indexer.collection.purge.WAIT_S", 0.0)
    first = DataFolder(data).current_id()
    image_id = ids_in(data)["x"]
    with DataFolder(data).open_current() as reader:
        assert run("remove", image_id, "--data", data, "--purge") == 1
        reader.check_files()

    said = capsys.readouterr().err
    assert f"{first} is in use" in said
    assert "snapshots prune --keep 1" in said
    assert "x" not in ids_in(data)
    assert run("snapshots", "prune", "--keep", 1, "--data", data) == 0
    assert DataFolder(data).ids() == [DataFolder(data).current_id()]


def test_purge_names_a_snapshot_that_cannot_be_read(images, data, capsys):
    """What it contains is unknown, so it is not called clean."""
    first = DataFolder(data).current_id()
    publish_more(data, images, 1)
    (data / "snapshots" / first / "catalogue.sqlite").write_bytes(b"damaged")

    assert run("remove", ids_in(data)["more 0"], "--data", data, "--purge") == 1

    assert f"{first} cannot be read" in capsys.readouterr().err
