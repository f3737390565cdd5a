"""The results for a picture in the collection."""

from __future__ import annotations

from flask import request

from service.api.queries import query_of_indexed
from service.context import context
from service.schemas import from_fields
from service.web.forms import SearchForm
from service.web.query_picture import of_indexed
from service.web.results import render_results


def similar(image_id: str) -> str:
    """Search with a picture in the collection, or with a region of it."""
    form = from_fields(SearchForm, request.args.to_dict(flat=False))
    with context().holder.use() as live:
        query = query_of_indexed(live, image_id, form.region_box)
        return render_results(live, query, of_indexed(live, query, image_id), form)
