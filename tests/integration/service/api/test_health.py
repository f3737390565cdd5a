from __future__ import annotations


def test_health(client):
    """Alive, ready, and each check by name."""
    assert client.get("/livez").json == {"status": "alive"}
    ready = client.get("/readyz").json
    assert ready["status"] == "ready"
    assert {"snapshot", "encoder", "index", "topk", "catalogue", "update"} <= set(ready["checks"])
    assert all(check["ok"] for check in ready["checks"].values())


def test_not_ready_is_alive(empty_client):
    """A process without a snapshot is alive, but not ready, and says why."""
    assert empty_client.get("/livez").status_code == 200
    answer = empty_client.get("/readyz")
    assert answer.status_code == 503
    assert "lookalike build" in answer.json["checks"]["snapshot"]["detail"]
