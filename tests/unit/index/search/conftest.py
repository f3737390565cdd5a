"""Small published collections to search in."""

from __future__ import annotations

import numpy as np
import pytest

from index.snapshot import DataFolder
from tests.helpers.fakes import FakeEncoder
from tests.helpers.published import publish_vectors


@pytest.fixture
def snapshot_of(tmp_path):
    """Give a function vectors -> open snapshot of them."""
    opened = []

    def make(vectors, **how):
        data = DataFolder(tmp_path / f"data{len(opened)}")
        publish_vectors(data, np.asarray(vectors, np.float32), **how)
        opened.append(data.open_current())
        return opened[-1]

    yield make
    for snapshot in opened:
        snapshot.close()


@pytest.fixture
def colours(snapshot_of):
    """Give a collection of black, red, green and white, encoded by the fake encoder."""
    plain = [[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 255, 255]]
    images = np.broadcast_to(np.array(plain, np.uint8)[:, None, None], (4, 256, 256, 3))
    return snapshot_of(FakeEncoder().encode(images))
