"""The groups of duplicates, page by page."""

from __future__ import annotations

from flask import request

from service.api import responses
from service.context import context
from service.schemas import from_fields
from service.web.forms import DuplicatesForm
from service.web.pager import Pager
from service.web.rendering import render

N_GROUPS = 20
N_COPIES = 12  # pictures shown of each group


def duplicates() -> str:
    """Show the groups of pictures that score at least the threshold with each other."""
    form = from_fields(DuplicatesForm, request.args.to_dict(flat=False))
    with context().holder.use() as live:
        groups = live.duplicates.groups(form.threshold)
        shown = groups[form.offset : form.offset + N_GROUPS]
        return render(
            live,
            "duplicates.html",
            groups=responses.duplicate_group_infos(live.snapshot, shown, N_COPIES),
            threshold=form.threshold,
            pager=Pager(form.offset, N_GROUPS, len(groups)),
        )
