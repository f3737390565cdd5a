"""Commands about snapshots as a whole: `verify`, `export` and `snapshots`."""

from __future__ import annotations

from pathlib import Path

import click

from index.manifest import REMEDY
from index.snapshot import KEPT, DataFolder
from index.verification import verify as verify_snapshot
from indexer import pipeline
from indexer.cli import terminal
from indexer.cli.options import data_option, json_option
from indexer.encoding.choice import encoder_findings
from indexer.errors import IndexerError
from indexer.output import export as exporting
from indexer.output.written import check_outside


@click.command()
@data_option
@click.option(
    "--all",
    "all_rows",
    is_flag=True,
    help="Compare every row of the neighbour table with a search.",
)
def verify(data: Path, all_rows: bool) -> None:
    """Check the live snapshot: checksums, counts, and that every picture finds itself."""
    with DataFolder(data).open_current() as snapshot:
        findings = list(encoder_findings(snapshot))
        findings += verify_snapshot(snapshot, all_rows, progress=terminal.progress)
        for finding in findings:
            terminal.print_result(finding)
        if findings:
            n_faults = f"{len(findings)} {'fault' if len(findings) == 1 else 'faults'}"
            raise IndexerError(f"snapshot {snapshot.id} has {n_faults}: {REMEDY}")
        terminal.print_result(f"snapshot {snapshot.id} is sound: {len(snapshot):,} pictures")


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@data_option
@click.option(
    "--full-limit",
    type=click.IntRange(min=0),
    default=exporting.DEFAULT_FULL_LIMIT,
    show_default=True,
    help="Write the square files for at most this many pictures, and the top-k table for more.",
)
def export(out: Path, data: Path, full_limit: int) -> None:
    """Export the collection to the folder OUT as plain files: .npy, .csv and .json."""
    with DataFolder(data).open_current() as snapshot:
        check_outside(out, snapshot.image_root)
        for message in exporting.export(snapshot, out, full_limit, progress=terminal.progress):
            terminal.print_message(message)
    terminal.print_result(f"written to {out}")


@click.group()
def snapshots() -> None:
    """List published snapshots, go back to one, or remove old ones."""


@snapshots.command("list")
@data_option
@json_option
def list_snapshots(data: Path, as_json: bool) -> None:
    """List the published snapshots, oldest first."""
    found = pipeline.describe_snapshots(DataFolder(data))
    if as_json:
        terminal.print_json(found, indent=1)
        return
    for one in found:
        mark = "*" if one["current"] else " "
        if "problem" in one:
            terminal.print_result(f"{mark} {one['id']}  {one['problem']}")
            continue
        size = f"{one['size_bytes'] / 1e6:,.0f} MB"
        terminal.print_result(f"{mark} {one['id']}  {one['n_images']:>9,} pictures  {size:>12}")


@snapshots.command()
@click.argument("snapshot_id", metavar="ID")
@data_option
def rollback(snapshot_id: str, data: Path) -> None:
    """Check the snapshot ID and make it live."""
    folder = DataFolder(data)
    with folder.locked():
        with folder.open(snapshot_id) as snapshot:
            pipeline.check_sound(snapshot)
        folder.set_current(snapshot_id)
    terminal.print_result(f"{snapshot_id} is live")


@snapshots.command()
@data_option
@click.option(
    "--keep", type=click.IntRange(min=1), default=KEPT, show_default=True, help="Keep this many."
)
def prune(data: Path, keep: int) -> None:
    """Remove all but the newest snapshots, except the live one and those in use."""
    folder = DataFolder(data)
    with folder.locked():
        removed = folder.prune(keep)
    terminal.print_result(f"removed {len(removed)} snapshots")
