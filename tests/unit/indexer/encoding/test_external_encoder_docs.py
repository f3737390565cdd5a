"""docs/external-encoders.md says what the code does."""

import ast
import json
import re

import pytest

from models.external.tflite_encoder import PIXEL_RANGES, SCALING_FIELDS
from tests.helpers import paths

PAGE = (paths.ROOT / "docs" / "external-encoders.md").read_text(encoding="utf-8")


def test_every_range_and_field_is_explained():
    """Each stands in the page in code."""
    for name in (*PIXEL_RANGES, *SCALING_FIELDS):
        assert f"`{name}`" in PAGE


def test_the_json_for_networks_of_pytorch_is_right():
    """It turns a pixel into (pixel / 255 - mean) / deviation, with ImageNet's three of each."""
    found = json.loads(re.search(r"```json\n(.*?)\n```", PAGE, re.DOTALL)[1])

    assert set(found) == set(SCALING_FIELDS)
    moments = zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
    for (mean, deviation), scale, offset in zip(
        moments, found["input_scale"], found["input_offset"], strict=True
    ):
        assert 100 * scale + offset == pytest.approx((100 / 255 - mean) / deviation, abs=1e-4)


def test_every_message_is_one_of_the_code():
    """The words of each message that the page explains are in one text of the code."""
    table = PAGE.split("## What is refused")[1]
    messages = re.findall(r"^\| ([a-z].*?) \| [A-Z]", table, re.M)
    texts = [text for package in ("models", "indexer") for text in formatted_texts(package)]

    assert len(messages) > 3
    for message in messages:
        fixed = re.split(r"\.\.\.|\[.*?\]|\bint8\b|\d outputs", message)  # between the values
        assert any(all(part.strip() in text for part in fixed) for text in texts), message


def formatted_texts(package):
    """Return the source of every f-string of a package, with its parts joined."""
    trees = (ast.parse(path.read_bytes()) for path in (paths.ROOT / package).rglob("*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return [ast.unparse(node) for node in nodes if isinstance(node, ast.JoinedStr)]
