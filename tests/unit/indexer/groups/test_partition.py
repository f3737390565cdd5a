"""One folder a group: names, modes, going on after an interruption, and hands off originals."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from index.errors import DiskFull
from indexer.groups import partition as module
from indexer.groups.partition import (
    LIST_FILE,
    FolderNotEmpty,
    Member,
    PartitionError,
    partition,
)


@pytest.fixture
def images(tmp_path):
    """Give a function that writes originals and returns them as members of given groups."""
    root = tmp_path / "images"

    def make(labels):
        members = []
        for row, (relative, label) in enumerate(labels.items()):
            source = root / relative
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_bytes(f"picture {relative}".encode("utf-8", "surrogateescape"))
            os.utime(source, (1_000_000 + row, 1_000_000 + row))
            members.append(Member(label, row, source, relative))
        return members

    return make


@pytest.fixture
def three(images):
    """Return two pictures of group 0 and one of group 1."""
    return images({"a.jpg": 0, "b.jpg": 0, "sub/c.jpg": 1})


def tree(folder):
    """Return the paths of all pictures below a folder."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if (path.is_symlink() or path.is_file()) and path.name != LIST_FILE
    )


THREE = ["group-000/b.jpg", "group-000/medoid--a.jpg", "group-001/medoid--c.jpg"]


@pytest.mark.parametrize("mode", ["copy", "symlink", "hardlink"])
def test_folders_by_group(three, tmp_path, mode):
    """Each picture is in its group's folder, the medoids marked, with the original's content."""
    out = tmp_path / "out"

    result = partition(three, [0, 2], out, mode)

    assert tree(out) == THREE
    assert (out / "group-000/b.jpg").read_bytes() == b"picture b.jpg"
    assert (result.n_written, result.n_kept, result.missing) == (3, 0, [])


@pytest.mark.parametrize(
    ("mode", "is_link", "same_file"),
    [("copy", False, False), ("symlink", True, True), ("hardlink", False, True)],
)
def test_modes(three, tmp_path, mode, is_link, same_file):
    """A copy is a file of its own with the original's time; links lead to the original."""
    partition(three, [0, 2], tmp_path / "out", mode)

    made = tmp_path / "out/group-000/b.jpg"
    assert made.is_symlink() is is_link
    assert os.path.samefile(made, three[1].source) is same_file
    assert made.stat().st_mtime == 1_000_001


def test_symlinks_hold_from_anywhere(three, tmp_path, monkeypatch):
    """Links are absolute, though the originals were named from the current folder."""
    monkeypatch.chdir(tmp_path)
    member = Member(0, 0, Path("images/a.jpg"), "a.jpg")

    partition([member], [0], Path("out"), "symlink")

    assert os.readlink("out/group-000/medoid--a.jpg") == str(tmp_path / "images/a.jpg")


@pytest.mark.parametrize("mode", ["copy", "symlink", "hardlink"])
def test_originals_are_untouched(three, tmp_path, mode):
    """Making it twice, the second time by force, changes no original's content or time."""
    for _ in range(2):
        partition(three, [0, 2], tmp_path / "out", mode, force=True)

    assert [member.source.read_bytes().decode() for member in three] == [
        "picture a.jpg",
        "picture b.jpg",
        "picture sub/c.jpg",
    ]
    assert [member.source.stat().st_mtime for member in three] == [1e6, 1e6 + 1, 1e6 + 2]


def test_equal_names_from_different_folders(images, tmp_path):
    """Both are there, told apart by a digest of their paths; other names stay as they are."""
    members = images({"x/1.jpg": 0, "y/1.jpg": 0, "y/2.jpg": 0, "z/1.jpg": 1})

    partition(members, [2, 3], tmp_path / "out")

    names = tree(tmp_path / "out")
    twins = [name for name in names if name.startswith("group-000/1~")]
    assert names == [*twins, "group-000/medoid--2.jpg", "group-001/medoid--1.jpg"]
    contents = sorted((tmp_path / "out" / name).read_text() for name in twins)
    assert contents == ["picture x/1.jpg", "picture y/1.jpg"]


@pytest.mark.parametrize(
    "names", [("x/A.jpg", "y/a.JPG"), ("x/\u00e9.jpg", "y/e\u0301.jpg")], ids=["case", "accents"]
)
def test_names_that_some_file_systems_take_for_one(images, tmp_path, names):
    """Names that differ only in case, or in how an accent is written, are told apart as well."""
    partition(images(dict.fromkeys(names, 0)), [], tmp_path / "out")

    assert len(tree(tmp_path / "out")) == 2
    assert all("~" in name for name in tree(tmp_path / "out"))


def test_name_like_that_of_a_medoid(images, tmp_path):
    """A picture that happens to be called like a marked medoid does not take its place."""
    members = images({"x/a.jpg": 0, "medoid--a.jpg": 0})

    partition(members, [0], tmp_path / "out")

    contents = {name: (tmp_path / "out" / name).read_text() for name in tree(tmp_path / "out")}
    assert sorted(contents.values()) == ["picture medoid--a.jpg", "picture x/a.jpg"]


@pytest.mark.parametrize(
    "name",
    ["n" * 251 + ".jpg", "\u00e4" * 125 + ".jpg", "n." + "s" * 253],
    ids=["ascii", "two bytes each", "all suffix"],
)
def test_names_at_the_length_limit(images, tmp_path, name):
    """Names of 255 bytes get a medoid's mark and a digest all the same: the middle is cut."""
    members = images({f"{folder}/{name}": 0 for folder in "xyz"})

    partition(members, [0], tmp_path / "out")

    made = [Path(path).name for path in tree(tmp_path / "out")]
    assert len(made) == 3
    assert all(len(os.fsencode(path)) <= 255 for path in made)
    assert sum(path.startswith("medoid--") for path in made) == 1
    if name.endswith(".jpg"):
        assert all(path.endswith(".jpg") for path in made)


def test_names_that_are_no_text(images, tmp_path):
    """A file name of bytes that are no UTF-8 comes through as it is."""
    name = os.fsdecode(b"caf\xe9.jpg")
    try:
        members = images({name: 0})
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")

    partition(members, [], tmp_path / "out")
    again = partition(members, [], tmp_path / "out")

    assert (tmp_path / "out/group-000" / name).is_file()
    assert again.n_kept == 1


def test_folder_that_is_not_empty(three, tmp_path):
    """Something else in the folder stops it, before anything is written."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")

    with pytest.raises(FolderNotEmpty, match="not empty.*--force"):
        partition(three, [0, 2], out)
    assert tree(out) == ["notes.txt"]


def test_force_keeps_other_files(three, tmp_path):
    """With force the groups come beside what is there."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")

    partition(three, [0, 2], out, force=True)

    assert tree(out) == [*THREE, "notes.txt"]
    assert (out / "notes.txt").read_text() == "mine"


def test_other_groups_replace_an_earlier_partition(three, tmp_path):
    """New groups are refused without force; with it, pictures that moved leave no double behind."""
    out = tmp_path / "out"
    partition(three, [0, 2], out)
    moved = [Member(0, m.row, m.source, m.relative) for m in three]

    with pytest.raises(FolderNotEmpty):
        partition(moved, [1], out)
    result = partition(moved, [1], out, force=True)

    assert tree(out) == ["group-000/a.jpg", "group-000/c.jpg", "group-000/medoid--b.jpg"]
    assert not (out / "group-001").exists()
    assert result.n_removed == 3


@pytest.mark.parametrize("mode", ["copy", "symlink", "hardlink"])
def test_goes_on_after_an_interruption(three, tmp_path, mode, monkeypatch):
    """Stopped after one picture, the same call does the other two and keeps the first."""
    out = tmp_path / "out"
    write = module._write
    written = []

    def stop_at_second(member, *rest):
        if written:
            raise KeyboardInterrupt
        written.append(member)
        write(member, *rest)

    monkeypatch.setattr(module, "_write", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        partition(three, [0, 2], out, mode)
    monkeypatch.undo()
    result = partition(three, [0, 2], out, mode)

    assert (result.n_kept, result.n_written) == (1, 2)
    assert tree(out) == THREE


def test_half_a_copy_is_never_under_its_name(three, tmp_path, monkeypatch):
    """Killed in the middle of a file, the folder has no picture of that name, and recovers."""
    out = tmp_path / "out"

    def half(source, target):
        Path(target).write_bytes(b"pic")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy2", half)
        with pytest.raises(KeyboardInterrupt):
            partition(three, [0, 2], out)
    assert not [path for path in tree(out) if path.startswith("group-")]

    partition(three, [0, 2], out)

    assert tree(out) == THREE


def test_changed_copy_is_made_anew(three, tmp_path):
    """A copy of another size or time than the original is replaced, others are kept."""
    out = tmp_path / "out"
    partition(three, [0, 2], out)
    (out / "group-000/b.jpg").write_text("short")

    result = partition(three, [0, 2], out)

    assert (result.n_kept, result.n_written) == (2, 1)
    assert (out / "group-000/b.jpg").read_text() == "picture b.jpg"


def test_another_mode_is_another_partition(three, tmp_path):
    """Copies do not silently become links; with force they do."""
    out = tmp_path / "out"
    partition(three, [0, 2], out, "hardlink")

    with pytest.raises(FolderNotEmpty):
        partition(three, [0, 2], out, "copy")
    partition(three, [0, 2], out, "copy", force=True)

    assert not os.path.samefile(out / "group-000/b.jpg", three[1].source)


def test_missing_originals_are_listed(three, tmp_path):
    """A picture that is gone is named, and the others are put in place."""
    three[1].source.unlink()

    result = partition(three, [0, 2], tmp_path / "out")

    assert (result.missing, result.n_written) == (["b.jpg"], 2)
    assert tree(tmp_path / "out") == [path for path in THREE if "b.jpg" not in path]


def test_hard_links_across_file_systems(three, tmp_path, monkeypatch):
    """Where the system refuses, the sentence says why and which mode works."""

    def refuse(*_, **__):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)

    with pytest.raises(PartitionError, match="different file systems.*--mode copy"):
        partition(three, [0, 2], tmp_path / "out", "hardlink")


def test_folder_of_the_originals(three, tmp_path):
    """The folder that holds the collection is refused, with force too."""
    for out in (tmp_path, tmp_path / "images"):
        with pytest.raises(PartitionError, match="contains pictures of the collection"):
            partition(three, [0, 2], out, force=True)


def test_group_folder_that_leads_elsewhere(three, tmp_path):
    """A link in the place of a group's folder is refused: it could lead to the originals."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "group-000").symlink_to(tmp_path / "images")

    with pytest.raises(PartitionError, match="link to another folder"):
        partition(three, [0, 2], out, force=True)
    assert three[0].source.read_text() == "picture a.jpg"


def test_list_cannot_lead_out_of_the_folder(three, tmp_path):
    """A list of earlier files with foreign paths removes nothing outside the group folders."""
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "precious").write_text("mine")
    files = ["../precious", "group-000/../../precious", "group-/..", "notes/x", 3]
    (out / LIST_FILE).write_text(json.dumps({"mode": "copy", "files": files}))

    result = partition(three, [0, 2], out, force=True)

    assert (tmp_path / "precious").read_text() == "mine"
    assert result.n_removed == 0


@pytest.mark.parametrize("text", ["{", "[]", '{"mode": "copy"}'])
def test_damaged_list(three, tmp_path, text):
    """A list that cannot be read stops it rather than be taken for none."""
    out = tmp_path / "out"
    out.mkdir()
    (out / LIST_FILE).write_text(text)

    with pytest.raises(PartitionError, match="cannot be read"):
        partition(three, [0, 2], out, force=True)


def test_out_is_a_file(three, tmp_path):
    """A file where the folder should be is named as such."""
    (tmp_path / "out").write_text("mine")

    with pytest.raises(PartitionError, match="is a file"):
        partition(three, [0, 2], tmp_path / "out")


def test_too_little_room(three, tmp_path, monkeypatch):
    """Copies that do not fit are refused before the first one; links need no room."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 0))

    with pytest.raises(DiskFull, match="--mode symlink"):
        partition(three, [0, 2], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert partition(three, [0, 2], tmp_path / "out", "symlink").n_written == 3


def test_picture_in_the_way(three, tmp_path):
    """A folder that stands where a picture goes is left alone, and named."""
    (tmp_path / "out/group-000/b.jpg").mkdir(parents=True)

    with pytest.raises(PartitionError, match=r"b\.jpg cannot be written to .*group-000"):
        partition(three, [0, 2], tmp_path / "out", force=True)


def test_unknown_mode(three, tmp_path):
    """A mode that there is not is refused, and those there are listed."""
    with pytest.raises(
        PartitionError, match="unknown mode 'move': use one of copy, symlink, hardlink"
    ):
        partition(three, [0, 2], tmp_path / "out", "move")


def test_empty_collection(tmp_path):
    """Nothing to put anywhere is no error."""
    assert partition([], [], tmp_path / "out").n_written == 0
