"""Output of all commands: results to stdout; progress, stages and skipped files to stderr.

A line may contain the name of a file, and thus any character. So every line is printed by this
module, which escapes what would harm a terminal and what the terminal cannot show.
"""

from __future__ import annotations

import functools
import io
import sys
import warnings
from typing import Any, TextIO

import click
from tqdm import tqdm

from index.text import ascii_json, printable
from indexer.folder.dataset import Skipped
from indexer.quality.altered_copies import SelfCheck
from indexer.stages import Stages


def prepare() -> None:
    """Let the standard streams and warnings take any text, also that of other libraries."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = lambda message, *_, **__: f"{printable(f'Warning: {message}')}\n"


def print_result(line: str) -> None:
    """Print one line of a result to stdout."""
    _print(line, sys.stdout)


def print_json(value: Any, indent: int | None = None) -> None:
    """Print a result as JSON to stdout. It is ASCII, so it is valid in every locale."""
    for line in ascii_json(value, indent).split("\n"):
        print_result(line)


def print_message(line: str) -> None:
    """Print one line for the user to stderr."""
    _print(line, sys.stderr)


def print_usage_error(error: click.ClickException) -> None:
    """Print wrong usage as click does: the usage, then the error."""
    shown = io.StringIO()
    error.show(shown)
    for line in shown.getvalue().rstrip("\n").split("\n"):
        print_message(line)


def _print(line: str, stream: TextIO) -> None:
    print(printable(line, stream.encoding or "utf-8"), file=stream, flush=True)


def print_skipped(skipped: list[Skipped], n_shown: int = 20) -> None:
    """Print the first skipped files, each with its reason."""
    if not skipped:
        return
    print_message(f"skipped {len(skipped):,} {'file' if len(skipped) == 1 else 'files'}:")
    for one in skipped[:n_shown]:
        print_message(f"  {one.path}: {one.reason}")
    if len(skipped) > n_shown:
        print_message(f"  and {len(skipped) - n_shown:,} more, listed in skipped.json")


def print_check(check: SelfCheck | None) -> None:
    """Print the result of a quality check, if there was one."""
    if check is not None:
        print_message(f"check: {check.recall.sentence()}")


progress = functools.partial(
    tqdm, file=sys.stderr, dynamic_ncols=True, mininterval=0.2 if sys.stderr.isatty() else 5.0
)


def stages() -> Stages:
    """Return the stages of a run that show their progress on stderr."""
    return Stages(progress, print_message)
