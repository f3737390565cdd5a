"""Commands about groups: `cluster` and `partition`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from index.artefacts.clusters import Clusters
from index.snapshot import DataFolder
from indexer import pipeline
from indexer.cli import terminal
from indexer.cli.options import data_option, grouping_of, grouping_options, seed_option
from indexer.groups.partition import COPY, MODES


@click.command()
@data_option
@seed_option
@grouping_options
@click.option(
    "--labels",
    help="Compare the groups with known classes: `folders`, or a file as for `evaluate`.",
)
@click.option(
    "--column", help="Read the classes from this column of the file. Default: the first one."
)
@click.option(
    "--sheets",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a sheet of thumbnails of each group to this folder, medoid first.",
)
def cluster(
    data: Path,
    seed: int,
    labels: str | None,
    column: str | None,
    sheets: Path | None,
    **grouping: Any,
) -> None:
    """Group the pictures again and publish the new groups.

    Without --clusters, the number of groups is the elbow of an error curve. If the command is
    interrupted, the old groups stay.
    """
    stages = terminal.stages()
    known = None if labels is None else (labels, column)
    how = grouping_of(seed, grouping)
    found = pipeline.cluster(DataFolder(data), how, stages, known, sheets)
    _print_groups(found)
    stages.say(stages.summary())


def _print_groups(found: Clusters) -> None:
    smallest, largest = found.sizes[-1], found.sizes[0]
    terminal.print_result(f"{len(found)} groups of {smallest:,} to {largest:,} pictures")
    terminal.print_result(f"number of groups: {found.rule}")
    if found.n_sampled is not None:
        terminal.print_result(
            f"grouped samples of {found.n_sampled:,} pictures and assigned the others"
        )
    for name, value in {"loss": found.loss, **found.quality}.items():
        if value is not None:
            terminal.print_result(f"{name:<20}{value:.4f}")


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@data_option
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default=COPY,
    show_default=True,
    help="Copy or link the pictures.",
)
@click.option("--force", is_flag=True, help="Write even if OUT is not empty.")
@click.option(
    "--images",
    type=click.Path(file_okay=False, path_type=Path),
    help="Read the pictures from this folder, if it has moved.",
)
def partition(out: Path, data: Path, mode: str, force: bool, images: Path | None) -> None:
    """Write the pictures to one folder per group in OUT. The originals are not changed."""
    done = pipeline.partition(DataFolder(data), out, mode, force, images, terminal.stages())
    for path in done.missing[:20]:
        terminal.print_message(f"missing: {path}")
    terminal.print_result(
        f"{done.n_written:,} pictures written, {done.n_kept:,} already there, "
        f"{done.n_removed:,} removed, {len(done.missing):,} missing"
    )
