"""From pixels to stored vectors, on every core, a few batches at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.catalogue import image_ids
from index.layout import VECTORS_FILE
from index.search.faiss_store import FaissStore
from indexer.collection.records import Collected
from indexer.dataset import PixelSource
from indexer.errors import NoPictures
from indexer.stages import Stages
from models.encoder import Encoder, count_zero_encodings
from models.runtime.threads import ordered_map

_BATCH = 32


def encode_collection(encoder: Encoder, collected: Collected, folder: Path, stages: Stages) -> int:
    """Write the vectors of all pictures, and drop the rows whose file vanished meanwhile.

    Returns
    -------
    n_zero : int
        Pictures whose encoding was zero.
    """
    source, path = collected.source, folder / VECTORS_FILE
    n_zero = 0

    def counted() -> Iterator[NDArray[np.float32]]:
        nonlocal n_zero
        for vectors in encode_rows(encoder, source, stages):
            n_zero += count_zero_encodings(vectors)
            yield vectors

    FaissStore.write(path, encoder.dim, counted())
    if source.lost:
        _drop_lost(collected, path, encoder.dim)
    return n_zero


def encode_rows(
    encoder: Encoder, source: PixelSource, stages: Stages
) -> Iterator[NDArray[np.float32]]:
    """Yield the vectors of all rows in order, (m, dim) float32 at a time, made on every core."""
    starts = range(0, len(source), _BATCH)

    def encode(start: int) -> NDArray[np.float32]:
        rows = np.arange(start, min(start + _BATCH, len(source)))
        return encoder.encode(source.read(rows))

    blocks = ordered_map(encode, starts)
    with (
        closing(blocks),
        stages.progress(total=len(source), desc="encode", unit="image") as bar,
    ):
        for vectors in blocks:
            bar.update(len(vectors))
            yield vectors


def _drop_lost(collected: Collected, path: Path, dim: int) -> None:
    """Leave out the rows whose picture could not be read again."""
    kept = [r for r in collected.records if r.row not in collected.source.lost]
    if not kept:
        raise NoPictures(f"every picture in {collected.root} vanished while it was being indexed")
    whole = path.with_name("vectors.whole")
    path.rename(whole)
    store = FaissStore.open(whole)
    rows = np.array([record.row for record in kept])
    parts = np.array_split(rows, max(1, len(rows) // 1024))
    FaissStore.write(path, dim, (store.vectors(part) for part in parts))
    whole.unlink()
    collected.skipped += collected.source.lost.values()
    ids = image_ids([record.sha256 for record in kept])
    collected.records = [replace(record, row=row, id=ids[row]) for row, record in enumerate(kept)]
