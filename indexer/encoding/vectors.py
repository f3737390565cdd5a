"""The vectors of a collection: new pictures are encoded on all cores, other vectors are copied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from index.arrays import Vectors
from index.layout import VECTORS_FILE
from index.search.faiss_store import FaissStore
from index.search.store import VectorStore
from indexer.collection.records import Collected
from indexer.errors import NoPictures
from indexer.folder.dataset import PixelSource
from indexer.stages import Stages
from models.encoder import Encoder, count_zero_encodings
from models.runtime.threads import ordered_map

_BATCH = 32
_BLOCK = 1024  # vectors copied together; 16 MB


def write_vectors(
    encoder: Encoder, collected: Collected, folder: Path, stages: Stages
) -> tuple[FaissStore, int]:
    """Encode the new pictures, and write the vectors of all pictures to vectors.faiss.

    The vectors of old pictures are copied from the old snapshot. Rows whose file was removed or
    changed during the run are dropped from `collected`.

    Returns
    -------
    store : FaissStore
        One vector for each record.
    n_zero : int
        Number of new pictures whose encoding was zero.

    Raises
    ------
    NoPictures
        If no picture is left.
    """
    new_path, path = folder / "vectors.new", folder / VECTORS_FILE
    n_zero = 0

    def counted() -> Iterator[Vectors]:
        nonlocal n_zero
        for vectors in encode_rows(encoder, collected.source, stages):
            n_zero += count_zero_encodings(vectors)
            yield vectors

    FaissStore.write(new_path, encoder.dim, counted())
    collected.drop_lost()
    if not collected.records:
        raise NoPictures(f"No pictures are left in {collected.root}. Nothing was published.")
    if collected.source_rows == list(range(len(collected.source))):
        new_path.rename(path)
    else:
        new = FaissStore.open(new_path)
        FaissStore.write(path, encoder.dim, _merged(collected, new))
        new_path.unlink()
    return FaissStore.open(path), n_zero


def _merged(collected: Collected, new: VectorStore) -> Iterator[Vectors]:
    """Yield the vectors of all rows in order, in blocks."""
    old_rows, new_rows = np.array(collected.old_rows), np.array(collected.source_rows)
    for start in range(0, len(old_rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        is_new = new_rows[block] >= 0
        vectors = np.empty((len(is_new), new.dim), np.float32)
        vectors[is_new] = new.vectors(new_rows[block][is_new])
        if collected.old is not None:
            vectors[~is_new] = collected.old.store.vectors(old_rows[block][~is_new])
        yield vectors


def encode_rows(encoder: Encoder, source: PixelSource, stages: Stages) -> Iterator[Vectors]:
    """Encode all rows on all cores. Yield the vectors in order, in blocks of (m, dim) float32."""
    starts = range(0, len(source), _BATCH)

    def encode(start: int) -> Vectors:
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
