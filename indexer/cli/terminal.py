"""Output of all commands to stderr: progress, stages, skipped files, quality checks."""

from __future__ import annotations

import functools
import sys

import click
from tqdm import tqdm

from indexer.dataset import Skipped
from indexer.quality.altered_copies import SelfCheck
from indexer.stages import Stages


def print_skipped(skipped: list[Skipped], n_shown: int = 20) -> None:
    """Print the first skipped files, each with its reason."""
    if not skipped:
        return
    click.echo(f"skipped {len(skipped):,} {'file' if len(skipped) == 1 else 'files'}:", err=True)
    for one in skipped[:n_shown]:
        click.echo(f"  {one.path}: {one.reason}", err=True)
    if len(skipped) > n_shown:
        click.echo(f"  and {len(skipped) - n_shown:,} more, listed in skipped.json", err=True)


def print_check(check: SelfCheck | None) -> None:
    """Print the result of a quality check, if there was one."""
    if check is not None:
        click.echo(f"check: {check.recall.sentence()}", err=True)


progress = functools.partial(
    tqdm, file=sys.stderr, dynamic_ncols=True, mininterval=0.2 if sys.stderr.isatty() else 5.0
)


def stages() -> Stages:
    """Return the stages of a run that show their progress on stderr."""
    return Stages(progress, functools.partial(click.echo, err=True))
