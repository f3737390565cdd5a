"""What a user may choose, as plain values that are passed down from the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from index.build_settings import TrainingOptions
from index.search.topk import DEFAULT_K
from indexer.dataset import DEFAULT_CACHE_BYTES
from indexer.groups.clustering import Grouping


@dataclass(frozen=True)
class ReindexOptions:
    """What a re-indexing was asked for.

    Attributes
    ----------
    images : Path or None
        Folder of pictures; None for the one that was indexed before.
    is_dry_run : bool
        Say what would be done, and do nothing.
    may_lose_most : bool
        Go on although over half of the collection is gone.
    cache_bytes : int
        As in `BuildOptions`.
    metadata : Path or None
        File that says something of the pictures; None for the one that was given before.
    """

    images: Path | None = None
    is_dry_run: bool = False
    may_lose_most: bool = False
    metadata: Path | None = None
    cache_bytes: int = DEFAULT_CACHE_BYTES


@dataclass(frozen=True)
class BuildOptions:
    """What a build was asked for.

    Attributes
    ----------
    images : Path
        Folder of pictures.
    encoder : str or None
        What to use instead of training: a folder with encoder.tflite and encoder.json, a tflite
        file, or "keras:" and a name in keras.applications.
    encoder_range : str or None
        Range of pixels that a tflite file expects; one of `models.external.tflite_encoder.RANGES`.
    weights : Path or None
        File of weights for a "keras:" encoder; None: the usual ones are fetched.
    retrain : bool
        Train anew although the collection has an encoder.
    strict : bool
        Fail when a file has to be skipped.
    cache_bytes : int
        Disk for decoded pictures while training; what is beyond it is decoded again.
    metadata : Path or None
        File that says something of the pictures.
    keep_metadata : bool
        Take over what is said of them in the live snapshot, and the file that said it.
    """

    images: Path
    seed: int = 0
    training: TrainingOptions = field(default_factory=TrainingOptions)
    top_k: int = DEFAULT_K
    groups: Grouping = field(default_factory=Grouping)
    encoder: str | None = None
    encoder_range: str | None = None
    weights: Path | None = None
    retrain: bool = False
    strict: bool = False
    metadata: Path | None = None
    keep_metadata: bool = False
    cache_bytes: int = DEFAULT_CACHE_BYTES
