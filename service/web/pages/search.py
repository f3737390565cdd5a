"""The results for an uploaded picture."""

from __future__ import annotations

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from service.api.queries import query_of_file
from service.context import context
from service.errors import InvalidRequest
from service.guard.uploads import uploaded_file
from service.schemas import decode_base64, from_fields
from service.web.forms import UploadForm
from service.web.query_picture import of_upload
from service.web.results import render_results


def search_upload() -> str:
    """Search with an uploaded picture, or show the next page of its results."""
    form = from_fields(UploadForm, request.form.to_dict(flat=False))
    data = decode_base64(form.picture) if form.picture else _chosen_file()
    with context().holder.use() as live:
        query = query_of_file(live, data, form.region_box)
        return render_results(live, query, of_upload(live, query, form), form)


def search_form() -> Response:
    """Redirect to the upload form, for those who reload or bookmark a results page."""
    return redirect(url_for("pages.home"))


def _chosen_file() -> bytes:
    data = uploaded_file(request, "image")
    if data:
        return data
    # Without a chosen file, browsers send an empty one without a name.
    is_chosen = bool(request.files["image"].filename)
    message = "This file is empty. Choose another picture." if is_chosen else "Choose a picture."
    raise InvalidRequest([("image", message)])
