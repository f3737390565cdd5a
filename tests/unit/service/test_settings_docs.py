from __future__ import annotations

import re

import pytest

from service.errors import CODES
from service.schemas import ImageInfo, SearchBody, SearchResponse, SearchResult
from service.settings import Settings, markdown_list
from tests.helpers import paths
from tests.helpers.apps import running_app

DOCS = (paths.ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")


def test_settings_list_is_the_generated_one():
    """docs/http-api.md lists the settings as the code has them."""
    assert markdown_list() in DOCS


def test_every_route_is_described(tmp_path):
    """No address is served that the document does not name."""
    with running_app(Settings(data=tmp_path)) as app:
        pass
    rules = {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"}
    written = {re.sub(r"<(?:int:)?(?:image_)?(\w+)>", r"{\1}", rule) for rule in rules}
    assert {rule for rule in written if f"{rule}`" not in DOCS} == set()


@pytest.mark.parametrize("model", [SearchBody, SearchResponse, SearchResult, ImageInfo])
def test_every_field_is_described(model):
    """No field comes or goes that the document does not name."""
    assert {
        name for name in model.model_fields if f"`{name}`" not in DOCS and f'"{name}"' not in DOCS
    } == set()


def test_every_error_code_is_described():
    """Each status and code that is given stands in the table of errors."""
    for status, code in CODES.items():
        assert f"| {status} | `{code}` |" in DOCS
