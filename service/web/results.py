"""The results of a search with one picture; shared by two pages."""

from __future__ import annotations

from index.search.ranking import Options
from service import search
from service.api import responses
from service.process.request_log import note_mode
from service.search import PreparedQuery
from service.snapshots import Live
from service.web.forms import SearchForm
from service.web.pager import Pager
from service.web.query_picture import QueryPicture
from service.web.rendering import render

N_RESULTS = 24  # on a page


def render_results(
    live: Live, prepared: PreparedQuery, picture: QueryPicture, form: SearchForm
) -> str:
    """Run a search and return the page of its results.

    Parameters
    ----------
    live : Live
    prepared : PreparedQuery
    picture : QueryPicture
        What the query was made from.
    form : SearchForm
        Page and group of the results.
    """
    options = Options(limit=N_RESULTS, offset=form.offset, filter=form.filter)
    response = search.search(live, prepared.query, options)
    note_mode(response.mode)
    return render(
        live,
        "results.html",
        response=response,
        query_picture=picture,
        cluster=form.cluster,
        edges=form.edges,
        reconstruction=_reconstruction_url(live, picture),
        pager=Pager(form.offset, N_RESULTS, response.total),
    )


def _reconstruction_url(live: Live, picture: QueryPicture) -> str | None:
    if picture.record is None or picture.is_region:
        return None
    return responses.reconstruction_url(live.snapshot, picture.record.id)
