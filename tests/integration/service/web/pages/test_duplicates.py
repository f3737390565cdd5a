"""The list of duplicates."""

from __future__ import annotations

import re

from index.snapshot import DataFolder
from service.settings import Settings
from tests.helpers.pictures import picture_bytes
from tests.helpers.published import publish_pictures


def test_copies_are_compared(client):
    """A copy is shown beside its original, with kind, size and a link to both files."""
    html = client.get("/duplicates?threshold=1").text
    assert "1 group of duplicates" in html
    (card,) = html.split('<section class="copies"')[1:]
    assert "Identical files" in card
    assert card.count("64 × 48") == 2
    assert len(set(re.findall(r'href="(/api/v1/images/[^"]+/file)"', card))) == 2


def test_no_duplicates(tmp_path, app_of):
    """The page says that a collection has no duplicates."""
    place = DataFolder(tmp_path / "data")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.png").write_bytes(picture_bytes((255, 0, 0)))
    (tmp_path / "p" / "b.png").write_bytes(picture_bytes((0, 0, 255)))
    publish_pictures(place, tmp_path / "p")
    html = app_of(Settings(data=place.root)).test_client().get("/duplicates").text
    assert "No pictures are this similar." in html
