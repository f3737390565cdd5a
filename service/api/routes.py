"""The JSON API: each view parses a request, calls one use case and returns its result."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from flask import Blueprint, Response, request, send_file
from pydantic import BaseModel
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from index.search.queries import Query, query_of_examples, query_of_id, query_of_vector
from index.search.response import API, THUMBNAIL_ROUTE
from service import search
from service.api.queries import query_of_file, query_of_indexed
from service.api.responses import (
    MOST_MEMBERS,
    cluster_infos,
    clusters_of,
    collection_response,
    duplicate_group_infos,
    image_info,
    map_points,
    member_infos,
    members_of,
    search_response,
)
from service.context import context
from service.errors import CLIENT_ERRORS, NoThumbnail, UnsupportedBody, to_failure
from service.guard.rate_limit import charge_more
from service.guard.uploads import uploaded_file, whole_body
from service.images import originals, reconstructions
from service.process.request_log import note_mode
from service.schemas import (
    AnyRequest,
    BatchBody,
    BatchEntry,
    BatchResponse,
    ClustersResponse,
    DuplicatesPage,
    DuplicatesResponse,
    EncodeBody,
    EncodeResponse,
    ErrorInfo,
    FilteredPage,
    ImagesResponse,
    MapResponse,
    MembersResponse,
    Options,
    OptionsOfPicture,
    Page,
    Request,
    SearchBody,
    SearchResponse,
    decode_base64,
    from_fields,
    from_json,
)
from service.snapshots import Live

bp = Blueprint("api", __name__, url_prefix=API)

FOREVER = "max-age=31536000, immutable"


@bp.post("/search")
def post_search() -> Response:
    """Search with an uploaded picture, or with a JSON body."""
    if request.mimetype == "multipart/form-data":
        data = uploaded_file(request, "image")
        options = from_fields(OptionsOfPicture, request.form.to_dict(flat=False), context().bounds)
        with context().holder.use() as live:
            query = query_of_file(live, data, options.region_box).query
            return _json(search_response(search.search(live, query, options.to_search())))
    body = _json_body(SearchBody, or_form=True)
    with context().holder.use() as live:
        return _json(_respond(live, body))


@bp.post("/search/batch")
def post_batch() -> Response:
    """Run several searches on one snapshot, each with its own status."""
    body = _json_body(BatchBody)
    charge_more(len(body.searches) - 1)
    with context().holder.use() as live:
        entries = [_batch_entry(live, one) for one in body.searches]
        note_mode("batch")
        return _json(BatchResponse(snapshot=live.id, answers=entries))


@bp.post("/encode")
def post_encode() -> Response:
    """Return the vector of an uploaded picture."""
    if request.mimetype == "multipart/form-data":
        data = uploaded_file(request, "image")
        from_fields(Request, request.form.to_dict(flat=False))  # rejects any other field
    else:
        data = decode_base64(_json_body(EncodeBody, or_form=True).image)
    with context().holder.use() as live:
        query = search.query_of_bytes(live, data, context().decoding).query
        mode: Literal["cached", "encoded"] = "encoded" if query.row is None else "cached"
        note_mode(mode)
        return _json(
            EncodeResponse(
                snapshot=live.id,
                mode=mode,
                encoder=live.encoder.fingerprint,
                vector=query.vector.tolist(),
            )
        )


@bp.get("/images")
def get_images() -> Response:
    """List the pictures in catalogue order."""
    page = _arguments(FilteredPage)
    with context().holder.use() as live:
        total, records = search.pictures(live, page.wanted, page.offset, page.limit)
        images = [image_info(live.snapshot, record) for record in records]
        return _json(ImagesResponse(snapshot=live.id, total=total, images=images))


@bp.get("/images/<image_id>")
def get_image(image_id: str) -> Response:
    """Describe one picture."""
    with context().holder.use() as live:
        return _json(image_info(live.snapshot, live.snapshot.catalogue.by_id(image_id)))


@bp.get("/images/<image_id>/similar")
def get_similar(image_id: str) -> Response:
    """Search with a picture in the collection."""
    options = _arguments(Options)
    with context().holder.use() as live:
        query = query_of_id(live.snapshot, image_id)
        return _json(search_response(search.search(live, query, options.to_search())))


@bp.get("/images/<image_id>/file")
def get_file(image_id: str) -> Response:
    """Return the original file, if its content is still what was indexed."""
    with context().holder.use() as live:
        record = live.snapshot.catalogue.by_id(image_id)
        file, status = originals.open_unchanged(record, context().image_root(live))
    # The open file and not its path: another file may be there meanwhile.
    response = send_file(
        file,
        originals.media_type(record),
        download_name=originals.download_name(record),
        etag=originals.etag(record),
        last_modified=status.st_mtime,
        conditional=False,
    )
    response.content_length = status.st_size
    response.headers["Cache-Control"] = "no-cache"  # the file may change, and then there is none
    try:
        response.make_conditional(request, accept_ranges=True, complete_length=status.st_size)
    except RequestedRangeNotSatisfiable:
        file.close()
        raise
    return response


@bp.get(THUMBNAIL_ROUTE.format(image_id="<image_id>"))
def get_thumbnail(image_id: str) -> Response:
    """Return a small JPEG of a picture."""
    with context().holder.use() as live:
        live.snapshot.catalogue.by_id(image_id)
        thumbnails = live.snapshot.thumbnails
        jpeg = None if thumbnails is None else thumbnails.jpeg(image_id)
    if jpeg is None:
        raise NoThumbnail(
            f"picture {image_id} has no thumbnail: rebuild the collection with thumbnails"
        )
    response = Response(jpeg, mimetype="image/jpeg")
    response.set_etag(hashlib.sha256(jpeg).hexdigest()[:16])
    response.headers["Cache-Control"] = FOREVER  # an id never changes its content
    response.make_conditional(request)
    return response


@bp.get("/images/<image_id>/reconstruction")
def get_reconstruction(image_id: str) -> Response:
    """Return the picture that the decoder makes from a vector, a small JPEG."""
    with context().holder.use() as live:
        record = live.snapshot.catalogue.by_id(image_id)
        etag = reconstructions.etag(live.decoder, record)
        is_known = request.if_none_match.contains(etag)  # skip decoding if the client has it
        jpeg = b"" if is_known else reconstructions.reconstruct(live.snapshot, live.decoder, record)
    response = Response(jpeg, mimetype="image/jpeg")
    response.set_etag(etag)
    response.headers["Cache-Control"] = "no-cache"  # another decoder makes another picture
    response.make_conditional(request)
    return response


@bp.get("/clusters")
def get_clusters() -> Response:
    """List the groups, largest first."""
    page = _arguments(Page)
    with context().holder.use() as live:
        clusters = clusters_of(live.snapshot)
        labels = range(len(clusters))[page.offset : page.offset + page.limit]
        response = ClustersResponse(
            snapshot=live.id,
            total=len(clusters),
            algorithm=clusters.algorithm,
            rule=clusters.rule,
            clusters=cluster_infos(live.snapshot, clusters, labels),
        )
        return _json(response)


@bp.get("/clusters/<int:label>")
def get_cluster(label: int) -> Response:
    """List the pictures in a group, closest to the medoid first."""
    page = _arguments(Page)
    with context().holder.use() as live:
        clusters = clusters_of(live.snapshot)
        rows = members_of(clusters, label)
        wanted = rows[page.offset : page.offset + page.limit]
        members = member_infos(live.snapshot, clusters, wanted)
        response = MembersResponse(snapshot=live.id, label=label, total=len(rows), members=members)
        return _json(response)


@bp.get("/duplicates")
def get_duplicates() -> Response:
    """List the groups of duplicates."""
    page = _arguments(DuplicatesPage)
    with context().holder.use() as live:
        groups = live.duplicates.groups(page.threshold)
        shown = groups[page.offset : page.offset + page.limit]
        response = DuplicatesResponse(
            snapshot=live.id,
            threshold=page.threshold,
            total=len(groups),
            groups=duplicate_group_infos(live.snapshot, shown, MOST_MEMBERS),
        )
        return _json(response)


@bp.get("/map")
def get_map() -> Response:
    """List the positions of the pictures on the map, in catalogue order."""
    page = _arguments(FilteredPage)
    with context().holder.use() as live:
        total, records = search.pictures(live, page.wanted, page.offset, page.limit)
        points = map_points(live.snapshot, records)
        return _json(MapResponse(snapshot=live.id, total=total, points=points))


@bp.get("/collection")
def get_collection() -> Response:
    """Describe the collection, its encoder, its groups and its quality."""
    with context().holder.use() as live:
        return _json(collection_response(live.snapshot))


def _json_body(model: type[AnyRequest], or_form: bool = False) -> AnyRequest:
    """Parse a JSON body; `or_form` says that the route accepts a form as well."""
    if request.mimetype != "application/json":
        form = "multipart/form-data with a picture in `image`, or " if or_form else ""
        kind = request.mimetype or "no Content-Type"
        raise UnsupportedBody(f"unsupported body ({kind}): send {form}application/json")
    return from_json(model, whole_body(request), context().bounds)


def _respond(live: Live, body: SearchBody) -> SearchResponse:
    query = _query_of(live, body)
    return search_response(search.search(live, query, body.to_search()))


def _batch_entry(live: Live, one: Any) -> BatchEntry:
    """Run one search of a batch; its failure does not affect the others."""
    try:
        body = from_json(SearchBody, json.dumps(one).encode(), context().bounds)
        return BatchEntry(status=200, answer=_respond(live, body))
    except CLIENT_ERRORS as error:
        failure = to_failure(error)
        return BatchEntry(status=failure.status, error=ErrorInfo(**failure.error))


def _query_of(live: Live, body: SearchBody) -> Query:
    if body.id is not None:
        return query_of_indexed(live, body.id, body.region_box).query
    if body.positive is not None:
        return query_of_examples(live.snapshot, body.positive, body.negative)
    if body.vector is not None:
        return query_of_vector(live.snapshot, body.vector)
    assert body.image is not None  # a valid body has exactly one of the four
    return query_of_file(live, decode_base64(body.image), body.region_box).query


def _arguments(model: type[AnyRequest]) -> AnyRequest:
    return from_fields(model, request.args.to_dict(flat=False), context().bounds)


def _json(response: BaseModel) -> Response:
    # Only `vector` is ever unset: it is present if the request asked for it.
    return Response(response.model_dump_json(exclude_unset=True), mimetype="application/json")
