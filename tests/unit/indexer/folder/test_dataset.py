"""Walking and reading a folder: everything usable comes out in order, everything else is named."""

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import NotAFolder
from indexer.folder import dataset
from indexer.folder.dataset import PixelSource, Scanned, Skipped, scan, scan_file
from indexer.folder.walk import walk
from models.preprocess import Limits, decode, to_pixels
from tests.helpers.pictures import picture_bytes, write_pictures


def names(paths):
    """Return paths as text."""
    return [path.as_posix() for path in paths]


def test_walk_gives_every_file_in_the_order_of_its_bytes(tmp_path):
    """Subfolders are mixed in by path; hidden files and folders are left out."""
    for name in ["b.jpg", "a/z.jpg", "a.jpg", "B.jpg", ".hidden.jpg", ".git/x.jpg", "ä.jpg"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert names(walk(tmp_path).files) == ["B.jpg", "a.jpg", "a/z.jpg", "b.jpg", "ä.jpg"]


def test_walk_enters_a_loop_of_links_once(tmp_path):
    """A link to a folder above ends nowhere; a link to another folder is followed."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "x.png").touch()
    (tmp_path / "in" / "deep" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "y.png").touch()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")

    assert names(walk(tmp_path / "in").files) == ["link/y.png", "x.png"]


def test_walk_leaves_out_the_data_folder(tmp_path):
    """Thumbnails and models inside the picture folder are no pictures of it."""
    (tmp_path / "data" / "snapshots").mkdir(parents=True)
    (tmp_path / "data" / "snapshots" / "x.png").touch()
    (tmp_path / "y.png").touch()

    assert names(walk(tmp_path, exclude=tmp_path / "data").files) == ["y.png"]


def test_walk_refuses_what_is_no_folder(tmp_path):
    """The sentence says which of the two it is, and what to name."""
    (tmp_path / "file").touch()

    with pytest.raises(NotAFolder, match="does not exist. Name the folder"):
        walk(tmp_path / "nowhere")
    with pytest.raises(NotAFolder, match="is a file, not a folder"):
        walk(tmp_path / "file")


def test_a_picture_is_hashed_and_measured(tmp_path):
    """Size, time, hashes and pixels are those of the file."""
    data = picture_bytes((10, 20, 30), size=(40, 30))
    (tmp_path / "x.png").write_bytes(data)
    os.utime(tmp_path / "x.png", ns=(1, 123456789))

    found = scan_file(tmp_path, Path("x.png"))

    assert isinstance(found, Scanned)
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert (found.width, found.height, found.format) == (40, 30, "PNG")
    assert (found.size_bytes, found.mtime_ns) == (len(data), 123456789)
    np.testing.assert_array_equal(found.pixels, to_pixels(decode(data)))
    assert found.pixels[100, 100].tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("empty.jpg", b"", "undecodable"),
        ("notes.txt", b"hello, world", "unsupported_type"),
        ("cut.jpg", picture_bytes(form="JPEG")[:300], "undecodable"),
    ],
    ids=["empty", "text", "cut"],
)
def test_a_bad_file_is_skipped_with_its_reason(tmp_path, name, data, code):
    """Nothing is raised: the code is the API's, the reason a sentence."""
    (tmp_path / name).write_bytes(data)

    found = scan_file(tmp_path, Path(name))

    assert isinstance(found, Skipped)
    assert (found.path, found.code) == (name, code)
    assert len(found.reason) > 10


def test_what_cannot_be_read_at_all_is_skipped(tmp_path):
    """A dangling link, a pipe and a file above the limit never stop or block a run."""
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "big.png").write_bytes(picture_bytes())

    assert scan_file(tmp_path, Path("dangling.jpg")).code == "unreadable"
    assert scan_file(tmp_path, Path("pipe.jpg")).code == "unsupported_type"
    assert scan_file(tmp_path, Path("big.png"), Limits(max_bytes=10)).code == "too_large"


def test_results_come_in_the_order_asked_for(tmp_path):
    """Whichever thread is first, the order is that of the list, one result for each file."""
    paths = [path.relative_to(tmp_path) for path in write_pictures(tmp_path, 40)]
    (tmp_path / paths[7]).write_bytes(b"broken")

    found = list(scan(tmp_path, paths))

    assert [getattr(one, "relative", None) for one in found] == [
        None if i == 7 else path for i, path in enumerate(paths)
    ]


def test_a_scan_that_is_given_up_ends_at_once(tmp_path, monkeypatch):
    """Leaving the loop early reads few more files and leaves no thread behind."""
    paths = [path.relative_to(tmp_path) for path in write_pictures(tmp_path, 60)]
    before, read = set(threading.enumerate()), []
    monkeypatch.setattr(dataset, "cores", lambda: 2)
    monkeypatch.setattr(dataset, "scan_file", lambda *what: read.append(what) or scan_file(*what))

    results = scan(tmp_path, paths)
    next(results)
    results.close()

    assert len(read) < 30
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("n_cached", [0, 2, 10])
def test_pixels_are_the_same_from_cache_and_from_disk(tmp_path, n_cached):
    """However small the cache, every row's pixels are those that were scanned."""
    paths = write_pictures(tmp_path / "in", 5)
    with PixelSource(tmp_path / "in", tmp_path, 5, n_cached * 256 * 256 * 3) as source:
        scanned = [scan_file(tmp_path / "in", Path(path.name)) for path in paths]
        for one in scanned:
            source.add(one)

        images = source.read(np.array([4, 0, 4, 2]))

        for image, row in zip(images, [4, 0, 4, 2], strict=True):
            np.testing.assert_array_equal(image, scanned[row].pixels)
        assert len(source) == 5
        assert source.lost == {}


@pytest.mark.parametrize("change", ["vanished", "changed"])
def test_a_picture_that_changes_meanwhile_is_told(tmp_path, change):
    """Its row reads as grey and is named as lost; the others are unharmed."""
    paths = write_pictures(tmp_path / "in", 3)
    with PixelSource(tmp_path / "in", tmp_path, 3, 0) as source:
        for path in paths:
            source.add(scan_file(tmp_path / "in", Path(path.name)))
        paths[1].unlink()
        if change == "changed":
            paths[1].write_bytes(picture_bytes((1, 2, 3)))

        images = source.read(np.arange(3))

        assert list(source.lost) == [1]
        assert source.lost[1].code == "changed"
        assert (images[1] == 128).all()
        assert not (images[2] == 128).all()


def test_the_cache_leaves_no_file_behind_a_killed_process(tmp_path):
    """The cache has no name, so kill -9 frees it."""
    script = (
        "import os, signal, pathlib\nfrom indexer.folder.dataset import PixelSource\n"
        f"p = pathlib.Path({str(tmp_path)!r})\n"
        "PixelSource(p, p, 10, 10**9)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )

    subprocess.run([sys.executable, "-c", script], check=False)

    assert list(tmp_path.iterdir()) == []
