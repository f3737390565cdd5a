"""How well encoders tell what a picture shows, and find the originals of altered copies.

    python -m benchmarks.quality IMAGES LABELS.csv [--minutes 30] [--seeds 3] [--rows pixels ...]

One line for each encoder and seed: minutes of training or fitting, length of a vector; for each
label column P@1, P@10 and mAP (each labelled picture a query among the others); then, of altered
copies of a sample, the share that finds its original first, by alteration. Where there are several
seeds, a last line gives the medians. Labels are for measuring only.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.baselines import BASELINES
from benchmarks.machine import machine_line
from index.catalogue import ImageRecord
from index.search.faiss_store import FaissStore
from indexer.collection.records import make_record
from indexer.folder.dataset import PixelSource, Scanned, scan
from indexer.folder.walk import walk
from indexer.quality.alterations import ALTERATIONS
from indexer.quality.altered_copies import Subject, recall_of_copies
from indexer.quality.label_scores import LabelsFile, rankings
from models.encoder import Encoder
from models.files import ENCODER_FILE
from models.learning.collapse import effective_rank

_CACHE_BYTES = 64 << 30
_BATCH = 64
_RANK_SAMPLE = 500
_WIDTH = 9
_WITHOUT_CHANCE = {"pixels", "histogram"}


@dataclass(frozen=True)
class Pictures:
    """A folder's pictures, and the label numbers of some rows by column."""

    root: Path
    records: list[ImageRecord]
    source: PixelSource
    labels: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]


@click.command()
@click.argument("images", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("labels", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--rows", multiple=True, help="Encoders; default: all, networks last.")
@click.option("--minutes", type=float, default=30.0, show_default=True, help="Of training.")
@click.option("--seeds", type=int, default=3, show_default=True, help="Number of them, from 0.")
@click.option("--column", multiple=True, help="Label column; may be given again.")
@click.option("--sample", type=int, default=400, show_default=True, help="Pictures to alter.")
def main(
    images: Path,
    labels: Path,
    rows: tuple[str, ...],
    minutes: float,
    seeds: int,
    column: tuple[str, ...],
    sample: int,
) -> None:
    """Measure encoders on the pictures in IMAGES against LABELS."""
    click.echo(machine_line())
    with tempfile.TemporaryDirectory() as folder:
        pictures = _read(images, labels, column or (None,), Path(folder))
        click.echo(_describe(pictures, minutes, sample))
        click.echo(_line("encoder", "seed", _titles(pictures)))
        for name in rows or _all_rows():
            measured = []
            for seed in range(1 if name in _WITHOUT_CHANCE else seeds):
                started = time.monotonic()
                encoder = _made(name, seed, minutes, pictures, Path(folder))
                spent = (time.monotonic() - started) / 60
                measured.append([spent, *_measure(pictures, encoder, sample)])
                click.echo(_line(name, str(seed), _figures(measured[-1])))
            if len(measured) > 1:
                click.echo(_line(name, "median", _figures(np.median(measured, axis=0).tolist())))


def _all_rows() -> list[str]:
    from models.autoencoder import ARCHITECTURES

    return [*BASELINES, *sorted(ARCHITECTURES)]


def _read(images: Path, labels: Path, columns: Sequence[str | None], folder: Path) -> Pictures:
    files = walk(images).files
    source = PixelSource(images.resolve(), folder, len(files), _CACHE_BYTES)
    records: list[ImageRecord] = []
    copies: dict[str, int] = {}
    for found in scan(images.resolve(), files, progress=tqdm):
        if isinstance(found, Scanned):
            records.append(make_record(len(records), found, copies))
            source.add(found)
    codes = {column or "labels": _codes(records, labels, column) for column in columns}
    return Pictures(images.resolve(), records, source, codes)


def _codes(
    records: Sequence[ImageRecord], labels: Path, column: str | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the labelled rows and their label numbers."""
    file = LabelsFile.read(labels, column)
    names = {record.row: label for record in records if (label := file.find(record.path))}
    if not names:
        raise click.ClickException(f"{labels} labels none of the pictures")
    return np.array(list(names)), np.unique(list(names.values()), return_inverse=True)[1]


def _made(name: str, seed: int, minutes: float, pictures: Pictures, folder: Path) -> Any:
    """Return something that encodes, fitted or trained on the pictures."""
    if name in BASELINES:
        baseline = BASELINES[name](seed)
        baseline.fit(pictures.source)
        return baseline
    from models.export import export_autoencoder
    from models.training import TrainingSettings, train

    settings = TrainingSettings(architecture=name, seed=seed, minutes=minutes)
    out = folder / f"{name}-{seed}"
    out.mkdir()
    export_autoencoder(train(pictures.source, settings, out, progress=tqdm), settings, out)
    return Encoder.open(out / ENCODER_FILE)


def _measure(pictures: Pictures, encoder: Any, sample: int) -> list[float]:
    vectors = np.concatenate(list(_encoded(pictures.source, encoder)))
    figures = [float(vectors.shape[1]), _rank(vectors)]
    for rows, codes in pictures.labels.values():
        quality = rankings(vectors[rows], codes).quality()
        figures += [quality.p_at_1, quality.p_at_10, quality.mean_average_precision]
    records = pictures.records
    subject = Subject(
        FaissStore.from_vectors(vectors),
        encoder,
        lambda rows: [records[row] for row in rows],
        pictures.root,
    )
    chosen = np.random.default_rng(0).permutation(len(vectors))[:sample]
    recall = recall_of_copies(subject, chosen, progress=tqdm).recall_at_1
    return figures + [recall[one.name] for one in ALTERATIONS]


def _encoded(source: PixelSource, encoder: Any) -> Iterator[NDArray[np.float32]]:
    for start in tqdm(range(0, len(source), _BATCH), desc="encode"):
        rows = np.arange(start, min(start + _BATCH, len(source)))
        yield encoder.encode(source.read(rows))


def _rank(vectors: NDArray[np.float32]) -> float:
    chosen = np.random.default_rng(0).permutation(len(vectors))[:_RANK_SAMPLE]
    wide = vectors[chosen].astype(np.float64)
    return effective_rank(wide - wide.mean(axis=0))


def _describe(pictures: Pictures, minutes: float, sample: int) -> str:
    counts = []
    for column, (rows, codes) in pictures.labels.items():
        chance = rankings(np.eye(len(rows), dtype=np.float32), codes).quality().chance
        counts.append(f"{len(rows):,} with {column} (chance {chance:.3f})")
    return (
        f"{len(pictures.records):,} pictures, {', '.join(counts)}; {minutes:g} minutes of training "
        f"at most; {min(sample, len(pictures.records))} pictures altered"
    )


def _titles(pictures: Pictures) -> list[str]:
    measures = [f"{name} {c[:4]}" for c in pictures.labels for name in ("P@1", "P@10", "mAP")]
    return ["minutes", "dim", "rank", *measures, *(_short(one.name) for one in ALTERATIONS)]


def _short(name: str) -> str:
    return name.replace("contrast_", "con").replace("resize_", "side")[:_WIDTH]


def _figures(values: Sequence[float]) -> list[str]:
    minutes, dim, rank, *shares = values
    return [f"{minutes:.1f}", f"{dim:.0f}", f"{rank:.0f}", *(f"{share:.3f}" for share in shares)]


def _line(name: str, seed: str, figures: Sequence[str]) -> str:
    return f"{name:<12}{seed:>7}" + "".join(f"{text:>{_WIDTH + 1}}" for text in figures)


if __name__ == "__main__":
    main()
