"""An encoder that has been trained, for all tests of the indexer."""

import shutil

import pytest

from index.snapshot import DataFolder
from tests.helpers.commands import run
from tests.helpers.pictures import write_pictures
from tests.helpers.sharing import made_once


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    """Give a folder with an encoder that has been trained for two steps."""
    return made_once(tmp_path_factory, "encoder", train) / "kept"


def train(folder):
    """Train an encoder on a few pictures."""
    write_pictures(folder / "images", 8)
    assert run("build", folder / "images", "--data", folder / "data", "--steps", 2) == 0
    with DataFolder(folder / "data").open_current() as snapshot:
        shutil.copytree(snapshot.folder, folder / "kept")
