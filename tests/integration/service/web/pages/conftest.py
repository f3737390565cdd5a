"""Collections for the pages."""

from __future__ import annotations

import pytest

from service.settings import Settings
from service.web.results import N_RESULTS
from tests.helpers.pictures import write_pictures


@pytest.fixture
def large_client(tmp_path, place, app_of):
    """Give a client of a collection with more than one page of results."""
    write_pictures(place.pictures, N_RESULTS + 6)
    place.publish(top_k=10)
    return app_of(Settings(data=place.data.root)).test_client()
