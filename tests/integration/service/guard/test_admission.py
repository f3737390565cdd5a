"""How many requests are worked on at a time, and what the others hear."""

from __future__ import annotations

import base64
import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.guard import deadline
from service.settings import Settings
from tests.helpers.fakes import FakeEncoder
from tests.helpers.openapi import check_described
from tests.helpers.pictures import picture_bytes
from tests.helpers.waiting import PATIENCE_S, wait_for


class SlowEncoder(FakeEncoder):
    """Stand in for an encoder that takes as long as the test wants."""

    def __init__(self):
        self.go, self.n_begun = threading.Event(), 0

    def encode(self, images):
        """Wait, then encode."""
        self.n_begun += 1
        self.go.wait(PATIENCE_S)
        return super().encode(images)


@pytest.fixture
def slow():
    """Give the slow encoder."""
    encoder = SlowEncoder()
    yield encoder
    encoder.go.set()


@pytest.fixture
def busy_app(place, app_of, slow):
    """Give a function options -> application with the slow encoder."""
    place.publish(n_clusters=3)

    def make(**options):
        settings = Settings(data=place.data.root, **options)
        return app_of(settings, lambda snapshot: slow)

    return make


def upload(app, number=0):
    """Send a picture that nobody has indexed; return the answer."""
    files = {"image": (io.BytesIO(picture_bytes((7, number, 7))), "a")}
    return app.test_client().post("/api/v1/search", data=files)


def test_requests_beyond_the_queue_are_refused_at_once(busy_app, slow):
    """Of ten uploads two are worked on, one waits, and seven hear 503 with Retry-After."""
    app = busy_app(threads=2, queue=1, wait_s=60.0, decodes=9)
    with ThreadPoolExecutor(10) as pool:
        first = [pool.submit(upload, app, n) for n in range(2)]
        wait_for(lambda: slow.n_begun == 2)
        rest = [pool.submit(upload, app, n) for n in range(2, 10)]
        wait_for(lambda: sum(one.done() for one in rest) == 7)
        refused = [one.result() for one in rest if one.done()]
        slow.go.set()
        answered = [one.result() for one in [*first, *rest] if one.result() not in refused]
    assert [answer.status_code for answer in refused] == [503] * 7
    assert {answer.json["error"]["code"] for answer in refused} == {"overloaded"}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert [answer.status_code for answer in answered] == [200] * 3
    assert upload(app).status_code == 200  # every slot is free again


def test_waiting_for_a_slot_is_bounded(busy_app, slow):
    """Who waits longer than `wait_s` hears 503, as the document says; pages say it to people."""
    app = busy_app(threads=1, queue=5, wait_s=0.05)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(upload, app)
        wait_for(lambda: slow.n_begun == 1)
        answer = app.test_client().get("/api/v1/collection")
        page = app.test_client().get("/")
        document = app.test_client().get("/openapi.json")
        slow.go.set()
        assert first.result().status_code == 200
    assert (answer.status_code, page.status_code, document.status_code) == (503, 503, 503)
    assert "<html" in page.text
    assert "busy" in page.text
    described = app.test_client().get("/openapi.json").json
    check_described(described, "/api/v1/collection", "get", answer)


@pytest.mark.parametrize("address", ["/livez", "/readyz", "/static/lookalike.css"])
def test_health_and_static_files_need_no_slot(busy_app, slow, address):
    """However busy the service is, a load balancer hears that it lives."""
    app = busy_app(threads=1, queue=0)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(upload, app)
        wait_for(lambda: slow.n_begun == 1)
        with app.test_client().get(address) as answer:
            assert answer.status_code == 200
        slow.go.set()
        first.result()


def test_no_slot_is_lost_by_errors(busy_app, slow):
    """Requests that fail in any way give their slot back."""
    slow.go.set()
    app = busy_app(threads=1, queue=0)
    client = app.test_client()
    for _ in range(3):
        assert client.get("/api/v1/images/none").status_code == 404
        assert client.get("/nothing").status_code == 404
        assert client.put("/api/v1/search").status_code == 405
        assert client.post("/api/v1/search", json={}).status_code == 422
        assert client.post("/api/v1/search", data=b"x" * 2**22).status_code == 415
    assert client.get("/api/v1/collection").status_code == 200


class LateEncoder(FakeEncoder):
    """Stand in for an encoder that uses up the time of each request."""

    def encode(self, images):
        """Wait for the deadline, then encode."""
        wait_for(lambda: deadline.left_s() <= 0)
        return super().encode(images)


def test_batch_that_uses_its_time_is_answered_as_far_as_it_came(place, app_of):
    """Searches begun in time have their answers; the later ones say that the time was up."""
    place.publish()
    app = app_of(Settings(data=place.data.root, request_s=3.0), lambda snapshot: LateEncoder())
    id_ = app.test_client().get("/api/v1/images?limit=1").json["images"][0]["id"]
    picture = picture_bytes((1, 2, 3))
    searches = [{"id": id_}, {"image": base64.b64encode(picture).decode()}, {"id": id_}]
    answer = app.test_client().post("/api/v1/search/batch", json={"searches": searches})
    assert [one["status"] for one in answer.json["answers"]] == [200, 503, 503]
    assert answer.json["answers"][2]["error"]["code"] == "overloaded"
