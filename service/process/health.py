"""Is the process alive, can it answer, and how is it doing? For people and their tools."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from service.context import context
from service.errors import RETRY_AFTER_S, NotReady
from service.snapshots import Live, SnapshotHolder

bp = Blueprint("health", __name__)


@bp.get("/livez")
def livez() -> Response:
    """Say that the process answers."""
    return jsonify(status="alive")


@bp.get("/readyz")
def readyz() -> Response:
    """Name each part and how it is; 503 while there is nothing to answer from."""
    holder = context().holder
    problem = _update(holder)
    try:
        with holder.use() as live:
            return jsonify(status="ready", parts=_parts(live) | {"update": problem})
    except NotReady as error:
        found = {"snapshot": _part(False, str(error)), "update": problem}
        response = jsonify(status="not_ready", parts=found)
        response.status_code = 503
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response


def _parts(live: Live) -> dict[str, Any]:
    snapshot = live.snapshot
    clusters = snapshot.clusters
    return {
        "snapshot": _part(True, live.id),
        "encoder": _part(True, f"{live.encoder.fingerprint}, {live.encoder.dim} numbers"),
        "index": _part(True, f"{len(snapshot.store)} vectors"),
        "topk": _part(True, f"{snapshot.topk.k} neighbours a picture"),
        "catalogue": _part(True, f"{len(snapshot.catalogue)} pictures"),
        "thumbnails": _part(True, "present" if snapshot.thumbnails else "not made"),
        "clusters": _part(True, "not made" if clusters is None else f"{len(clusters)} groups"),
    }


def _update(holder: SnapshotHolder) -> dict[str, Any]:
    """Say whether the newest snapshot is the one that answers."""
    problem = holder.problem()
    if problem is None:
        return _part(True, "up to date")
    return _part(False, f"snapshot {problem.snapshot_id} cannot be used: {problem.message}")


def _part(ok: bool, detail: str) -> dict[str, Any]:
    return {"ok": ok, "detail": detail}
