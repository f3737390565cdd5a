"""Write docs/cli.md from the commands themselves: `python -m indexer.cli.docs`.

A test compares the file with what this module gives, so the page cannot lag behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from indexer.cli import cli

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
_INTRO = """# The command line

`python -m indexer COMMAND` in the project's folder, or `bin/lookalike COMMAND` from any folder.
This page is made by `python -m indexer.cli.docs`.

Progress goes to stderr, results to stdout. The exit code is 0; 1 with one sentence that says what
to do next; 2 for wrong usage; 130 when interrupted with Ctrl-C, which leaves what was published
before as it was: the same command goes on.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    return _INTRO + "".join(_section(words, command) for words, command in _commands((), cli))


def _commands(
    words: tuple[str, ...], group: click.Group
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands((*words, name), command)
        else:
            yield (*words, name), command


def _section(words: tuple[str, ...], command: click.Command) -> str:
    name = " ".join(("lookalike", *words))
    context = click.Context(
        command,
        info_name=name,
        terminal_width=100,
        max_content_width=100,
        help_option_names=["-h", "--help"],
    )
    return f"\n## {' '.join(words)}\n\n```\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
