"""Commands that search a collection: `search`, `duplicates` and `evaluate`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from index.search.duplicates import DEFAULT_THRESHOLD, describe, duplicate_groups
from index.snapshot import DataFolder
from indexer import search as searching
from indexer.cli import terminal
from indexer.cli.options import data_option, json_option, seed_option
from indexer.output import duplicate_lists
from indexer.output.written import check_outside
from indexer.quality import evaluate as evaluating
from indexer.quality.altered_copies import DEFAULT_SAMPLE


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@data_option
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="Return at most this many results.",
)
@json_option
def search(image: Path, data: Path, limit: int, as_json: bool) -> None:
    """Find the pictures in the collection that are most similar to the file IMAGE.

    With --json, prints what the HTTP API returns for this picture.
    """
    with DataFolder(data).open_current() as snapshot:
        response = searching.search(snapshot, image, limit)
    if as_json:
        terminal.print_json(response.as_dict())
        return
    for one in response.results:
        terminal.print_result(f"{one.score:.4f}  {one.image.id:<18}  {one.image.path}")


@click.command()
@data_option
@click.option(
    "--threshold",
    type=float,
    default=DEFAULT_THRESHOLD,
    show_default=True,
    help="Minimum cosine with the largest picture of a group. Above 1, only equal pictures.",
)
@click.option("--limit", type=click.IntRange(min=1), help="List at most this many groups.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Skip this many groups.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="Print the groups in this format. json prints one group per line.",
)
def duplicates(data: Path, threshold: float, limit: int | None, offset: int, form: str) -> None:
    """List groups of identical or nearly identical pictures, largest group first.

    Each group starts with its largest picture. The scores are cosines with that picture.
    Recompressed and smaller copies have scores of 0.98 or more down to about 250 pixels a side,
    0.95 at 200 pixels, and 0.8 to 0.9 at 128 pixels. To find such small copies, lower the
    threshold.
    """
    with DataFolder(data).open_current() as snapshot:
        groups = duplicate_groups(snapshot, threshold)
        shown = groups[offset:] if limit is None else groups[offset : offset + limit]
        writer = duplicate_lists.WRITERS[form]
        for line in writer(describe(snapshot, rows) for rows in shown):
            terminal.print_result(line)
    terminal.print_message(f"{len(groups):,} groups, {sum(map(len, groups)):,} pictures")


@click.command()
@data_option
@seed_option
@click.option(
    "--labels",
    help="Measure with labels: `folders`, or a CSV or JSON lines file with paths and labels.",
)
@click.option(
    "--column", help="Read the labels from this column of the file. Default: the first one."
)
@click.option(
    "--per-class", is_flag=True, help="Print a table of the classes as well, worst first."
)
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a JPEG of the worst queries and their neighbours, with frames around wrong ones.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=DEFAULT_SAMPLE,
    show_default=True,
    help="Alter this many pictures if there are no labels.",
)
@click.option(
    "--images",
    type=click.Path(file_okay=False, path_type=Path),
    help="Read the pictures from this folder, if it has moved.",
)
@json_option
def evaluate(
    data: Path,
    seed: int,
    labels: str | None,
    column: str | None,
    per_class: bool,
    sheet: Path | None,
    sample: int,
    images: Path | None,
    as_json: bool,
) -> None:
    """Measure the quality of the neighbours, with or without labels.

    With --labels: precision, R-precision and mean average precision, where each labelled picture
    is a query among the others. Without labels: the share of altered copies (cropped, mirrored,
    recompressed ...) that find their original first, and the spread of the encodings.
    """
    if labels is None and (column or per_class or sheet):
        raise click.UsageError("--column, --per-class and --sheet require --labels")
    with DataFolder(data).open_current() as snapshot:
        if labels is None:
            check = evaluating.check_snapshot(snapshot, images, seed, sample, terminal.progress)
            _print_measures(check.as_dict(), evaluating.check_lines(check), as_json)
            return
        labelled = evaluating.Labelled(snapshot, labels, column, terminal.stages().say)
        if sheet is not None:
            check_outside(sheet, snapshot.image_root)
            labelled.write_sheet(sheet)
        _print_measures(labelled.as_dict(), evaluating.labelled_lines(labelled, per_class), as_json)


def _print_measures(measures: dict[str, Any], lines: Iterable[str], as_json: bool) -> None:
    if as_json:
        terminal.print_json(measures)
        return
    for line in lines:
        terminal.print_result(line)
