"""All pictures, page by page."""

from __future__ import annotations

from flask import request

from service.context import context
from service.schemas import from_fields
from service.web.forms import ListForm
from service.web.pager import Pager
from service.web.rendering import render

N_SHOWN = 60


def browse() -> str:
    """Show one page of the collection, in catalogue order."""
    form = from_fields(ListForm, request.args.to_dict(flat=False))
    with context().holder.use() as live:
        images = live.snapshot.catalogue.page(form.offset, N_SHOWN)
        pager = Pager(form.offset, N_SHOWN, len(live.snapshot))
        return render(live, "browse.html", images=images, pager=pager)
