"""The bodies of the JSON API's responses, built from a snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from flask import request, url_for
from numpy.typing import NDArray

from index.artefacts.clusters import Clusters
from index.catalogue import ImageRecord
from index.errors import UnknownCluster
from index.layout import ENCODER_INFO_FILE, QUALITY_FILE
from index.search.duplicates import DuplicateGroup, describe
from index.search.ranking import SCORE_DECIMALS
from index.search.response import SearchResponse, cluster_of
from index.search.response import thumbnail_url as thumbnail_path
from index.snapshot import Snapshot
from service import schemas
from service.errors import NoGroups, NoMap
from service.images.reconstructions import has_decoder
from service.process.request_log import note_mode
from service.schemas import (
    ClusterInfo,
    ClusteringInfo,
    CollectionResponse,
    DuplicateGroupInfo,
    ElbowPoint,
    ImageInfo,
    MapPoint,
    MemberInfo,
)

MOST_MEMBERS = 100  # pictures listed of each group of duplicates
N_CLOSEST = 4  # members listed of each group in a list of groups, besides its medoid


def clusters_of(snapshot: Snapshot) -> Clusters:
    """Return the groups of a snapshot; NoGroups if it has none."""
    if snapshot.clusters is None:
        raise NoGroups(
            "this collection has no groups yet: run `bin/lookalike cluster` on the server"
        )
    return snapshot.clusters


def members_of(clusters: Clusters, label: int) -> NDArray[np.int64]:
    """Return the rows of a group; NoGroups if the label is unknown."""
    try:
        return clusters.members(label)
    except UnknownCluster as error:
        raise NoGroups(str(error)) from error


def collection_response(snapshot: Snapshot) -> CollectionResponse:
    """Describe a snapshot; what it does not have is None."""
    return CollectionResponse(
        snapshot=snapshot.id,
        created=snapshot.manifest.created,
        n_images=len(snapshot),
        dim=snapshot.store.dim,
        top_k=snapshot.topk.k,
        encoder=_read_json(snapshot, ENCODER_INFO_FILE)
        or {"fingerprint": snapshot.manifest.encoder, "dim": snapshot.store.dim},
        clustering=_clustering_info(snapshot.clusters),
        quality=_read_json(snapshot, QUALITY_FILE),
    )


def image_info(snapshot: Snapshot, record: ImageRecord) -> ImageInfo:
    """Describe a picture of the collection."""
    return ImageInfo(
        id=record.id,
        path=record.path,
        cluster=cluster_of(snapshot, record.row),
        width=record.width,
        height=record.height,
        format=record.format,
        size_bytes=record.size_bytes,
        thumbnail_url=thumbnail_url(snapshot, record.id),
        file_url=url_for("api.get_file", image_id=record.id),
        reconstruction_url=reconstruction_url(snapshot, record.id),
        metadata=record.metadata,
    )


def thumbnail_url(snapshot: Snapshot, image_id: str) -> str | None:
    """Return the address of a thumbnail, or None if the snapshot has no thumbnails."""
    if snapshot.thumbnails is None:
        return None
    return thumbnail_path(image_id, request.script_root)


def reconstruction_url(snapshot: Snapshot, image_id: str) -> str | None:
    """Return the address of a reconstruction, or None if the snapshot has no decoder."""
    if not has_decoder(snapshot):
        return None
    return url_for("api.get_reconstruction", image_id=image_id)


def search_response(response: SearchResponse) -> schemas.SearchResponse:
    """Return the body of a search's response, and note its mode for the log."""
    note_mode(response.mode)
    return schemas.SearchResponse(**response.as_dict(request.script_root))


def cluster_infos(
    snapshot: Snapshot, clusters: Clusters, labels: Iterable[int]
) -> list[ClusterInfo]:
    """Describe groups, each with its medoid and the few pictures closest to the medoid."""
    return [_cluster_info(snapshot, clusters, label) for label in labels]


def _cluster_info(snapshot: Snapshot, clusters: Clusters, label: int) -> ClusterInfo:
    rows = clusters.members(label)
    shown = snapshot.catalogue.records(rows[: 1 + N_CLOSEST].tolist())
    medoid, *closest = [image_info(snapshot, record) for record in shown]
    return ClusterInfo(label=label, size=len(rows), medoid=medoid, closest=closest)


def member_infos(
    snapshot: Snapshot, clusters: Clusters, rows: NDArray[np.int64]
) -> list[MemberInfo]:
    """Describe pictures, each with its score with the medoid of its group."""
    scores = clusters.scores[rows].astype(np.float64).round(SCORE_DECIMALS).tolist()
    records = snapshot.catalogue.records(rows.tolist())
    return [
        MemberInfo(score=score, image=image_info(snapshot, record))
        for score, record in zip(scores, records, strict=True)
    ]


def points_of(snapshot: Snapshot) -> NDArray[np.float32]:
    """Return each row's position on the map, (n, 2), 0 to 1; NoMap if there is no map."""
    if snapshot.map_points is None:
        raise NoMap("this collection has no map yet: run `bin/lookalike build` on the server")
    return snapshot.map_points.xy


def map_points(snapshot: Snapshot, records: Sequence[ImageRecord]) -> list[MapPoint]:
    """Return the positions of pictures on the map; NoMap if there is no map."""
    places = points_of(snapshot)[[record.row for record in records]].astype(np.float64).round(5)
    return [
        MapPoint(
            id=record.id,
            path=record.path,
            x=x,
            y=y,
            cluster=cluster_of(snapshot, record.row),
            thumbnail_url=thumbnail_url(snapshot, record.id),
        )
        for record, (x, y) in zip(records, places.tolist(), strict=True)
    ]


def duplicate_group_infos(
    snapshot: Snapshot, groups: Iterable[NDArray[np.int64]], most: int
) -> list[DuplicateGroupInfo]:
    """Describe groups of duplicates, each with at most `most` of its pictures."""
    return [_duplicate_group_info(snapshot, describe(snapshot, rows), most) for rows in groups]


def _duplicate_group_info(
    snapshot: Snapshot, group: DuplicateGroup, most: int
) -> DuplicateGroupInfo:
    members = [
        MemberInfo(score=round(score, SCORE_DECIMALS), image=image_info(snapshot, image))
        for score, image in zip(group.scores[:most], group.images[:most], strict=True)
    ]
    return DuplicateGroupInfo(kind=group.kind, size=len(group.images), members=members)


def _clustering_info(clusters: Clusters | None) -> ClusteringInfo | None:
    if clusters is None:
        return None
    return ClusteringInfo(
        n_clusters=len(clusters),
        algorithm=clusters.algorithm,
        rule=clusters.rule,
        elbow_clear=clusters.elbow_clear,
        knee_strength=clusters.knee_strength,
        loss=clusters.loss,
        quality=dict(clusters.quality),
        wce_method=clusters.wce_method,
        elbow=[ElbowPoint(n_clusters=n, wce=wce) for n, wce in clusters.wce],
    )


def _read_json(snapshot: Snapshot, name: str) -> dict[str, Any] | None:
    path = snapshot.file(name)
    return None if path is None else json.loads(path.read_text(encoding="utf-8"))
