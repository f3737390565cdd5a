"""Options of a build and of a re-index, as plain values that the command line passes down."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from index.build_settings import TrainingOptions
from index.search.topk import DEFAULT_K
from indexer.folder.dataset import DEFAULT_CACHE_BYTES
from indexer.groups.grouping import Grouping


@dataclass(frozen=True)
class ReindexOptions:
    """Options of a re-index.

    Attributes
    ----------
    images : Path or None
        Folder of pictures; None for the folder that was indexed before.
    is_dry_run : bool
        Report the changes without making them.
    may_lose_most : bool
        Continue even if over half of the pictures are missing.
    cache_bytes : int
        As in `BuildOptions`.
    metadata : Path or None
        Metadata file; None for the file that was given before.
    strict : bool
        Fail if any file is skipped or any folder cannot be read.
    include, exclude : tuple of str, or None
        Patterns; None for those that were given before.
    rehash : bool
        Read every file, even if its size, times and inode are unchanged.
    """

    images: Path | None = None
    is_dry_run: bool = False
    may_lose_most: bool = False
    metadata: Path | None = None
    cache_bytes: int = DEFAULT_CACHE_BYTES
    strict: bool = False
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    rehash: bool = False


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build.

    Attributes
    ----------
    images : Path
        Folder of pictures.
    encoder : str or None
        Encoder to use instead of training one: a folder with encoder.tflite and encoder.json, a
        tflite file, or "keras:" and a name in keras.applications.
    encoder_range : str or None
        Pixel range that a tflite file expects: one of `PIXEL_RANGES` in
        models/external/tflite_encoder.py.
    weights : Path or None
        Weights of a "keras:" encoder; None to download the published ones.
    retrain : bool
        Train a new encoder even if the collection has one.
    strict : bool
        Fail if any file is skipped or any folder cannot be read.
    cache_bytes : int
        Disk space for decoded pictures. Pictures that do not fit are decoded again when needed.
    metadata : Path or None
        Metadata file.
    keep_metadata : bool
        Keep the metadata of the live snapshot, and its metadata file.
    include, exclude : tuple of str, or None
        Patterns; None for those of the live snapshot of the same folder, if any.
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
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
