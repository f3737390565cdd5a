"""Rate limit, trusted proxies and scripts of other sites, over the whole application."""

from __future__ import annotations

import pytest

from service.errors import SettingsError
from service.settings import Settings
from tests.helpers.openapi import check_described


@pytest.fixture
def client_of(place, app_of):
    """Give a function options -> client."""
    place.publish(n_clusters=3)

    def make(**options):
        return app_of(Settings(data=place.data.root, **options)).test_client()

    return make


def statuses(client, n, address="/api/v1/collection", **how):
    """Ask some times; return what was answered."""
    return [client.get(address, **how).status_code for _ in range(n)]


def from_(address):
    """Ask from an address."""
    return {"environ_base": {"REMOTE_ADDR": address}}


def forwarded(*addresses):
    """Return the header that proxies write."""
    return {"headers": {"X-Forwarded-For": ", ".join(addresses)}}


def test_who_asks_too_much_hears_429(client_of):
    """As the document says, with Retry-After; other addresses go on."""
    client = client_of(rate_limit="3/hour")
    document = client.get("/openapi.json", **from_("192.0.2.9")).json
    assert statuses(client, 4) == [200, 200, 200, 429]
    answer = client.get("/api/v1/collection")
    assert answer.json["error"]["code"] == "rate_limited"
    assert 1 <= int(answer.headers["Retry-After"]) <= 3601
    check_described(document, "/api/v1/collection", "get", answer)
    assert "<html" in client.get("/").text
    assert client.get("/").status_code == 429
    assert statuses(client, 1, **from_("192.0.2.1")) == [200]


def test_no_limit_is_the_default(client_of):
    """Nothing is counted unless it is asked for."""
    assert set(statuses(client_of(), 50)) == {200}


def test_what_a_page_brings_along_is_free(client_of):
    """Thumbnails, style and health checks are not counted, or one page would use a limit up."""
    client = client_of(rate_limit="2/hour")
    image = client.get("/api/v1/images?limit=1").json["images"][0]
    free = [image["thumbnail_url"], image["file_url"], "/static/lookalike.css",
            "/docs/swagger-ui.css", "/livez", "/readyz", "/metrics"]  # fmt: skip
    for address in free * 2:
        with client.get(address) as answer:
            assert answer.status_code == 200
    assert statuses(client, 2) == [200, 429]


def test_batch_counts_as_its_searches(client_of):
    """Ten searches in one request are ten."""
    client = client_of(rate_limit="12/hour")
    body = {"searches": [{"id": "none"}] * 10}
    assert client.post("/api/v1/search/batch", json=body).status_code == 200
    assert client.post("/api/v1/search/batch", json=body).status_code == 429


def test_each_key_has_a_limit_of_its_own(client_of):
    """Keys are counted wherever they are used; what carries none is counted by address."""
    client = client_of(rate_limit="2/hour", api_key=("a", "b"))
    for key, sender in [("a", "192.0.2.1"), ("a", "192.0.2.2"), ("b", "192.0.2.1")]:
        how = {"headers": {"X-API-Key": key}, **from_(sender)}
        assert statuses(client, 1, **how) == [200]
    assert statuses(client, 1, headers={"X-API-Key": "a"}, **from_("192.0.2.3")) == [429]
    guesses = [{"headers": {"X-API-Key": str(n)}, **from_("192.0.2.4")} for n in range(4)]
    assert [statuses(client, 1, **how)[0] for how in guesses] == [401, 401, 429, 429]


def test_forwarded_address_is_ignored_without_proxies(client_of):
    """Who writes the header itself is still counted by its own address."""
    client = client_of(rate_limit="2/hour")
    asked = [statuses(client, 1, **forwarded(f"192.0.2.{n}"))[0] for n in range(3)]
    assert asked == [200, 200, 429]


def test_forwarded_address_is_believed_as_far_as_proxies_wrote_it(client_of):
    """With one proxy the last address counts, whatever the client has written before it."""
    client = client_of(rate_limit="2/hour", proxies=1)
    asked = [statuses(client, 1, **forwarded(f"10.0.0.{n}", "192.0.2.1"))[0] for n in range(3)]
    assert asked == [200, 200, 429]
    assert statuses(client, 1, **forwarded("192.0.2.1", "192.0.2.2")) == [200]


def test_second_proxy_moves_the_address_by_one(client_of):
    """With two proxies the last but one counts."""
    client = client_of(rate_limit="1/hour", proxies=2)
    assert statuses(client, 1, **forwarded("192.0.2.1", "10.0.0.1")) == [200]
    assert statuses(client, 1, **forwarded("192.0.2.1", "10.0.0.2")) == [429]
    assert statuses(client, 1, **forwarded("192.0.2.2", "10.0.0.1")) == [200]


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


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("RATE_LIMIT", "often"),
        ("RATE_LIMIT", "60"),
        ("CORS_ORIGINS", "app.example"),
        ("CORS_ORIGINS", "https://app.example/"),
        ("CORS_ORIGINS", "https://app.example/x"),
        ("PROXIES", "-1"),
    ],
)
def test_impossible_guard_stops_the_start(name, text):
    """A limit or an origin that would never hold is refused with a sentence."""
    with pytest.raises(SettingsError, match=f"LOOKALIKE_{name} must be"):
        Settings.from_environment({f"LOOKALIKE_{name}": text})


def test_guards_are_read_from_the_environment():
    """Several origins and limits reach their fields."""
    settings = Settings.from_environment(
        {
            "LOOKALIKE_RATE_LIMIT": "5/second;1000/day",
            "LOOKALIKE_CORS_ORIGINS": "https://a.example, http://localhost:3000",
            "LOOKALIKE_PROXIES": "1",
        }
    )
    assert settings.rate_limit == "5/second;1000/day"
    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")
    assert settings.proxies == 1
