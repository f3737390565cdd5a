"""Commands that ask a collection: `search`, `duplicates` and `evaluate`."""

from __future__ import annotations

import json
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
from indexer.output.duplicate_lists import printable
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
    help="Maximum number of results.",
)
@json_option
def search(image: Path, data: Path, limit: int, as_json: bool) -> None:
    """Find the pictures in the collection that are most similar to the file IMAGE.

    With --json, prints what the HTTP API returns for this picture.
    """
    with DataFolder(data).open_current() as snapshot:
        response = searching.search(snapshot, image, limit)
    if as_json:
        click.echo(json.dumps(response.as_dict(), ensure_ascii=False))
        return
    for one in response.results:
        click.echo(f"{one.score:.4f}  {one.image.id:<18}  {printable(one.image.path)}")


@click.command()
@data_option
@click.option(
    "--threshold",
    type=float,
    default=DEFAULT_THRESHOLD,
    show_default=True,
    help="Least cosine that joins two pictures; above 1 only equal files and pixels are joined.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Groups at most.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Groups to pass over.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="How the groups are printed; json gives one group a line.",
)
def duplicates(data: Path, threshold: float, limit: int | None, offset: int, form: str) -> None:
    """List groups of pictures that are the same, or nearly so, the largest group first.

    Each group begins with its largest picture; the scores are cosines with that one.
    Recompressed and smaller copies reach 0.98 down to about 250 pixels a side, 0.95 to
    200, and 0.8 to 0.9 at 128: to join such small ones, lower the threshold.
    """
    with DataFolder(data).open_current() as snapshot:
        groups = duplicate_groups(snapshot, threshold)
        shown = groups[offset:] if limit is None else groups[offset : offset + limit]
        writer = duplicate_lists.WRITERS[form]
        for line in writer(describe(snapshot, rows) for rows in shown):
            click.echo(line)
    click.echo(f"{len(groups):,} groups, {sum(map(len, groups)):,} pictures", err=True)


@click.command()
@data_option
@seed_option
@click.option("--labels", help="`folders`, or a CSV file with a column `path` and one of labels.")
@click.option("--column", help="Column of the CSV file that holds the labels.")
@click.option("--per-class", is_flag=True, help="Also print a table of the classes, worst first.")
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JPEG to draw the worst queries and their nearest into, the wrong ones framed.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=DEFAULT_SAMPLE,
    show_default=True,
    help="Pictures to alter where there are no labels.",
)
@click.option(
    "--images",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the pictures, if it has moved; they are altered from their files.",
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
    """Measure how good the neighbours are, with labels or without.

    With --labels: precision, R-precision and mean average precision, each labelled picture a query
    among the others. Without: how many altered copies (cropped, mirrored, recompressed ...) find
    their original first, and how the encodings are spread.
    """
    if labels is None and (column or per_class or sheet):
        raise click.UsageError("--column, --per-class and --sheet need --labels")
    with DataFolder(data).open_current() as snapshot:
        if labels is None:
            check = evaluating.check_snapshot(snapshot, images, seed, sample, terminal.progress)
            _say_measures(check.as_dict(), evaluating.check_lines(check), as_json)
            return
        labelled = evaluating.Labelled(snapshot, labels, column)
        if sheet is not None:
            labelled.write_sheet(sheet)
        _say_measures(labelled.as_dict(), evaluating.labelled_lines(labelled, per_class), as_json)


def _say_measures(measures: dict[str, Any], lines: Iterable[str], as_json: bool) -> None:
    for line in [json.dumps(measures, ensure_ascii=False)] if as_json else lines:
        click.echo(line)
