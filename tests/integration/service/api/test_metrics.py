from __future__ import annotations

import io
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.context import KEY
from service.settings import Settings
from tests.helpers.pictures import picture_bytes
from tests.integration.service.guard.test_access import KEYS


def read(client, **how):
    """Return the samples at /metrics: by name, a list of (labels, value)."""
    answer = client.get("/metrics", **how)
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(found, name, **labels):
    """Return the one sample with these labels; 0 if there is none."""
    return sum(v for given, v in found.get(name, []) if given.items() >= labels.items())


@pytest.fixture
def grown(client):
    """Give a function (name, labels) -> how much it has grown since the test began."""
    before = read(client)

    def growth(name, **labels):
        return value(read(client), name, **labels) - value(before, name, **labels)

    return growth


def upload(client, data):
    """Search with a picture."""
    return client.post("/api/v1/search", data={"image": (io.BytesIO(data), "secret-name.png")})


def test_requests_are_counted_by_route_and_status(client, ids, grown):
    """By the route's template, not by its address."""
    for image_id in list(ids.values())[:3]:
        client.get(f"/api/v1/images/{image_id}")
    client.get("/api/v1/images/none")
    client.get("/no/such/address")
    route = {"method": "GET", "route": "/api/v1/images/<image_id>"}
    assert grown("lookalike_requests_total", **route, status="200") == 3
    assert grown("lookalike_requests_total", **route, status="404") == 1
    assert grown("lookalike_requests_total", method="-", route="-", status="404") == 1


def test_times_are_kept_by_mode_and_stage(client, grown):
    """Of two uploads one was encoded; decoding, encoding and searching have times of their own."""
    new = picture_bytes((3, 99, 3))
    assert upload(client, new).json["mode"] == "encoded"
    by_mode = {"route": "/api/v1/search", "mode": "encoded"}
    assert grown("lookalike_request_seconds_count", **by_mode) == 1
    assert grown("lookalike_request_seconds_sum", **by_mode) > 0
    for stage in ("slot", "capacity", "decode", "encode", "search"):
        assert grown("lookalike_stage_seconds_count", stage=stage) >= 1
    black = client.get("/api/v1/images?limit=1").json["images"][0]["id"]
    client.get(f"/api/v1/images/{black}/similar")
    assert grown("lookalike_stage_seconds_count", stage="encode") == 1
    similar = {"route": "/api/v1/images/<image_id>/similar", "mode": "cached"}
    assert grown("lookalike_request_seconds_count", **similar) == 1


def test_rejections_are_counted_by_reason(client, grown):
    """Each error by its code."""
    upload(client, b"no picture")
    upload(client, picture_bytes()[:60])
    client.post("/api/v1/search", json={})
    for reason in ("unsupported_type", "undecodable", "invalid"):
        assert grown("lookalike_rejected_total", reason=reason) == 1


def test_request_in_flight_is_counted_once(client):
    """A request that has failed is no longer in flight."""
    before = value(read(client), "lookalike_in_flight")
    assert client.get("/api/v1/images/none").status_code == 404
    assert client.put("/api/v1/search").status_code == 405
    assert client.get("/nothing").status_code == 404
    assert value(read(client), "lookalike_in_flight") == before


def test_snapshot_is_named_with_its_age(client):
    """Which one answers, how many pictures it has, and how old it is."""
    found = read(client)
    about = client.get("/api/v1/collection").json
    ((labels, one),) = found["lookalike_snapshot_info"]
    assert labels["snapshot"] == about["snapshot"]
    assert one == 1
    assert value(found, "lookalike_snapshot_images") == about["n_images"]
    assert 0 <= value(found, "lookalike_snapshot_age_seconds") < 600
    assert value(found, "lookalike_snapshot_workers", snapshot=about["snapshot"]) == 1


def test_replaced_snapshot_is_forgotten(place, client):
    """After a swap the workers are counted under the new one, and the old one is not listed."""
    old = client.get("/api/v1/collection").json["snapshot"]
    new = place.publish(n_clusters=2)

    client.application.extensions[KEY].holder.look()
    listed = {labels["snapshot"] for labels, _ in read(client)["lookalike_snapshot_workers"]}
    assert new in listed
    assert old not in listed


def test_without_a_snapshot_the_rest_is_told(empty_client):
    """The other metrics are there before the first snapshot."""
    found = read(empty_client)
    assert "lookalike_snapshot_info" not in found
    assert value(found, "lookalike_in_flight") >= 1


def test_nothing_that_a_client_has_sent_is_a_label(client):
    """Neither names of files, nor addresses, nor ids, nor unheard-of methods."""
    upload(client, picture_bytes((5, 5, 9)))
    client.get("/similar/secret-id?who=secret-query")
    client.get("/secret-address")
    client.open("/", method="SECRET")
    answer = client.get("/metrics", headers={"X-Request-ID": "secret-request"})
    assert not re.search("secret", answer.text, re.I)


def test_metrics_ask_for_a_key_where_one_is_set(place, app_of):
    """Counts tell who uses a service how much, so they are as private as the rest."""
    client = app_of(Settings(data=place.data.root, api_key=KEYS)).test_client()
    assert client.get("/metrics").status_code == 401
    assert read(client, headers={"Authorization": f"Bearer {KEYS[0]}"})
