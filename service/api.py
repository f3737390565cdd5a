"""The JSON API: each view reads a request, calls one use case, and writes the answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from flask import Blueprint, Response, request, send_file, url_for
from numpy.typing import NDArray
from pydantic import BaseModel

from index.catalogue import ImageRecord
from index.clusters import Clusters, UnknownCluster
from index.snapshot import Snapshot
from service import originals, search
from service.errors import NoGroups, NoThumbnail, UnsupportedBody
from service.parts import parts
from service.schemas import (
    AnyRequest,
    ClusterAnswer,
    ClusteringAnswer,
    ClustersAnswer,
    CollectionAnswer,
    ElbowPoint,
    ImageAnswer,
    ImagesAnswer,
    MemberAnswer,
    MembersAnswer,
    Options,
    Page,
    SearchAnswer,
    SearchBody,
    SearchResult,
    decode_base64,
    from_fields,
    from_json,
)
from service.snapshots import Live
from service.uploads import uploaded_file, whole_body

bp = Blueprint("api", __name__, url_prefix="/api/v1")

FOREVER = "max-age=31536000, immutable"


@bp.post("/search")
def post_search() -> Response:
    """Answer an uploaded picture, or a JSON body with an id, a base64 picture or a vector."""
    if request.mimetype == "multipart/form-data":
        data = uploaded_file(request, "image")
        options = from_fields(Options, request.form.to_dict(flat=False))
        with parts().holder.use() as live:
            query = search.query_of_bytes(live, data, parts().limits)
            return _json(_search_answer(live, search.search(live, query, options)))
    if request.mimetype != "application/json":
        raise UnsupportedBody(
            "send multipart/form-data with a picture in `image`, or application/json; "
            f"not {request.mimetype or 'a body without Content-Type'}"
        )
    body = from_json(SearchBody, whole_body(request))
    with parts().holder.use() as live:
        return _json(_search_answer(live, search.search(live, _query_of(live, body), body)))


@bp.get("/images")
def get_images() -> Response:
    """List the collection in the order of its rows."""
    page = _arguments(Page)
    with parts().holder.use() as live:
        records = live.snapshot.catalogue.page(page.offset, page.limit)
        images = [image_answer(live.snapshot, record) for record in records]
        return _json(ImagesAnswer(snapshot=live.id, total=len(live.snapshot), images=images))


@bp.get("/images/<image_id>")
def get_image(image_id: str) -> Response:
    """Describe one picture."""
    with parts().holder.use() as live:
        return _json(image_answer(live.snapshot, live.snapshot.catalogue.by_id(image_id)))


@bp.get("/images/<image_id>/similar")
def get_similar(image_id: str) -> Response:
    """Answer a picture of the collection."""
    options = _arguments(Options)
    with parts().holder.use() as live:
        query = search.query_of_id(live, image_id)
        return _json(_search_answer(live, search.search(live, query, options)))


@bp.get("/images/<image_id>/file")
def get_file(image_id: str) -> Response:
    """Send the original picture."""
    with parts().holder.use() as live:
        record = live.snapshot.catalogue.by_id(image_id)
        path = originals.find(record, parts().image_root(live))
        response = send_file(
            path, originals.media_type(record), download_name=originals.name(record)
        )
    response.headers["Cache-Control"] = "no-cache"  # the file may change; its ETag tells
    return response


@bp.get("/images/<image_id>/thumbnail")
def get_thumbnail(image_id: str) -> Response:
    """Send a small JPEG of a picture."""
    with parts().holder.use() as live:
        live.snapshot.catalogue.by_id(image_id)
        thumbnails = live.snapshot.thumbnails
        jpeg = None if thumbnails is None else thumbnails.jpeg(image_id)
    if jpeg is None:
        raise NoThumbnail(f"there is no thumbnail of picture {image_id}: build with thumbnails")
    response = Response(jpeg, mimetype="image/jpeg")
    response.set_etag(hashlib.sha256(jpeg).hexdigest()[:16])
    response.headers["Cache-Control"] = FOREVER  # an id stands for one content
    response.make_conditional(request)
    return response


@bp.get("/clusters")
def get_clusters() -> Response:
    """List the groups, largest first."""
    page = _arguments(Page)
    with parts().holder.use() as live:
        clusters = clusters_of(live.snapshot)
        labels = range(len(clusters))[page.offset : page.offset + page.limit]
        answer = ClustersAnswer(
            snapshot=live.id,
            total=len(clusters),
            algorithm=clusters.algorithm,
            rule=clusters.rule,
            clusters=_cluster_answers(live.snapshot, clusters, labels),
        )
        return _json(answer)


@bp.get("/clusters/<int:label>")
def get_cluster(label: int) -> Response:
    """List the pictures of one group, closest to its medoid first."""
    page = _arguments(Page)
    with parts().holder.use() as live:
        clusters = clusters_of(live.snapshot)
        rows = members_of(clusters, label)
        wanted = rows[page.offset : page.offset + page.limit].tolist()
        members = [
            MemberAnswer(
                score=round(float(clusters.scores[record.row]), search.SCORE_DECIMALS),
                image=image_answer(live.snapshot, record),
            )
            for record in live.snapshot.catalogue.records(wanted)
        ]
        answer = MembersAnswer(snapshot=live.id, label=label, total=len(rows), members=members)
        return _json(answer)


@bp.get("/collection")
def get_collection() -> Response:
    """Describe the collection, its encoder and its quality."""
    with parts().holder.use() as live:
        return _json(collection_answer(live.snapshot))


def clusters_of(snapshot: Snapshot) -> Clusters:
    """Return the groups of a snapshot; NoGroups if it has none."""
    if snapshot.clusters is None:
        raise NoGroups("no groups have been made yet: run `bin/lookalike cluster` on the server")
    return snapshot.clusters


def members_of(clusters: Clusters, label: int) -> NDArray[np.int64]:
    """Return the rows of a group; NoGroups if there is none of this label."""
    try:
        return clusters.members(label)
    except UnknownCluster as error:
        raise NoGroups(str(error)) from error


def collection_answer(snapshot: Snapshot) -> CollectionAnswer:
    """Describe a snapshot; what it does not hold is None."""
    return CollectionAnswer(
        snapshot=snapshot.id,
        created=snapshot.manifest.created,
        n_images=len(snapshot),
        dim=snapshot.store.dim,
        top_k=snapshot.topk.k,
        encoder=_read_json(snapshot, "encoder.json")
        or {"fingerprint": snapshot.manifest.encoder, "dim": snapshot.store.dim},
        clustering=_clustering_answer(snapshot.clusters),
        quality=_read_json(snapshot, "quality.json"),
    )


def image_answer(snapshot: Snapshot, record: ImageRecord) -> ImageAnswer:
    """Describe a picture of the collection."""
    return ImageAnswer(
        id=record.id,
        path=record.path,
        cluster=search.cluster_of(snapshot, record.row),
        width=record.width,
        height=record.height,
        format=record.format,
        size_bytes=record.size_bytes,
        thumbnail_url=thumbnail_url(snapshot, record.id),
        file_url=url_for("api.get_file", image_id=record.id),
        metadata=record.metadata,
    )


def thumbnail_url(snapshot: Snapshot, image_id: str) -> str | None:
    """Return where a thumbnail is, or None if the snapshot has no thumbnails."""
    if snapshot.thumbnails is None:
        return None
    return url_for("api.get_thumbnail", image_id=image_id)


def _query_of(live: Live, body: SearchBody) -> search.Query:
    if body.id is not None:
        return search.query_of_id(live, body.id)
    if body.vector is not None:
        return search.query_of_vector(live, body.vector)
    assert body.image is not None  # exactly one of the three, or the body would not be valid
    return search.query_of_bytes(live, decode_base64(body.image), parts().limits)


def _search_answer(live: Live, answer: search.Answer) -> SearchAnswer:
    return SearchAnswer(
        snapshot=answer.snapshot,
        mode=answer.query.mode,
        total=answer.total,
        time_ms=answer.time_ms,
        results=[_search_result(live.snapshot, hit) for hit in answer.hits],
    )


def _search_result(snapshot: Snapshot, hit: search.Hit) -> SearchResult:
    image = hit.image
    vector = {} if hit.vector is None else {"vector": hit.vector.tolist()}
    return SearchResult(
        id=image.id,
        score=hit.score,
        path=image.path,
        cluster=hit.cluster,
        width=image.width,
        height=image.height,
        thumbnail_url=thumbnail_url(snapshot, image.id),
        metadata=image.metadata,
        **vector,
    )


def _cluster_answers(
    snapshot: Snapshot, clusters: Clusters, labels: Iterable[int]
) -> list[ClusterAnswer]:
    sizes = clusters.sizes
    return [
        ClusterAnswer(
            label=label,
            size=int(sizes[label]),
            medoid=image_answer(snapshot, snapshot.catalogue.image(int(clusters.medoids[label]))),
        )
        for label in labels
    ]


def _clustering_answer(clusters: Clusters | None) -> ClusteringAnswer | None:
    if clusters is None:
        return None
    return ClusteringAnswer(
        n_clusters=len(clusters),
        algorithm=clusters.algorithm,
        rule=clusters.rule,
        elbow_clear=clusters.elbow_clear,
        loss=clusters.loss,
        quality=dict(clusters.quality),
        wce_method=clusters.wce_method,
        elbow=[ElbowPoint(n_clusters=n, wce=wce) for n, wce in clusters.wce],
    )


def _read_json(snapshot: Snapshot, name: str) -> dict[str, Any] | None:
    path = snapshot.file(name)
    return None if path is None else json.loads(path.read_text(encoding="utf-8"))


def _arguments(model: type[AnyRequest]) -> AnyRequest:
    return from_fields(model, request.args.to_dict(flat=False))


def _json(answer: BaseModel) -> Response:
    # Only `vector` is ever left unset: it is there when it was asked for.
    return Response(answer.model_dump_json(exclude_unset=True), mimetype="application/json")
