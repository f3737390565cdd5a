"""Commands that update a collection: `reindex`, `add` and `remove`."""

from __future__ import annotations

from pathlib import Path

import click

from index.snapshot import DataFolder
from indexer import pipeline
from indexer.cli import terminal
from indexer.cli.options import (
    data_option,
    file_options,
    json_option,
    metadata_option,
    patterns_of,
)
from indexer.options import ReindexOptions
from indexer.stages import Stages


@click.command()
@click.argument("images", type=click.Path(path_type=Path), required=False)
@data_option
@click.option("--dry-run", is_flag=True, help="Report the changes without making them.")
@click.option("--yes", is_flag=True, help="Continue even if over half of the pictures are missing.")
@click.option(
    "--retrain",
    is_flag=True,
    help="Train a new encoder with the options of the last build, and encode all pictures again.",
)
@click.option(
    "--rehash",
    is_flag=True,
    help="Read every file, even if its size, times and inode are unchanged.",
)
@click.option(
    "--strict", is_flag=True, help="Fail if any file is skipped or any folder cannot be read."
)
@metadata_option
@file_options
@json_option
def reindex(
    images: Path | None,
    data: Path,
    dry_run: bool,
    yes: bool,
    retrain: bool,
    rehash: bool,
    strict: bool,
    metadata: Path | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    as_json: bool,
) -> None:
    """Update the collection from its folder, or from the folder IMAGES.

    Only new and changed pictures are encoded, with the same encoder. A moved picture keeps its id.
    The metadata file is read again. If it has changed, it replaces the metadata of every picture.
    """
    stages = terminal.stages()
    options = ReindexOptions(
        images,
        dry_run,
        yes,
        metadata,
        strict=strict,
        rehash=rehash,
        include=patterns_of(include),
        exclude=patterns_of(exclude),
    )
    if retrain and not dry_run:
        built = pipeline.retrain(DataFolder(data), options, stages)
        terminal.print_skipped(built.skipped)
        stages.say(stages.summary())
        n_images = f"{built.n_images:,} pictures"
        terminal.print_result(f"published {built.snapshot_id}: {n_images} in {data}")
        return
    _print_update(pipeline.reindex(DataFolder(data), options, stages), stages, as_json)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@data_option
@metadata_option
@json_option
def add(paths: tuple[Path, ...], data: Path, metadata: Path | None, as_json: bool) -> None:
    """Add single pictures to the collection. They must be in its folder."""
    stages = terminal.stages()
    _print_update(pipeline.add(DataFolder(data), list(paths), stages, metadata), stages, as_json)


@click.command()
@click.argument("ids", nargs=-1, required=True)
@data_option
@click.option("--purge", is_flag=True, help="Remove older snapshots that contain the pictures.")
@json_option
def remove(ids: tuple[str, ...], data: Path, purge: bool, as_json: bool) -> None:
    """Remove single pictures from the collection by their ids.

    The files stay where they are. They stay out of the collection until `add` adds them again, even
    if they move within the folder.
    """
    stages = terminal.stages()
    done = pipeline.remove(DataFolder(data), list(ids), stages, purge)
    _print_update(done, stages, as_json)
    if done.purged is not None:
        for snapshot_id in done.purged.removed:
            stages.say(f"removed snapshot {snapshot_id}")
        done.purged.check()


def _print_update(done: pipeline.Reindexed, stages: Stages, as_json: bool) -> None:
    terminal.print_skipped(done.changes.skipped)
    terminal.print_check(done.check)
    stages.say(stages.summary())
    if as_json:
        purged = {} if done.purged is None else done.purged.as_dict()
        found = {"snapshot": done.snapshot_id} | done.changes.as_dict() | purged
        terminal.print_json(found)
        return
    terminal.print_result(done.changes.summary())
    if done.snapshot_id is not None:
        terminal.print_result(f"published {done.snapshot_id}: {done.n_images:,} pictures")
