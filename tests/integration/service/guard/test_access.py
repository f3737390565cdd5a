from __future__ import annotations

import base64

import pytest

from service.settings import Settings
from tests.helpers.openapi import check_described

KEYS = ("first key", "zweiter-Schlüssel")
GUARDED = [
    "/", "/browse", "/groups", "/docs", "/openapi.json", "/static/upload.js", "/nothing",
    "/api/v1/collection", "/api/v1/images", "/api/v1/nothing",
]  # fmt: skip


def basic(password, name="anybody"):
    """Return the header that a browser sends."""
    text = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


def utf8(text):
    """Return a header's text as WSGI hands it on."""
    return text.encode().decode("latin-1")


@pytest.fixture
def locked(place, app_of):
    """Give a client of a service that asks for one of two keys."""
    place.publish(n_clusters=3)
    return app_of(Settings(data=place.data.root, api_key=KEYS)).test_client()


@pytest.mark.parametrize("address", GUARDED)
def test_nothing_is_told_without_a_key(locked, address):
    """Pages, files, API and unknown addresses alike ask for a key, in a way browsers know."""
    answer = locked.get(address)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert "Content-Security-Policy" in answer.headers
    assert answer.is_json == address.startswith("/api/")


@pytest.mark.parametrize("address", ["/livez", "/readyz"])
def test_health_is_open(locked, address):
    """A load balancer needs no key."""
    assert locked.get(address).status_code == 200


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("way", ["header", "bearer", "basic"])
def test_every_key_opens_in_every_way(locked, key, way):
    """Both keys are as good, in a header, as a token and as a password."""
    headers = {
        "header": {"X-API-Key": utf8(key)},
        "bearer": {"Authorization": f"Bearer {utf8(key)}"},
        "basic": basic(key),
    }[way]
    for address in ("/", "/api/v1/collection"):
        assert locked.get(address, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": ""},
        {"X-API-Key": "first"},
        {"X-API-Key": "first key "},
        {"X-API-Key": "FIRST KEY"},
        {"X-API-Key": "first key,zweiter-Schl\xc3\xbcssel"},
        {"X-API-Key": "wrong", **basic("first key")},
        {"Authorization": "first key"},
        {"Authorization": "Digest first key"},
        {"Authorization": "Basic %%%"},
        {"Authorization": "Bearer"},
        basic("", name="first key"),
        basic("wrong"),
    ],
)
def test_wrong_key_opens_nothing(locked, headers):
    """What is not exactly a key is none, whichever way it comes."""
    assert locked.get("/api/v1/collection", headers=headers).status_code == 401


def test_no_cache_on_the_way_keeps_an_answer(locked):
    """What was told to somebody with a key is not told to the next by a proxy."""
    image = locked.get("/api/v1/images", headers={"X-API-Key": KEYS[0]}).json["images"][0]
    for address in (image["thumbnail_url"], image["file_url"], "/", "/api/v1/collection"):
        with locked.get(address, headers={"X-API-Key": KEYS[0]}) as answer:
            assert answer.status_code == 200
            assert answer.cache_control.private
            assert not answer.cache_control.public


def test_key_is_not_said_back(locked):
    """A key that somebody has mistyped does not stand in the answer."""
    answer = locked.get("/api/v1/collection", headers={"X-API-Key": "geheim"})
    assert "geheim" not in answer.text
    assert "first key" not in answer.text


def test_refusal_is_as_described(locked):
    """The 401 stands in the document, with the ways to send a key."""
    document = locked.get("/openapi.json", headers={"X-API-Key": "first key"}).json
    check_described(document, "/api/v1/collection", "get", locked.get("/api/v1/collection"))
    assert len(document["components"]["securitySchemes"]) == 3


def test_keys_are_read_from_the_environment():
    """Several are given with commas, and never shown where the settings are."""
    settings = Settings.from_environment({"LOOKALIKE_API_KEY": " a key ,b,"})
    assert settings.api_key == ("a key", "b")
    assert "a key" not in repr(settings)
    assert Settings.from_environment({}).api_key == ()
