from __future__ import annotations

import io

import pytest
from jsonschema import Draft202012Validator

from tests.helpers.openapi import check_described
from tests.helpers.pictures import picture_bytes

ASKED = [
    ("/api/v1/search", "post", lambda ids: {"json": {"vector": [1, 0, 0, 1], "with_vector": True}}),
    ("/api/v1/search", "post", lambda ids: {"json": {"id": "none"}}),
    ("/api/v1/search", "post", lambda ids: {"json": {"id": 1, "limit": "x"}}),
    ("/api/v1/search", "post", lambda ids: {"data": b"{", "content_type": "application/json"}),
    ("/api/v1/search", "post", lambda ids: {"data": b"x", "content_type": "text/plain"}),
    ("/api/v1/search", "post", lambda ids: {"data": {"image": (io.BytesIO(b"x"), "a")}}),
    ("/api/v1/search", "post", lambda ids: {"data": {"image": (picture(), "a"), "limit": "2"}}),
    ("/api/v1/search/batch", "post", lambda ids: {"json": {"searches": [{"id": i} for i in ids]}}),
    ("/api/v1/search/batch", "post", lambda ids: {"json": {"searches": [{}, {"id": "none"}]}}),
    ("/api/v1/search/batch", "post", lambda ids: {"json": {}}),
    ("/api/v1/encode", "post", lambda ids: {"data": {"image": (picture(), "a")}}),
    ("/api/v1/images", "get", lambda ids: {}),
    ("/api/v1/images", "get", lambda ids: {"query_string": {"limit": 0}}),
    ("/api/v1/images/{image_id}", "get", lambda ids: {"image_id": ids[0]}),
    ("/api/v1/images/{image_id}", "get", lambda ids: {"image_id": "none"}),
    ("/api/v1/images/{image_id}/similar", "get", lambda ids: {"image_id": ids[0]}),
    ("/api/v1/clusters", "get", lambda ids: {}),
    ("/api/v1/clusters/{label}", "get", lambda ids: {"label": "0"}),
    ("/api/v1/clusters/{label}", "get", lambda ids: {"label": "99"}),
    ("/api/v1/duplicates", "get", lambda ids: {}),
    ("/api/v1/duplicates", "get", lambda ids: {"query_string": {"threshold": 2}}),
    ("/api/v1/collection", "get", lambda ids: {}),
    ("/livez", "get", lambda ids: {}),
    ("/readyz", "get", lambda ids: {}),
]


def picture():
    """Return a file that nobody has indexed."""
    return io.BytesIO(picture_bytes((3, 3, 3)))


def asked(client, path, method, how):
    """Send a request to a route and return the answer."""
    for name in ("image_id", "label"):
        path = path.replace(f"{{{name}}}", how.pop(name, ""))
    return getattr(client, method)(path, **how)


@pytest.fixture
def document(client):
    """Give the document as it is served."""
    return client.get("/openapi.json").json


@pytest.mark.parametrize(("path", "method", "how"), ASKED)
def test_answer_is_as_described(client, ids, document, path, method, how):
    """Every status and every field that is answered stands in the document."""
    check_described(document, path, method, asked(client, path, method, how(list(ids.values()))))


@pytest.mark.parametrize("path", ["/readyz", "/api/v1/collection", "/api/v1/images"])
def test_answer_without_a_snapshot_is_as_described(empty_client, path):
    """So does the 503 before the first snapshot."""
    document = empty_client.get("/openapi.json").json
    check_described(document, path, "get", empty_client.get(path))


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"id": "a"}, True),
        ({"id": "a", "vector": None}, True),
        ({"id": None}, False),
        ({"id": "a", "vector": [1]}, False),
        ({"limit": 3}, False),
        ({"id": "a", "limt": 3}, False),
        ({"id": "a", "limit": 1001}, False),
        ({"id": "a", "filter": {"must": [{"key": "path", "match": {"value": "a"}}]}}, True),
        ({"id": "a", "filter": {"must": [{"key": "path"}]}}, False),
        (
            {"id": "a", "filter": {"must": [{"key": "w", "match": {"value": 1}, "range": {}}]}},
            False,
        ),
    ],
)
def test_document_accepts_what_the_service_accepts(client, ids, document, body, fits):
    """A body that the document refuses is a 422, and none that it allows is."""
    schema = {"$ref": "#/components/schemas/SearchBody", "components": document["components"]}
    assert Draft202012Validator(schema).is_valid(body) == fits
    status = client.post("/api/v1/search", json=body).status_code
    assert status == (404 if fits else 422)  # there is no picture `a`


def test_docs_page_may_ask_only_this_server(client):
    """The page that tries the API adds one permission to the policy, and takes none away."""
    plain = client.get("/").headers["Content-Security-Policy"]
    policy = client.get("/docs").headers["Content-Security-Policy"]
    assert policy == f"{plain}; connect-src 'self'"


@pytest.mark.parametrize("name", ["index.html", "oauth2-redirect.html", "..%2fLICENSE", "x"])
def test_only_two_files_of_the_package_are_served(client, name):
    """Nothing else that the package carries can be had."""
    assert client.get(f"/docs/{name}").status_code == 404
