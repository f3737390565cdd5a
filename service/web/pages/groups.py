"""All groups, page by page, and the curve by which their number was chosen."""

from __future__ import annotations

from flask import request

from service.api import responses
from service.context import context
from service.schemas import from_fields
from service.web import elbow_drawing
from service.web.forms import ListForm
from service.web.pager import Pager
from service.web.rendering import render

N_SHOWN = 48


def groups() -> str:
    """Show the medoid and some members of each group, largest group first."""
    form = from_fields(ListForm, request.args.to_dict(flat=False))
    with context().holder.use() as live:
        clusters = live.snapshot.clusters
        if clusters is None:
            return render(live, "no_groups.html")
        labels = range(len(clusters))[form.offset : form.offset + N_SHOWN]
        return render(
            live,
            "groups.html",
            groups=responses.cluster_infos(live.snapshot, clusters, labels),
            clusters=clusters,
            curve=elbow_drawing.draw(clusters.wce, len(clusters)) if form.offset == 0 else None,
            box=(elbow_drawing.WIDTH, elbow_drawing.HEIGHT),
            pager=Pager(form.offset, N_SHOWN, len(clusters)),
        )
