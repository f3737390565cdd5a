"""Folders as people have them: unreadable parts, our own output, hidden and helper files."""

import json
import os
import subprocess
import sys

import pytest

from index.snapshot import DataFolder
from indexer import pipeline
from indexer.folder.other_files import OtherFiles
from indexer.folder.walk import walk
from tests.helpers.commands import build_untrained, run
from tests.helpers.paths import GOLDEN_ENCODER, ROOT
from tests.helpers.pictures import noise_picture, write_pictures

# Root may read everything; without these capabilities, permissions count for it as well.
WITH_PERMISSIONS = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"]


@pytest.fixture
def images(tmp_path):
    """Write 6 pictures, and 4 more in a folder `sub`."""
    write_pictures(tmp_path / "images", 6)
    (tmp_path / "images" / "sub").mkdir()
    for seed in range(10, 14):
        noise_picture(seed).save(tmp_path / "images" / "sub" / f"{seed}.png")
    return tmp_path / "images"


@pytest.fixture
def data(images, tmp_path):
    """Build a collection of these pictures."""
    build_untrained(images, tmp_path / "data")
    return tmp_path / "data"


def paths_in(data):
    """Return the paths in the live snapshot."""
    with DataFolder(data).open_current() as snapshot:
        return sorted(record.path for record in snapshot.catalogue)


def run_by_permissions(*arguments):
    """Run a command that may not read what permissions forbid."""
    prefix = WITH_PERMISSIONS if os.geteuid() == 0 else []
    return subprocess.run(
        [*prefix, sys.executable, "-m", "indexer", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_pictures_of_an_unreadable_folder_stay(images, data):
    """A folder without permissions is named with its reason; its pictures stay; --strict fails."""
    before = paths_in(data)
    (images / "sub").chmod(0)
    (images / "000.png").unlink()

    strict = run_by_permissions("reindex", "--data", data, "--strict")
    assert strict.returncode == 1
    assert "1 folder cannot be read. The first is sub: Permission denied" in strict.stderr
    assert paths_in(data) == before

    done = run_by_permissions("reindex", "--data", data)
    assert done.returncode == 0, done.stderr
    reported = "cannot read sub: Permission denied; its 4 pictures stay in the collection"
    assert reported in done.stderr
    assert done.stdout.startswith("0 added, 0 changed, 0 moved, 1 removed, 0 skipped")
    assert paths_in(data) == [path for path in before if path != "000.png"]

    again = run_by_permissions("build", images, "--data", data, "--encoder", GOLDEN_ENCODER)
    assert again.returncode == 1
    assert "4 pictures of the collection are in folders that cannot be read" in again.stderr
    (images / "sub").chmod(0o755)
    assert run("reindex", "--data", data) == 0
    assert len(paths_in(data)) == 9


def test_picture_that_may_not_be_read_stays(images, data):
    """A file that was indexed and lost its permissions is reported, not removed."""
    (images / "001.png").chmod(0)
    os.utime(images / "001.png", (1, 1))  # so that it is read again

    done = run_by_permissions("reindex", "--data", data)

    assert done.returncode == 0, done.stderr
    assert "001.png: cannot be read: Permission denied" in done.stderr
    assert "0 removed, 1 skipped" in done.stdout
    assert "001.png" in paths_in(data)


def test_pictures_behind_a_link_without_target_stay(images, tmp_path, capsys):
    """The folder that a link led to is away, as a disk that is not there."""
    write_pictures(tmp_path / "disk", 3)
    (images / "link").symlink_to(tmp_path / "disk")
    build_untrained(images, tmp_path / "data")
    (tmp_path / "disk").rename(tmp_path / "away")

    assert run("reindex", "--data", tmp_path / "data") == 0

    found = capsys.readouterr()
    said = "cannot read link: the link has no target; its 3 pictures stay in the collection"
    assert said in found.err
    assert "link/000.png" in paths_in(tmp_path / "data")


def mounts_are_possible():
    """Say whether this process may mount a file system of its own."""
    test = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(test, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not mounts_are_possible(), reason="no file system can be mounted here")
def test_pictures_of_a_disk_that_is_not_mounted_stay(images, tmp_path):
    """The mount point is an empty folder then; that is not an empty folder of pictures."""
    (images / "disk").mkdir()
    command = (
        f"mount -t tmpfs none {images}/disk && cp {images}/sub/*.png {images}/disk/ && "
        f"{sys.executable} -m indexer build {images} --data {tmp_path}/data --clusters 2 "
        f"--encoder {GOLDEN_ENCODER}/encoder.tflite"
    )
    built = subprocess.run(
        ["unshare", "-m", "sh", "-c", command], cwd=ROOT, capture_output=True, check=False
    )
    assert built.returncode == 0, built.stderr
    before = paths_in(tmp_path / "data")
    assert "disk/10.png" in before
    assert list((images / "disk").iterdir()) == []  # the mount ended with its process

    noise_picture(50).save(images / "new.png")
    assert run("reindex", "--data", tmp_path / "data") == 0
    assert paths_in(tmp_path / "data") == sorted([*before, "new.png"])
    noise_picture(51).save(images / "new2.png")
    assert run("reindex", "--data", tmp_path / "data") == 0
    assert "disk/10.png" in paths_in(tmp_path / "data")
    assert run("reindex", "--data", tmp_path / "data", "--strict") == 1


@pytest.mark.parametrize(
    "command",
    [
        ["partition", "{out}"],
        ["cluster", "--clusters", "2", "--sheets", "{out}"],
        ["export", "{out}"],
        ["evaluate", "--labels", "folders", "--sheet", "{out}/sheet.jpg"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("through_link", [False, True], ids=["plain", "link"])
def test_nothing_is_written_into_the_picture_folder(
    command, through_link, images, data, tmp_path, capsys
):
    """The next re-index would take our own files for pictures."""
    out = images / "sub" / "out"
    if through_link:
        (tmp_path / "link").symlink_to(images / "sub")
        out = tmp_path / "link" / "out"
    before = paths_in(data)

    assert run(*[one.format(out=out) for one in command], "--data", data) == 1

    assert "is inside the picture folder" in capsys.readouterr().err
    assert not out.exists()
    assert run("reindex", "--data", data) == 0
    assert paths_in(data) == before


@pytest.mark.parametrize("mode", ["copy", "symlink", "hardlink"])
@pytest.mark.parametrize("linked", [".", "group-000"], ids=["folder", "group"])
def test_linked_output_is_not_taken_in(linked, mode, images, data, tmp_path, capsys):
    """A folder of groups that is later linked into the picture folder adds nothing."""
    before = paths_in(data)
    out = tmp_path / "groups"
    assert run("partition", out, "--data", data, "--mode", mode) == 0
    (images / "by-group").symlink_to(out / linked)
    noise_picture(60).save((out / linked) / "own.png")  # a user's own file there counts

    assert run("reindex", "--data", data) == 0

    assert paths_in(data) == sorted([*before, "by-group/own.png"])
    assert "files that Lookalike wrote" in capsys.readouterr().err


def test_linked_sheets_are_not_taken_in(images, data, tmp_path):
    """Sheets look like pictures, and they are ours."""
    before = paths_in(data)
    sheets = tmp_path / "sheets"
    assert run("cluster", "--clusters", 2, "--sheets", sheets, "--data", data) == 0
    sheets.rename(images / "sheets")

    assert run("reindex", "--data", data) == 0

    assert paths_in(data) == before


def test_another_data_folder_is_not_taken_in(images, tmp_path):
    """A data folder inside the picture folder holds plots, which are pictures."""
    build_untrained(images, images / "data")
    build_untrained(images, tmp_path / "data", "--max-clusters", 3)
    assert not [path for path in paths_in(tmp_path / "data") if path.startswith("data/")]


HELPERS = [
    "@eaDir/000.png/SYNOPHOTO_THUMB_M.jpg", "#recycle/old.png", "#snapshot/daily/000.png",
    "__MACOSX/._000.png", ".thumbnails/small.png", "lost+found/x.png", "$RECYCLE.BIN/x.png",
    "._000.png", "Thumbs.db", "System Volume Information/x.png", ".album/z.png", "sub/@eadir/x.png",
]  # fmt: skip


def add_helpers(images):
    """Write pictures where NAS systems and desktops keep theirs."""
    for seed, name in enumerate(HELPERS, 200):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        noise_picture(seed).save(images / name, "PNG")


def test_helper_files_are_left_out_and_counted(images, data, capsys):
    """Files of file managers and storage systems are no pictures of the user's."""
    before = paths_in(data)
    add_helpers(images)

    assert run("reindex", "--data", data) == 0

    assert paths_in(data) == before
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out")]
    assert said == ["left out: 10 helper files of file managers and storage systems, 2 hidden"]


@pytest.mark.parametrize("name", [".album/z.png", "sub/@eaDir/x.png", "._000.png", "no/a.png"])
def test_add_and_reindex_have_one_rule(name, images, tmp_path, capsys):
    """What a re-index would leave out, `add` refuses with the rule."""
    build_untrained(images, tmp_path / "data", "--exclude", "no/")
    (images / name).parent.mkdir(parents=True, exist_ok=True)
    noise_picture(300).save(images / name, "PNG")

    assert run("add", images / name, "--data", tmp_path / "data") == 1
    assert "is left out of the collection" in capsys.readouterr().err

    assert run("reindex", "--data", tmp_path / "data", "--include", name) == 0
    assert name in paths_in(tmp_path / "data")
    assert run("reindex", "--data", tmp_path / "data") == 0
    assert name in paths_in(tmp_path / "data")  # the pattern is remembered


def test_patterns_are_remembered_and_can_be_changed(images, tmp_path):
    """--exclude holds for every later re-index, until another one is given."""
    build_untrained(images, tmp_path / "data", "--exclude", "sub/", "--exclude", "00[01].png")
    assert paths_in(tmp_path / "data") == ["002.png", "003.png", "004.png", "005.png"]
    with DataFolder(tmp_path / "data").open_current() as snapshot:
        text = (snapshot.folder / "manifest.json").read_text()
        assert json.loads(text)["settings"]["files"]["exclude"] == ["sub/", "00[01].png"]
    assert run("reindex", "--data", tmp_path / "data") == 0
    assert len(paths_in(tmp_path / "data")) == 4
    build_untrained(images, tmp_path / "data")
    assert len(paths_in(tmp_path / "data")) == 4

    assert run("reindex", "--data", tmp_path / "data", "--exclude", "") == 0
    assert len(paths_in(tmp_path / "data")) == 10


def test_bad_pattern_is_refused(images, tmp_path, capsys):
    """In one sentence."""
    assert run("build", images, "--data", tmp_path / "data", "--exclude", "!") == 1
    assert "'!' is not a valid pattern" in capsys.readouterr().err


def bytes_read_by(*arguments):
    """Return how many bytes a command reads from files and pipes."""
    script = (
        "import sys\nfrom indexer.cli import main\ntry:\n main(sys.argv[1:])\nfinally:\n"
        " print(open('/proc/self/io').readline().split()[1], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stderr.splitlines()[-1]), done.stderr


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="needs Linux's /proc")
def test_videos_cost_neither_memory_nor_time(images, data):
    """Four videos of 500 MB: a few bytes of each are read once, and none by the next run."""
    usual, _ = bytes_read_by("reindex", "--data", data, "--dry-run")
    for n in range(4):
        with (images / f"clip{n}.mov").open("wb") as file:
            file.write(b"\0\0\0\x14ftypqt  ")
            file.truncate(500_000_000)

    n_bytes, said = bytes_read_by("reindex", "--data", data)

    assert "not pictures: 4 .mov" in said
    assert "skipped" not in said
    assert n_bytes < usual + 2_000_000


def test_other_files_are_counted_by_kind_and_not_opened_again(images, data, capsys):
    """Sidecar files are one line, not a list of skipped pictures, and --strict passes."""
    before = paths_in(data)
    for n in range(300):
        (images / f"{n}.xmp").write_text("<x:xmpmeta/>")
        (images / f"{n}.JSON").write_text("{}")
    (images / "README").write_text("notes")
    noise_picture(400).save(images / "picture-without-suffix", "PNG")
    (images / "broken.png").write_bytes(b"<html>not a picture")

    assert run("reindex", "--data", data) == 0

    said = capsys.readouterr()
    assert "not pictures: 300 .json, 300 .xmp, 1 without suffix" in said.err
    assert "skipped 1 file:" in said.err
    assert paths_in(data) == sorted([*before, "picture-without-suffix"])
    (images / "broken.png").unlink()
    (images / "0.xmp").write_text("<x:xmpmeta changed/>")
    found = OtherFiles(images, data)
    found.without(walk(images).files)
    assert found.n_opened == 2  # the picture without suffix, and the sidecar that changed
    assert run("reindex", "--data", data, "--strict") == 0


def test_other_files_need_no_room_on_the_disk(images, tmp_path, monkeypatch):
    """The estimate before a build counts pictures only."""
    asked = []
    monkeypatch.setattr(pipeline, "check_disk", lambda data, n_files, cache: asked.append(n_files))
    for n in range(50):
        (images / f"{n}.xmp").write_text("<x:xmpmeta/>")
    build_untrained(images, tmp_path / "data")
    assert asked == [10]
