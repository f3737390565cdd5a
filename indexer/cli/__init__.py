"""The command line: read options, call one use case, print its result.

Progress goes to stderr, results to stdout. The exit code is 0 for success, 1 for an error with a
message, 2 for wrong usage, and 130 for an interruption. Each other module has one family of
commands.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from index.errors import IndexFailure
from indexer.cli import build, groups, search, snapshots, terminal, update
from indexer.errors import IndexerError
from models.errors import ModelsError

_EXPECTED = (IndexerError, IndexFailure, ModelsError, OSError, MemoryError)
_COMMANDS = (
    build.build,
    build.train,
    update.reindex,
    update.add,
    update.remove,
    groups.cluster,
    groups.partition,
    search.search,
    search.duplicates,
    snapshots.verify,
    snapshots.export,
    search.evaluate,
    snapshots.snapshots,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option("0.1.0", prog_name="lookalike")
def cli() -> None:
    """Index a folder of pictures and find similar ones."""


for _command in _COMMANDS:
    cli.add_command(_command)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line, and print a message instead of a traceback for an expected error."""
    terminal.prepare()
    try:
        code = cli.main(arguments, standalone_mode=False)
    except click.ClickException as error:
        terminal.print_usage_error(error)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        terminal.print_message("")  # ends the line with ^C
        terminal.print_message(
            "Interrupted. The published snapshot is unchanged. "
            "Run the same command again to continue."
        )
        sys.exit(130)
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        sys.stderr.close()
        sys.exit(0)
    except _EXPECTED as error:
        terminal.print_message(f"Error: {_message(error)}")
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)  # --help and --version return a code


def _message(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return f"Out of memory{f' ({error})' if str(error) else ''}. Close other programs."
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error)
