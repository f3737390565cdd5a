"""The results of a search with one picture; shared by two pages."""

from __future__ import annotations

from service import search
from service.api import responses
from service.api.schemas import Options
from service.process.request_log import note_mode
from service.snapshots import Live
from service.web.forms import SearchForm
from service.web.pager import Pager
from service.web.query_picture import QueryPicture
from service.web.rendering import render

N_RESULTS = 24  # on a page


def render_results(live: Live, query: search.Query, picture: QueryPicture, form: SearchForm) -> str:
    """Run a search and return the page of its results.

    Parameters
    ----------
    live : Live
    query : Query
    picture : QueryPicture
        What the query was made from.
    form : SearchForm
        Page and group of the results.
    """
    options = Options(limit=N_RESULTS, offset=form.offset, filter=form.filter)
    answer = search.search(live, query, options)
    note_mode(query.mode)
    return render(
        live,
        "results.html",
        answer=answer,
        asked=picture,
        cluster=form.cluster,
        edges=form.edges,
        reconstruction=_reconstruction_url(live, picture),
        pager=Pager(form.offset, N_RESULTS, answer.total),
    )


def _reconstruction_url(live: Live, picture: QueryPicture) -> str | None:
    if picture.record is None or picture.is_region:
        return None
    return responses.reconstruction_url(live.snapshot, picture.record.id)
