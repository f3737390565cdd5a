"""Search by a picture file: the question that the service answers, asked from a terminal."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.catalogue import ImageRecord
from index.layout import ENCODER_FILE
from index.search.crops import search_with_crops
from index.search.topk import itself_first
from index.snapshot import Snapshot
from indexer.dataset import COLLECTION_LIMITS, read_file
from models.encoder import Encoder
from models.preprocess import decode, pixel_digest, to_pixels


@dataclass(frozen=True)
class Neighbour:
    """One answer: the picture, its cosine similarity with the query, and its group if any."""

    record: ImageRecord
    score: float
    cluster: int | None


@dataclass(frozen=True)
class Answer:
    """Neighbours, best first; mode is "cached" for a picture of the collection, else "encoded"."""

    mode: str
    neighbours: list[Neighbour]

    def as_dict(self) -> dict[str, Any]:
        """Return the answer in the form of the HTTP API."""
        results = [
            {
                "id": one.record.id,
                "score": one.score,
                "path": one.record.path,
                "cluster": one.cluster,
                "width": one.record.width,
                "height": one.record.height,
            }
            for one in self.neighbours
        ]
        return {"mode": self.mode, "results": results}


def search(snapshot: Snapshot, image: Path, limit: int) -> Answer:
    """Find the pictures most like a file.

    Parameters
    ----------
    snapshot : Snapshot
    image : Path
        Any picture; one of the collection, in whatever lossless form, is known again.
    limit : int
        Answers at the most.

    Raises
    ------
    PictureError, OSError
        If the file is no picture that can be read.
    """
    _, data = read_file(image, COLLECTION_LIMITS)
    row = snapshot.catalogue.row_of_sha256(hashlib.sha256(data).hexdigest())
    if row is None:
        pixels = to_pixels(decode(data, COLLECTION_LIMITS))
        row = snapshot.catalogue.row_of_pixels(pixel_digest(pixels))
    if row is None:
        encoder = Encoder.open(snapshot.folder / ENCODER_FILE)
        vectors = encoder.encode_query(pixels)
        return Answer("encoded", _nearest(snapshot, vectors, None, limit))
    vector = snapshot.store.vectors(np.array([row]))
    return Answer("cached", _nearest(snapshot, vector, row, limit))


def _nearest(
    snapshot: Snapshot, vectors: NDArray[np.float32], own: int | None, limit: int
) -> list[Neighbour]:
    best, found = search_with_crops(snapshot.store, vectors, min(limit, len(snapshot)))
    scores, rows = best[np.newaxis], found[np.newaxis]
    if own is not None:
        scores, rows = itself_first(scores, rows, np.array([own]))
    clusters = snapshot.clusters
    return [
        Neighbour(record, float(score), None if clusters is None else int(clusters.labels[row]))
        for record, score, row in zip(
            snapshot.catalogue.records(rows[0].tolist()), scores[0], rows[0], strict=True
        )
    ]
