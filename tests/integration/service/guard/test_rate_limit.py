"""Rate limits, and the addresses by which clients are known behind proxies."""

from __future__ import annotations

from tests.helpers.openapi import check_described


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
