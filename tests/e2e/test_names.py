"""File names of every kind, and links in loops, from the folder to the answer and back."""

import json
import os
import urllib.parse
import urllib.request

import pytest

from tests.helpers.clients import get, get_bytes, search
from tests.helpers.commands import run_process
from tests.helpers.paths import GOLDEN_ENCODER
from tests.helpers.pictures import noise_picture
from tests.helpers.servers import Collection, running

NAMES = [
    b"a b.png",
    b" spaces around .png",
    b'it\'s "quoted".png',
    b"line\nbreak\ttab.png",
    b"caf\xe9 \xff.png",  # not UTF-8
    b"back\\slash.png",
    b"<b>&amp;.png",
    b"100% #1?.png",
    b"%2e%2e%2fup.png",
    b"-rf.png",
    "été 猫 🦊.png".encode(),
    b"x" * 240 + b".png",
]
DANGLING, ITSELF = "nowhere.png", "itself.png"


def write(folder, names):
    """Write a different picture under each name, and return the names that the disk takes."""
    written = []
    for seed, name in enumerate(names):
        path = os.fsencode(folder) + b"/" + name
        try:
            with open(path, "wb") as file:
                noise_picture(seed).save(file, "PNG")
        except OSError:  # macOS takes no name that is not UTF-8
            continue
        written.append(name)
    return written


def indexer(data, *command):
    """Run the command line and return what it printed as JSON, or as text."""
    ended = run_process(*command, "--data", data)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout) if "--json" in command else ended.stdout


def readable(name):
    """Return a name as answers show it."""
    return name.decode("utf-8", "backslashreplace")


@pytest.fixture
def place(tmp_path):
    """Give a collection of pictures with such names, among links in loops."""
    images, outside = tmp_path / "images", tmp_path / "outside"
    images.mkdir()
    outside.mkdir()
    names = write(images, NAMES)
    noise_picture(100).save(outside / "linked.png")
    (images / "sub").mkdir()
    (images / "sub" / "up").symlink_to("..")
    (images / "loop").symlink_to(".")
    (images / "other").symlink_to(outside)
    (outside / "back").symlink_to(images)
    (images / DANGLING).symlink_to("gone.png")
    (images / ITSELF).symlink_to(ITSELF)
    data = tmp_path / "data"
    indexer(data, "build", images, "--encoder", GOLDEN_ENCODER, "--clusters", 2)
    return Collection(images, data), names


def images_of(server):
    """Return the pictures that the service lists, by path."""
    return {one["path"]: one for one in get(server, "/api/v1/images?limit=100")["images"]}


def test_every_name_leads_to_its_picture(place, tmp_path):
    """Listed, found by its bytes, sent as file and thumbnail, and shown on its page."""
    collection, names = place
    with running(collection, tmp_path / "log", LOOKALIKE_WORKERS="1") as server:
        listed = images_of(server)
        assert set(listed) == {*map(readable, names), "other/linked.png"}
        for name in names:
            one = listed[readable(name)]
            with open(os.fsencode(collection.pictures) + b"/" + name, "rb") as file:
                content = file.read()
            assert search(server, content)["results"][0]["path"] == readable(name)
            address = f"/api/v1/images/{urllib.parse.quote(one['id'])}"
            assert get_bytes(server, address + "/file") == content
            assert get_bytes(server, address + "/thumbnail").startswith(b"\xff\xd8")
        pages = b"".join(get_bytes(server, page) for page in ("/", "/browse", "/groups"))
        assert b"<b>&amp;.png" not in pages  # it would be markup


def test_every_name_is_told_apart_by_reindexing(place):
    """Nothing has changed, then everything has moved and kept its id, then one is gone."""
    collection, names = place
    told = indexer(collection.data, "reindex", "--json")
    assert (told["snapshot"], told["added"], told["moved"], told["removed"]) == (None, [], [], [])
    assert {one["path"] for one in told["skipped"]} == {DANGLING, ITSELF}

    os.rename(collection.pictures, collection.pictures.with_name("renamed"))
    renamed = collection.pictures.with_name("renamed")
    (renamed / "new folder").mkdir()
    for name in names:
        folder = os.fsencode(renamed)
        os.rename(folder + b"/" + name, folder + b"/new folder/" + name)
    told = indexer(collection.data, "reindex", renamed, "--json")
    assert set(told["moved"]) == {f"new folder/{readable(name)}" for name in names}
    # The folder outside is linked as before, and its link back leads nowhere now.
    assert (told["added"], told["changed"], told["removed"]) == ([], [], [])

    os.unlink(os.fsencode(renamed) + b"/new folder/" + names[3])
    told = indexer(collection.data, "reindex", "--json")
    assert told["removed"] == [f"new folder/{readable(names[3])}"]
    assert "is sound" in indexer(collection.data, "verify", "--all")
