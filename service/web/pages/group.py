"""The pictures of one group, page by page."""

from __future__ import annotations

from flask import request

from service.api import responses
from service.context import context
from service.schemas import from_fields
from service.web.forms import ListForm
from service.web.pager import Pager
from service.web.rendering import render

N_SHOWN = 60


def group(label: int) -> str:
    """Show the pictures of a group, closest to the medoid first."""
    form = from_fields(ListForm, request.args.to_dict(flat=False))
    with context().holder.use() as live:
        clusters = responses.clusters_of(live.snapshot)
        rows = responses.members_of(clusters, label)
        shown = rows[form.offset : form.offset + N_SHOWN]
        return render(
            live,
            "group.html",
            label=label,
            members=responses.member_infos(live.snapshot, clusters, shown),
            pager=Pager(form.offset, N_SHOWN, len(rows)),
        )
