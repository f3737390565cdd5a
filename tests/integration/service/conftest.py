"""A running application over a small real collection."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from index.snapshot import DataFolder
from service.settings import Settings
from tests.helpers.apps import running_app
from tests.helpers.pictures import picture_bytes, write_pictures
from tests.helpers.published import QUALITY, publish_pictures

N_NOISE = 10


@dataclass
class Place:
    """Where a collection's pictures and data lie.

    The pictures, by row: ten of noise, a copy of the first, and the colours black and red.
    """

    pictures: Path
    data: DataFolder

    def publish(self, **how) -> str:
        """Publish the pictures, in the order of their names."""
        return publish_pictures(self.data, self.pictures, **how)


@pytest.fixture
def place(tmp_path):
    """Give the pictures, and a data folder without a snapshot."""
    pictures = tmp_path / "pictures"
    first = write_pictures(pictures, N_NOISE)[0]
    (pictures / "later").mkdir()
    shutil.copy(first, pictures / "copy.png")
    (pictures / "later" / "black.png").write_bytes(picture_bytes((0, 0, 0)))
    (pictures / "later" / "red & <b>.png").write_bytes(picture_bytes((255, 0, 0), (30, 20)))
    return Place(pictures, DataFolder(tmp_path / "data"))


@pytest.fixture
def app_of():
    """Give a function Settings, open_encoder -> app; what it opens is closed at the end."""
    with ExitStack() as stack:
        yield lambda *how: stack.enter_context(running_app(*how))


@pytest.fixture
def client(place, app_of):
    """Give a client of an application with groups, thumbnails, quality and metadata."""
    place.publish(n_clusters=3, files=QUALITY, metadata={"black.png": {"mood": "<i>dark</i>"}})
    settings = Settings(data=place.data.root, max_body_bytes=8 * 2**20, poll_s=0.02)
    return app_of(settings).test_client()


@pytest.fixture
def empty_client(place, app_of):
    """Give a client of an application without a snapshot."""
    return app_of(Settings(data=place.data.root, poll_s=0.02)).test_client()


@pytest.fixture
def ids(client):
    """Give every picture's id by its path."""
    images = client.get("/api/v1/images?limit=1000").json["images"]
    return {image["path"]: image["id"] for image in images}


@pytest.fixture
def client_of(place, app_of):
    """Give a function options -> client."""
    place.publish(n_clusters=3)

    def make(**options):
        return app_of(Settings(data=place.data.root, **options)).test_client()

    return make
