"""Health checks: /livez (the process answers) and /readyz (it can answer searches)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from service.context import context
from service.errors import RETRY_AFTER_S, NotReady
from service.snapshots import Live, SnapshotHolder

bp = Blueprint("health", __name__)


@bp.get("/livez")
def livez() -> Response:
    """Report that the process answers."""
    return jsonify(status="alive")


@bp.get("/readyz")
def readyz() -> Response:
    """Report each check; 503 while there is no snapshot to answer from."""
    holder = context().holder
    update = _update(holder)
    try:
        with holder.use() as live:
            return jsonify(status="ready", checks=_checks(live) | {"update": update})
    except NotReady as error:
        checks = {"snapshot": _check(False, str(error)), "update": update}
        response = jsonify(status="not_ready", checks=checks)
        response.status_code = 503
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response


def _checks(live: Live) -> dict[str, Any]:
    snapshot = live.snapshot
    clusters = snapshot.clusters
    return {
        "snapshot": _check(True, live.id),
        "encoder": _check(True, f"{live.encoder.fingerprint}, {live.encoder.dim} dimensions"),
        "index": _check(True, f"{len(snapshot.store)} vectors"),
        "topk": _check(True, f"{snapshot.topk.k} neighbours per picture"),
        "catalogue": _check(True, f"{len(snapshot.catalogue)} pictures"),
        "thumbnails": _check(True, "present" if snapshot.thumbnails else "not made"),
        "clusters": _check(True, "not made" if clusters is None else f"{len(clusters)} groups"),
    }


def _update(holder: SnapshotHolder) -> dict[str, Any]:
    """Report whether the newest snapshot is the live one."""
    problem = holder.problem()
    if problem is None:
        return _check(True, "up to date")
    return _check(False, f"snapshot {problem.snapshot_id} cannot be used: {problem.message}")


def _check(ok: bool, detail: str) -> dict[str, Any]:
    return {"ok": ok, "detail": detail}
