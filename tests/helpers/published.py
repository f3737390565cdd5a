"""Small snapshots, published as the indexer would."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from index.artefacts.clusters import Clusters
from index.artefacts.thumbnails import write_thumbnails
from index.catalogue import ImageRecord, image_ids, readable_path, write_catalogue
from index.manifest import Manifest
from index.search.faiss_store import FaissStore
from index.search.topk import TopKTable
from index.snapshot import DataFolder
from models.preprocess import (
    COLLECTION_LIMITS,
    decode,
    full_digest,
    pixel_digest,
    single_colour,
    thumbnail,
    to_pixels,
)
from tests.helpers.fakes import FakeEncoder


def publish_vectors(
    data: DataFolder,
    vectors,
    top_k=100,
    table_of=None,
    pixels=None,
    fulls=None,
    sizes=None,
    colours=None,
) -> str:
    """Publish a snapshot of given vectors, with made-up pictures behind them; return the id.

    Pictures with equal vectors are equal, unless their digests are given: `pixels` and `fulls`, one
    for each picture. `sizes` are their widths, and `colours` their single colours. `table_of` is
    another store to make the top-k table of.
    """
    digests = [hashlib.sha256(vector.tobytes()).hexdigest() for vector in vectors]
    files = digests if fulls is None else [f"{row + 1:064}" for row in range(len(digests))]
    records = [
        ImageRecord(
            row, id_, f"{row}.png", files[row], (pixels or digests)[row], 1, 1,
            8 if sizes is None else sizes[row], 8, "PNG", full_digest=(fulls or digests)[row],
            single_colour=None if colours is None else colours[row],
        )
        for row, id_ in enumerate(image_ids(files))
    ]  # fmt: skip
    return _publish(data, vectors, records, top_k=top_k, table_of=table_of)


def publish_pictures(
    data: DataFolder,
    root: Path,
    encoder=None,
    top_k=100,
    n_clusters=0,
    thumbnails=True,
    metadata=None,
    files=None,
    elbow_clear=True,
) -> str:
    """Publish the pictures of a folder, in the order of their names, and return the id.

    `metadata` is a dict by path; `files` are more files of the snapshot, name to content.
    """
    encoder = encoder or FakeEncoder()
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    contents = [path.read_bytes() for path in paths]
    pictures = [decode(content, COLLECTION_LIMITS) for content in contents]
    squares = [to_pixels(picture) for picture in pictures]
    vectors = encoder.encode(np.stack(squares))
    sha256s = [hashlib.sha256(content).hexdigest() for content in contents]
    ids = image_ids(sha256s)
    records = [
        ImageRecord(
            row, ids[row], readable_path(path.relative_to(root))[0], sha256s[row],
            pixel_digest(squares[row]), len(contents[row]), path.stat().st_mtime_ns,
            pictures[row].width, pictures[row].height, pictures[row].format,
            (metadata or {}).get(path.name, {}), readable_path(path.relative_to(root))[1],
            full_digest(pictures[row]), single_colour(squares[row]),
            path.stat().st_ctime_ns, path.stat().st_ino,
        )
        for row, path in enumerate(paths)
    ]  # fmt: skip

    def write_more(folder: Path) -> None:
        if thumbnails:
            small = (
                (id_, thumbnail(decode(c, COLLECTION_LIMITS)))
                for id_, c in zip(ids, contents, strict=True)
            )
            write_thumbnails(folder / "thumbnails.sqlite", small)
        if n_clusters:
            clusters_of(vectors, n_clusters, elbow_clear).save(folder / "clusters.json")
        for name, content in (files or {}).items():
            (folder / name).write_bytes(content)

    return _publish(data, vectors, records, root, encoder.fingerprint, top_k, write_more=write_more)


def publish_again(data: DataFolder) -> str:
    """Publish the live snapshot once more, with hard links to the same files; return the id."""
    with data.locked(), data.open_current() as old, data.draft() as draft:
        draft.link_from(old, old.manifest.files)
        return draft.publish(replace(old.manifest, created=datetime.now(UTC).isoformat()))


def _publish(
    data: DataFolder,
    vectors,
    records,
    root: Path = Path("/nowhere"),
    encoder=FakeEncoder.fingerprint,
    top_k=100,
    table_of=None,
    write_more=lambda folder: None,
) -> str:
    store = FaissStore.from_vectors(vectors)
    with data.locked(), data.draft() as draft:
        store.save(draft.folder / "vectors.faiss")
        TopKTable.compute(table_of or store, top_k).save(draft.folder)
        write_catalogue(draft.folder / "catalogue.sqlite", records)
        write_more(draft.folder)
        return draft.publish(
            Manifest(
                created=datetime.now(UTC).isoformat(),
                n_images=len(vectors),
                dim=vectors.shape[1],
                top_k=min(top_k, len(vectors)),
                image_root=str(root),
                encoder=encoder,
            )
        )


def clusters_of(vectors, n_clusters, elbow_clear) -> Clusters:
    """Group each vector with the closest of the first few, which are the medoids."""
    scores = vectors @ vectors[:n_clusters].T
    labels = scores.argmax(axis=1).astype(np.int32)
    labels[:n_clusters] = np.arange(n_clusters)
    own = np.take_along_axis(scores, labels[:, None].astype(np.int64), axis=1)[:, 0]
    return Clusters.numbered(
        labels,
        np.arange(n_clusters),
        np.clip(own, -1, 1).astype(np.float32),
        loss=float((1 - own).sum()),
        algorithm="fasterpam",
        seed=0,
        seconds=0.1,
        wce=((2, 3.0), (3, 1.5), (4, 1.0)),
        wce_method="kmedoids",
        rule="elbow",
        elbow_clear=elbow_clear,
        knee_strength=1.5 if elbow_clear else 1.0,
    )


QUALITY = {"quality.json": json.dumps({"n_labelled": 4, "precision_at_10": 0.25}).encode()}
