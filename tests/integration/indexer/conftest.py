"""An encoder that has been trained, for all tests of the indexer."""

import shutil

import pytest

from index.snapshot import DataFolder
from tests.helpers.commands import run
from tests.helpers.pictures import write_pictures


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    """Train one small encoder for all tests."""
    folder = tmp_path_factory.mktemp("encoder")
    write_pictures(folder / "images", 8)
    assert run("build", folder / "images", "--data", folder / "data", "--steps", 2) == 0
    with DataFolder(folder / "data").open_current() as snapshot:
        return shutil.copytree(snapshot.folder, folder / "kept")
