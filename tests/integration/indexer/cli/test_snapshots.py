"""Listing, going back and pruning, over copies of the golden snapshot."""

import json
import shutil
from datetime import datetime

import pytest

from index.snapshot import DataFolder
from tests.golden.make import GOLDEN
from tests.helpers.commands import run
from tests.helpers.published import publish_again


@pytest.fixture
def data(tmp_path):
    """Give a data folder with five snapshots."""
    folder = DataFolder(shutil.copytree(GOLDEN / "schema-1", tmp_path / "data"))
    for _ in range(4):
        publish_again(folder)
    return folder


def snapshots(data, *command):
    """Run `snapshots` in this process and return its exit code."""
    return run("snapshots", *command, "--data", data.root)


def listed(data, capsys):
    """Return what `snapshots list` says."""
    assert snapshots(data, "list", "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_the_list_has_every_snapshot_and_marks_the_live_one(data, capsys):
    """Oldest first, each with its time, pictures and bytes."""
    found = listed(data, capsys)
    assert [one["id"] for one in found] == data.ids()
    assert [one["current"] for one in found] == [False] * 4 + [True]
    for one in found:
        folder = data.snapshots / one["id"]
        content = sum(p.stat().st_size for p in folder.iterdir() if p.name != "manifest.json")
        assert (one["n_images"], one["size_bytes"]) == (8, content)
        assert datetime.fromisoformat(one["created"]).strftime("%Y%m%dT%H%M%S") in one["id"]


def test_going_back_and_forth(data, capsys):
    """Any snapshot can be made the live one; an unknown one is told and nothing changes."""
    ids = data.ids()
    assert snapshots(data, "rollback", ids[1]) == 0
    assert data.current_id() == ids[1]
    assert snapshots(data, "rollback", ids[4]) == 0
    assert data.current_id() == ids[4]
    assert snapshots(data, "rollback", "20200101T000000000000Z-00000000") == 1
    assert "there is no snapshot 2020" in capsys.readouterr().err
    assert (data.current_id(), data.ids()) == (ids[4], ids)


@pytest.mark.parametrize(("options", "kept"), [((), [0, 2, 3, 4]), (("--keep", "1"), [0, 4])])
def test_pruning_keeps_the_newest_and_the_live_one(data, capsys, options, kept):
    """Three by default; the one that was gone back to stays, however old."""
    ids = data.ids()
    data.set_current(ids[0])
    assert snapshots(data, "prune", *options) == 0
    assert data.ids() == [ids[number] for number in kept]
    assert f"removed {5 - len(kept)} snapshots" in capsys.readouterr().out


def test_pruning_leaves_what_is_open(data):
    """As by a service that has not come to the new one yet."""
    ids = data.ids()
    with data.open(ids[1]):
        assert snapshots(data, "prune") == 0
    assert data.ids() == ids[1:]
