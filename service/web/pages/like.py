"""The results for several pictures, ticked as "like" or "unlike" on another results page."""

from __future__ import annotations

from flask import request

from index.search.queries import query_of_examples
from index.search.ranking import Options
from service import search
from service.context import context
from service.errors import InvalidRequest
from service.process.request_log import note_mode
from service.schemas import from_fields
from service.web.forms import LikeForm
from service.web.pager import Pager
from service.web.rendering import render
from service.web.results import N_RESULTS


def like() -> str:
    """Search with the ticked pictures."""
    form = from_fields(LikeForm, request.args.to_dict(flat=False))
    if not form.positive:
        raise InvalidRequest([("positive", "Tick “like” on at least one picture.")])
    options = Options(limit=N_RESULTS, offset=form.offset, include_self=False)
    with context().holder.use() as live:
        by_id = live.snapshot.catalogue.by_id
        query = query_of_examples(live.snapshot, form.positive, form.negative)
        response = search.search(live, query, options)
        note_mode(response.mode)
        examples = {"positive": form.positive, "negative": form.negative}
        return render(
            live,
            "like.html",
            response=response,
            form=form,
            examples={kind: [by_id(one) for one in ids] for kind, ids in examples.items()},
            pager=Pager(form.offset, N_RESULTS, response.total),
        )
