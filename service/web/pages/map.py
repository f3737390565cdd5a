"""The map: every picture as a dot, similar pictures close together."""

from __future__ import annotations

from flask import request

from index.snapshot import Snapshot
from service.api import responses
from service.context import context
from service.schemas import from_fields
from service.web import map_drawing
from service.web.forms import GroupForm
from service.web.map_drawing import Dot
from service.web.rendering import render


def map_() -> str:
    """Show the map, with one group highlighted if the form names one."""
    form = from_fields(GroupForm, request.args.to_dict(flat=False))
    with context().holder.use() as live:
        snapshot = live.snapshot
        if snapshot.map_points is None:
            return render(live, "no_map.html")
        return render(
            live,
            "map.html",
            drawing=_dots(snapshot, map_drawing.rows_to_show(snapshot, form.cluster)),
            landmarks=_dots(snapshot, map_drawing.landmarks(snapshot)),
            side=map_drawing.SIDE,
            cluster=form.cluster,
        )


def _dots(snapshot: Snapshot, rows: list[int]) -> list[Dot]:
    return map_drawing.draw(responses.map_points(snapshot, snapshot.catalogue.records(rows)))
