"""Commands that build a collection: `build` and `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from index.build_settings import TrainingOptions
from index.search.topk import DEFAULT_K
from index.snapshot import DataFolder
from indexer import pipeline
from indexer.cli import terminal
from indexer.cli.options import (
    data_option,
    file_options,
    grouping_of,
    grouping_options,
    images_argument,
    metadata_option,
    patterns_of,
    seed_option,
    training_options,
)
from indexer.options import BuildOptions
from models.external.tflite_encoder import KERAS_PREFIX, PIXEL_RANGES


@click.command()
@images_argument
@data_option
@seed_option
@training_options
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    default=DEFAULT_K,
    show_default=True,
    help="Store this many nearest neighbours per picture.",
)
@click.option(
    "--encoder",
    help="Use this encoder instead of training one: a .tflite file, or keras:NAME from "
    "keras.applications.",
)
@click.option(
    "--encoder-range",
    type=click.Choice(list(PIXEL_RANGES)),
    help="Pass pixels to the .tflite file in this range. Default: the range in the .json file "
    "beside it, or 0..1.",
)
@click.option(
    "--weights",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Load the weights of keras:NAME, without the top, from this file instead of downloading "
    "them.",
)
@click.option("--retrain", is_flag=True, help="Train a new encoder even if the collection has one.")
@metadata_option
@file_options
@grouping_options
def build(
    images: Path,
    data: Path,
    seed: int,
    metadata: Path | None,
    top_k: int,
    encoder: str | None,
    encoder_range: str | None,
    weights: Path | None,
    retrain: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    **training: Any,
) -> None:
    """Build and publish a snapshot of the folder IMAGES: train, encode, find neighbours, group."""
    _check_encoder_options(encoder, encoder_range, weights)
    stages = terminal.stages()
    options = _build_options(
        images,
        seed,
        training,
        top_k=top_k,
        encoder=encoder,
        encoder_range=encoder_range,
        weights=weights,
        retrain=retrain,
        metadata=metadata,
        groups=grouping_of(seed, training),
        include=patterns_of(include),
        exclude=patterns_of(exclude),
    )
    built = pipeline.build(DataFolder(data), options, stages)
    terminal.print_skipped(built.skipped)
    if built.n_zero_encodings:
        stages.say(
            f"{built.n_zero_encodings} pictures have a zero encoding and cannot be told apart"
        )
    terminal.print_check(built.check)
    stages.say(stages.summary())
    terminal.print_result(f"published {built.snapshot_id}: {built.n_images:,} pictures in {data}")


def _check_encoder_options(
    encoder: str | None, encoder_range: str | None, weights: Path | None
) -> None:
    is_keras = encoder is not None and encoder.startswith(KERAS_PREFIX)
    if weights is not None and not is_keras:
        raise click.UsageError(f"--weights requires --encoder {KERAS_PREFIX}NAME")
    if encoder_range is not None and (encoder is None or is_keras):
        raise click.UsageError("--encoder-range requires --encoder FILE.tflite")


@click.command()
@images_argument
@data_option
@seed_option
@training_options
@file_options
def train(
    images: Path,
    data: Path,
    seed: int,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    **training: Any,
) -> None:
    """Train an encoder on the folder IMAGES, or resume an interrupted training.

    A later `build` with the same pictures, network and seed uses this encoder.
    """
    stages = terminal.stages()
    options = _build_options(
        images, seed, training, include=patterns_of(include), exclude=patterns_of(exclude)
    )
    folder = pipeline.train(DataFolder(data), options, stages)
    stages.say(stages.summary())
    terminal.print_result(str(folder))


def _build_options(
    images: Path, seed: int, training: dict[str, Any], **others: Any
) -> BuildOptions:
    strict = training.pop("strict")
    if (training["architecture"], training["objective"]) == ("classic", "contrastive"):
        raise click.UsageError(
            "--objective contrastive requires --architecture deep: the classic network only "
            "learns to reproduce pictures"
        )
    return BuildOptions(images, seed, TrainingOptions(**training), strict=strict, **others)
