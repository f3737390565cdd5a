from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from index.search.ranking import Options
from index.snapshot import DataFolder
from models.preprocess import Limits
from service import search
from service.images.decoding import Decoding
from service.snapshots import Live
from tests.helpers.fakes import FakeEncoder
from tests.helpers.pictures import picture_bytes
from tests.helpers.published import publish_vectors


class CropEncoder(FakeEncoder):
    """One crop of every picture: as a fully green one."""

    def encode_query(self, pixels):
        """Return the row of the pixels, and that of a green picture."""
        green = np.broadcast_to(np.array([0, 255, 0], np.uint8), (256, 256, 3))
        return self.encode(np.stack([pixels, green]))


@pytest.fixture
def colours_of(tmp_path):
    """Give a function encoder -> Live over a collection of black, red, green and white."""
    plain = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 255, 255]], np.uint8)
    images = np.broadcast_to(plain[:, None, None], (4, 256, 256, 3))
    data = DataFolder(tmp_path / "data")
    publish_vectors(data, FakeEncoder().encode(images))
    with data.open_current() as snapshot:
        yield lambda encoder: Live(snapshot, encoder)


def test_new_picture_is_encoded(colours_of):
    """A dark red picture nobody has seen is encoded, and is most like red."""
    live = colours_of(FakeEncoder())
    query = search.query_of_bytes(live, picture_bytes((200, 0, 0)), Decoding(Limits())).query
    found = search.search(live, query, Options(limit=2))
    assert query.mode == found.mode == "encoded"
    assert [one.image.row for one in found.results] == [1, 3]
    # (200/255, 0, 0, 0.5) normalised, times (2, 0, 0, 1) / sqrt(5)
    red = 200 / 255
    assert found.results[0].score == pytest.approx(
        (2 * red + 0.5) / np.sqrt(5 * (red**2 + 0.25)), abs=1e-6
    )


def test_crop_of_a_new_picture_counts_less(colours_of):
    """Dark red is most like red; its crop finds green with a score of 1 - 0.03."""
    live = colours_of(CropEncoder())
    query = search.query_of_bytes(live, picture_bytes((200, 0, 0)), Decoding(Limits())).query
    results = search.search(live, query, Options()).results
    assert [one.image.row for one in results[:2]] == [1, 2]
    assert results[1].score == pytest.approx(0.97, abs=1e-6)


def test_decoded_picture_comes_with_an_encoded_query(colours_of):
    """The pages can show what was uploaded without decoding it again."""
    buffer = io.BytesIO()
    Image.new("RGB", (60, 20), "navy").save(buffer, "PNG")
    found = search.query_of_bytes(colours_of(FakeEncoder()), buffer.getvalue(), Decoding(Limits()))
    assert found.picture is not None
    assert found.picture.size == (60, 20)
