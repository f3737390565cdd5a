"""Quality of an encoder without labels: whether altered copies find their originals.

A sample of pictures is read from the original files and altered in full size. The copies pass
through the usual preprocessing and encoder, and are searched among the whole collection.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from index.arrays import Mask, Rows, Vectors
from index.catalogue import ImageRecord
from index.progress import QUIET, Progress
from index.search.crops import exact_scores, search_with_crops
from index.search.store import TIE, VectorStore
from index.search.topk import itself_first
from indexer.errors import EncodingsAlike, NothingToCheck
from indexer.folder.dataset import Pixels
from indexer.folder.reading import OpenPicture, open_picture
from indexer.quality.alterations import ALTERATIONS, Alteration
from models.errors import PictureError
from models.learning.collapse import collapse_reason, effective_rank
from models.preprocess import shrink, to_pixels
from models.runtime.machine_limits import cores
from models.runtime.threads import ordered_map

MIN_PICTURES = 20  # among fewer pictures, a first rank means little
DEFAULT_SAMPLE = 200
BUILD_SAMPLE = 100
BUILD_SECONDS = 20.0
_SPREAD_SAMPLE = 500  # the singular value decomposition of more takes seconds
_COLLAPSE_SIDE_PX = 16
_PERCENTILES = (5, 50, 95, 99)


@dataclass(frozen=True)
class Spread:
    """The spread of the vectors of a sample.

    Attributes
    ----------
    n_pictures : int
        Size of the sample.
    effective_rank : float
        Number of directions that the vectors use about their mean, at most n_pictures - 1.
    median_nearest_score : float
        Median cosine of a picture with the most similar other picture of the collection.
    background_scores : dict of str to float
        Percentiles "p5", "p50", "p95", "p99" of the cosine of two different pictures.
    """

    n_pictures: int
    effective_rank: float
    median_nearest_score: float
    background_scores: dict[str, float]


@dataclass(frozen=True)
class Recall:
    """The number of altered copies that found their original first.

    Attributes
    ----------
    n_pictures : int
        Pictures that were altered, each by every alteration.
    n_unread : int
        Pictures of the sample whose file is missing, has changed, or cannot be read.
    n_found : dict of str to int
        Copies that found their original first, by the name of the alteration.
    """

    n_pictures: int
    n_unread: int
    n_found: dict[str, int]

    @property
    def recall_at_1(self) -> dict[str, float]:
        """Share of copies that found their original first, [0, 1], by name of the alteration."""
        return {name: found / self.n_pictures for name, found in self.n_found.items()}

    @property
    def hardest(self) -> Alteration:
        """The alteration whose copies found the fewest originals; the first one of equals."""
        return min(ALTERATIONS, key=lambda one: self.n_found[one.name])

    def sentence(self) -> str:
        """Return a summary for people who do not know encoders."""
        n_found, n_copies = sum(self.n_found.values()), self.n_pictures * len(self.n_found)
        start = (
            f"{self.n_pictures:,} pictures were cropped, mirrored, recompressed, shrunk, "
            "recoloured, rotated and marked with a logo: "
        )
        if n_found == n_copies:
            return start + "every altered copy found its original first"
        hardest = self.n_found[self.hardest.name]
        return start + (
            f"{_in_100(n_found, n_copies)} of these altered copies found their original first "
            f"(hardest: {self.hardest.phrase}, {_in_100(hardest, self.n_pictures)})"
        )


def _in_100(part: int, whole: int) -> str:
    return f"{part * 100 // whole} in 100"  # rounded down, so that only all gives 100 in 100


@dataclass(frozen=True)
class SelfCheck:
    """The quality of an encoder for a collection, measured without labels.

    Attributes
    ----------
    seed : int
        Seed of the sample and of the random crops.
    n_images : int
        Number of pictures in the collection.
    recall : Recall
    spread : Spread
    """

    seed: int
    n_images: int
    recall: Recall
    spread: Spread

    def as_dict(self) -> dict[str, Any]:
        """Return the content of quality.json: the main figures, then the details."""
        recall = self.recall.recall_at_1
        hardest = self.recall.hardest
        return {
            "summary": self.recall.sentence(),
            "found_first": sum(recall.values()) / len(recall),
            "hardest_alteration": hardest.phrase,
            "hardest_found_first": recall[hardest.name],
            "pictures_altered": self.recall.n_pictures,
            "pictures_unread": self.recall.n_unread,
            "effective_rank": self.spread.effective_rank,
            "median_nearest_score": self.spread.median_nearest_score,
            "recall_at_1": recall,
            "spread": asdict(self.spread),
            "n_images": self.n_images,
            "seed": self.seed,
        }

    def save(self, path: Path) -> None:
        """Write `as_dict` as JSON."""
        path.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")


class EncodesQueries(Protocol):
    """The part of the interface of `models.encoder.Encoder` that the check uses."""

    def encode_query(self, pixels: Pixels) -> Vectors:
        """Return the vector and the crop vectors of a query, (1 + m, dim) unit rows.

        `pixels` are (256, 256, 3) uint8.
        """


@dataclass(frozen=True)
class Subject:
    """A collection to check: its vectors, its encoder and its files.

    Attributes
    ----------
    store : VectorStore
    encoder : EncodesQueries
        Encoder that made the vectors.
    records : callable
        Returns the records of some rows, like `Catalogue.records`.
    root : Path
        Folder that the paths in the records are relative to.
    """

    store: VectorStore
    encoder: EncodesQueries
    records: Callable[[Sequence[int]], list[ImageRecord]]
    root: Path


def self_check(
    subject: Subject,
    seed: int = 0,
    n_pictures: int = DEFAULT_SAMPLE,
    max_seconds: float | None = None,
    progress: Progress = QUIET,
) -> SelfCheck:
    """Check a collection without labels.

    Parameters
    ----------
    subject : Subject
    seed : int
    n_pictures : int
        Maximum number of pictures to alter.
    max_seconds : float, optional
        Time limit. After it, no further picture is altered, but at least one always is.
    progress : callable
        tqdm-compatible factory.

    Returns
    -------
    SelfCheck

    Raises
    ------
    NothingToCheck
        If the collection has fewer than `MIN_PICTURES`, or no picture of the sample can be read.
    """
    n_images = len(subject.store)
    if n_images < MIN_PICTURES:
        raise NothingToCheck(
            f"{n_images} pictures are too few to measure quality with altered copies. Index at "
            f"least {MIN_PICTURES}, or use --labels."
        )
    rows = np.random.default_rng(seed).permutation(n_images)
    recall = recall_of_copies(subject, rows[:n_pictures], seed, max_seconds, progress)
    return SelfCheck(seed, n_images, recall, spread_of(subject.store, rows[:_SPREAD_SAMPLE]))


def check_distinguishes(vectors: Vectors, pixels: Pixels) -> None:
    """Check that an encoder gives different pictures different vectors.

    Parameters
    ----------
    vectors : ndarray of shape (n, dim), float32
    pixels : ndarray of shape (n, 256, 256, 3), uint8
        Pixels of the same pictures.

    Raises
    ------
    EncodingsAlike
        If different pictures have nearly the same vector.
    """
    small = shrink(pixels, _COLLAPSE_SIDE_PX).reshape(len(pixels), -1)
    reason = collapse_reason(vectors, small)
    if reason is not None:
        raise EncodingsAlike(
            f"The encoder does not tell the pictures apart: of {len(vectors)} encodings, {reason}. "
            "Train a new encoder with --retrain, or check the pixel range of an external encoder."
        )


def spread_of(store: VectorStore, rows: Rows) -> Spread:
    """Measure the spread of the vectors of at least 2 rows."""
    vectors = store.vectors(rows)
    scores, found = store.search(vectors, 2)
    nearest, _ = itself_first(scores, found, rows)
    background = (vectors @ vectors.T)[np.triu_indices(len(rows), k=1)]
    wide = vectors.astype(np.float64)
    return Spread(
        n_pictures=len(rows),
        effective_rank=effective_rank(wide - wide.mean(axis=0)),
        median_nearest_score=float(np.median(nearest[:, 1])),
        background_scores={f"p{p}": float(np.percentile(background, p)) for p in _PERCENTILES},
    )


def recall_of_copies(
    subject: Subject,
    rows: Rows,
    seed: int = 0,
    max_seconds: float | None = None,
    progress: Progress = QUIET,
) -> Recall:
    """Apply every alteration to the pictures of some rows; count copies that find their original.

    A copy finds its original if no other picture scores higher by more than 1e-6. Of two equal
    pictures, either counts.

    Raises
    ------
    NothingToCheck
        If no file can be read.
    """
    found = np.zeros(len(ALTERATIONS), np.int64)
    n_pictures = n_unread = 0
    records = subject.records(rows.tolist())
    with progress(total=len(rows), desc="altered copies", unit="image") as bar:
        for is_first in _in_threads(subject, records, seed, max_seconds):
            bar.update(1)
            if is_first is None:
                n_unread += 1
                continue
            n_pictures += 1
            found += is_first
    if n_pictures == 0:
        raise NothingToCheck(
            f"None of {len(rows)} pictures in {subject.root} is readable and unchanged. If the "
            "folder has moved, pass its new path with --images."
        )
    names = (one.name for one in ALTERATIONS)
    return Recall(n_pictures, n_unread, dict(zip(names, found.tolist(), strict=True)))


def _in_threads(
    subject: Subject, records: Sequence[ImageRecord], seed: int, max_seconds: float | None
) -> Iterator[Mask | None]:
    """Yield `_check_picture` of each record until the time limit, but of at least one."""
    return ordered_map(
        lambda record: _check_picture(subject, record, seed),
        _until(records, max_seconds),
        n_ahead=cores() + 1,  # few, because those in progress still finish after the limit
    )


def _until(records: Sequence[ImageRecord], max_seconds: float | None) -> Iterator[ImageRecord]:
    """Yield records until the time limit, but at least one."""
    end = math.inf if max_seconds is None else time.monotonic() + max_seconds
    for i, record in enumerate(records):
        if i > 0 and time.monotonic() > end:
            return
        yield record


def _check_picture(subject: Subject, record: ImageRecord, seed: int) -> Mask | None:
    """Return for each alteration whether the copy finds its original.

    None if the file is missing, has changed, or cannot be read.
    """
    try:
        copies = _altered(record, subject.root, np.random.default_rng([seed, record.row]))
    except (OSError, PictureError):
        return None
    if not copies:
        return None
    return np.array([_finds_original(subject, pixels, record.row) for pixels in copies])


def _altered(record: ImageRecord, root: Path, rng: np.random.Generator) -> list[Pixels]:
    """Return one copy of a picture for each alteration; an empty list if the file has changed."""
    with open_picture(record.file_under(root)) as file:
        if hashlib.sha256(file.data).hexdigest() != record.sha256:
            return []
        return _copies(file, rng)


def _copies(file: OpenPicture, rng: np.random.Generator) -> list[Pixels]:
    image = file.decode()
    return [to_pixels(one.alter(image, rng)) for one in ALTERATIONS]


def _finds_original(subject: Subject, pixels: Pixels, row: int) -> bool:
    vectors = subject.encoder.encode_query(pixels)
    best, _ = search_with_crops(subject.store, vectors, 1)
    own = exact_scores(subject.store, vectors, np.array([row]))
    return bool(own[0] >= best[0] - TIE)
