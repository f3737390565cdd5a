"""The command line: reads options, calls one use case, prints what came of it.

Progress goes to stderr, results to stdout. Exit code 0; 1 with one sentence; 2 for usage; 130 when
interrupted.
"""

from __future__ import annotations

import sys
import warnings
from typing import NoReturn

import click

from index.errors import IndexFailure
from indexer.cli import build, groups, search, snapshots, update
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
    """Index a folder of pictures, to find what looks alike."""


for _command in _COMMANDS:
    cli.add_command(_command)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line, and turn every expected error into one sentence."""
    warnings.formatwarning = lambda message, *_, **__: f"Warning: {message}\n"
    try:
        code = cli.main(arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo(
            "\ninterrupted: what was published before is untouched, "
            "the same command goes on from here",
            err=True,
        )
        sys.exit(130)
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        sys.stderr.close()
        sys.exit(0)
    except _EXPECTED as error:
        click.echo(f"Error: {_sentence(error)}", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)  # --help and --version give a code


def _sentence(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return f"there is not enough memory ({error or 'none could be had'}): close other programs"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
