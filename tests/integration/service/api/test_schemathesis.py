"""What schemathesis makes of the OpenAPI document, against the real application."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import negative_data_rejection, positive_data_acceptance

from index.snapshot import DataFolder
from service.api.openapi import document
from service.settings import Settings
from tests.helpers.apps import running_app
from tests.helpers.pictures import write_pictures
from tests.helpers.published import QUALITY, publish_pictures

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")


schema = schemathesis.openapi.from_dict(document())
PLAIN = settings(
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # a shrunk request would only cost time
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module", autouse=True)
def app(tmp_path_factory):
    """Let the schema ask an application over a small collection with groups and metadata."""
    folder = tmp_path_factory.mktemp("schemathesis")
    write_pictures(folder / "pictures", 6)
    data = DataFolder(folder / "data")
    metadata = {"001.png": {"mood": "<i>dark</i>", "year": 1999}}
    publish_pictures(data, folder / "pictures", n_clusters=2, files=QUALITY, metadata=metadata)
    with running_app(Settings(data=data.root)) as app:
        app.config["PROPAGATE_EXCEPTIONS"] = False
        schema.app = app
        yield app


def asked(case):
    """Send what schemathesis made up, and hold the answer to the document.

    One check is left out: whether a picture's bytes, a filter's keys or a region's corner are
    right is more than a schema can say, so such a request fits it and is a 422 nevertheless.
    Of forms also its opposite: a wrong value such as an empty list leaves no field behind.
    """
    left_out = [positive_data_acceptance]
    if case.media_type == "multipart/form-data":
        left_out.append(negative_data_rejection)
    case.call_and_validate(
        app=schema.app,
        headers={"Accept-Encoding": "identity"},  # the test client does not unpack
        excluded_checks=left_out,
    )


@schema.parametrize()
@settings(PLAIN, max_examples=10, derandomize=True)
def test_every_answer_is_as_described(case):
    """No 5xx, no undocumented status, type or header, no answer that its schema does not allow."""
    asked(case)


@pytest.mark.long
@schema.parametrize()
@settings(PLAIN, max_examples=400)
def test_every_answer_is_as_described_for_longer(case):
    """The same with hundreds of requests to each route, other ones every time."""
    asked(case)
