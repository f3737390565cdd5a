"""docs/cli.md is what the commands say of themselves."""

import click
import pytest

from indexer.cli import cli
from indexer.cli.docs import PAGE, page


def test_the_page_is_up_to_date():
    """Run `python -m indexer.cli.docs` when this fails."""
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_option_of_every_command_has_help(name):
    """An option without help is one that only its author can use."""
    command = cli.commands[name]
    options = [p for p in getattr(command, "params", []) if isinstance(p, click.Option)]

    assert command.help
    assert [o.name for o in options if not o.help] == []
