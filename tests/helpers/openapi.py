"""Answers held to the OpenAPI document."""

from __future__ import annotations

from jsonschema import Draft202012Validator


def check_described(document, path, method, answer):
    """Check that an answer is one that the document promises."""
    promised = document["paths"][path][method]["responses"][str(answer.status_code)]
    schema = promised["content"][answer.mimetype]["schema"]
    whole = {**schema, "components": document["components"]}
    assert list(Draft202012Validator(whole).iter_errors(answer.json)) == []
