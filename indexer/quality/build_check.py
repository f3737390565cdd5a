"""Checks of a build: the encoder distinguishes pictures, and altered copies find originals."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from index.layout import QUALITY_FILE
from index.search.store import VectorStore
from indexer.collection.records import Collected
from indexer.errors import NothingToCheck
from indexer.folder.dataset import PixelSource
from indexer.quality.altered_copies import (
    BUILD_SAMPLE,
    BUILD_SECONDS,
    SelfCheck,
    Subject,
    check_distinguishes,
    self_check,
)
from indexer.stages import Stages
from models.encoder import Encoder

_SAMPLE = 64


def check_encoder(encoder: Encoder, source: PixelSource, seed: int) -> None:
    """Check on a sample that an encoder distinguishes pictures, before all are encoded.

    Raises
    ------
    EncodingsAlike
        If different pictures get nearly the same vector.
    """
    rows = np.random.default_rng(seed).permutation(len(source))[:_SAMPLE]
    pixels = source.read(rows)
    check_distinguishes(encoder.encode(pixels), pixels)


def check_build(
    store: VectorStore,
    encoder: Encoder,
    collected: Collected,
    folder: Path,
    seed: int,
    stages: Stages,
) -> SelfCheck | None:
    """Check a sample for about 20 seconds and write quality.json.

    Returns
    -------
    SelfCheck or None
        None if the collection is too small. Then no file is written.
    """
    records = collected.records
    subject = Subject(store, encoder, lambda rows: [records[row] for row in rows], collected.root)
    try:
        check = self_check(subject, seed, BUILD_SAMPLE, BUILD_SECONDS, stages.progress)
    except NothingToCheck:
        return None
    check.save(folder / QUALITY_FILE)
    return check
