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
    grouping_of,
    grouping_options,
    images_argument,
    metadata_option,
    seed_option,
    training_options,
)
from indexer.options import BuildOptions
from models.external.tflite_encoder import KERAS_PREFIX, RANGES


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
    help="Neighbours of each picture that are computed beforehand.",
)
@click.option(
    "--encoder",
    help="Encoder to use instead of training: a tflite file, or keras:NAME of keras.applications.",
)
@click.option(
    "--encoder-range",
    type=click.Choice(list(RANGES)),
    help="Pixels that the tflite file was trained on, if no .json beside it says so; else 0..1.",
)
@click.option(
    "--weights",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of weights for keras:NAME, without the top; else the usual ones are fetched.",
)
@click.option("--retrain", is_flag=True, help="Train anew although the collection has an encoder.")
@metadata_option
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
    **training: Any,
) -> None:
    """Turn the folder IMAGES into a published snapshot: train, encode, find neighbours, group."""
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
    )
    built = pipeline.build(DataFolder(data), options, stages)
    terminal.say_skipped(built.skipped)
    if built.n_zero_encodings:
        stages.say(f"{built.n_zero_encodings} pictures have an encoding of zero: they look alike")
    terminal.say_check(built.check)
    stages.say(stages.summary())
    click.echo(f"published {built.snapshot_id}: {built.n_images:,} pictures in {data}")


def _check_encoder_options(
    encoder: str | None, encoder_range: str | None, weights: Path | None
) -> None:
    is_keras = encoder is not None and encoder.startswith(KERAS_PREFIX)
    if weights is not None and not is_keras:
        raise click.UsageError(f"--weights goes with --encoder {KERAS_PREFIX}NAME")
    if encoder_range is not None and (encoder is None or is_keras):
        raise click.UsageError("--encoder-range goes with --encoder FILE.tflite")


@click.command()
@images_argument
@data_option
@seed_option
@training_options
def train(images: Path, data: Path, seed: int, **training: Any) -> None:
    """Train an encoder on IMAGES, or go on where an interrupted training stopped.

    A later `build` with the same pictures, network and seed takes the encoder over.
    """
    stages = terminal.stages()
    folder = pipeline.train(DataFolder(data), _build_options(images, seed, training), stages)
    stages.say(stages.summary())
    click.echo(str(folder))


def _build_options(
    images: Path, seed: int, training: dict[str, Any], **others: Any
) -> BuildOptions:
    strict = training.pop("strict")
    if (training["architecture"], training["objective"]) == ("classic", "contrastive"):
        raise click.UsageError(
            "the classic network can only learn to paint: --objective contrastive goes with "
            "--architecture deep"
        )
    return BuildOptions(images, seed, TrainingOptions(**training), strict=strict, **others)
