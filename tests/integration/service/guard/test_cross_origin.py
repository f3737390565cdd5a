"""What a browser lets scripts of other sites do."""

from __future__ import annotations

import pytest

ORIGIN = "https://app.example"


def preflight(client, origin=ORIGIN, address="/api/v1/search"):
    """Ask as a browser does before it sends a script's request."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key, content-type",
    }
    return client.options(address, headers=headers)


def about_origins(answer):
    """Return the headers that speak of origins."""
    return {n: v for n, v in answer.headers.items() if n.startswith("Access-Control")}


def test_other_sites_are_told_nothing_by_default(client_of):
    """Without the setting no header speaks of origins."""
    client = client_of()
    assert about_origins(preflight(client)) == {}
    answer = client.get("/api/v1/collection", headers={"Origin": ORIGIN})
    assert (answer.status_code, about_origins(answer)) == (200, {})


def test_named_site_may_ask(client_of):
    """Its preflight is answered, also where a key will be needed, and it may read answers."""
    client = client_of(cors_origins=(ORIGIN, "http://localhost:3000"), api_key=("k",))
    allowed = preflight(client)
    assert allowed.status_code == 204
    assert allowed.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
    assert "X-API-Key" in allowed.headers["Access-Control-Allow-Headers"]
    for key, status in [("k", 200), ("wrong", 401)]:
        answer = client.get("/api/v1/collection", headers={"Origin": ORIGIN, "X-API-Key": key})
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Origin" in answer.headers["Vary"]
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://app.example.evil", "http://app.example", "null", ""]
)
def test_other_origins_are_not_named(client_of, origin):
    """An origin that is only similar gets no permission."""
    client = client_of(cors_origins=(ORIGIN,))
    assert about_origins(preflight(client, origin)) == {}
    answer = client.get("/api/v1/collection", headers={"Origin": origin})
    assert about_origins(answer) == {}
    assert "Origin" in answer.headers["Vary"]


def test_all_sites_may_be_let_in(client_of):
    """With `*` every site may ask, still without anybody's password."""
    answer = preflight(client_of(cors_origins=("*",)), "https://any.example")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
