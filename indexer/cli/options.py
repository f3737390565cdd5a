"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from indexer.groups.grouping import ALGORITHMS, ELBOWS, FASTERPAM, KMEDOIDS, Grouping


def _joined(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Combine several option decorators into one."""
    return lambda command: functools.reduce(lambda c, option: option(c), reversed(options), command)


data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    envvar="LOOKALIKE_DATA",
    show_default=True,
    help="Use this data folder (or set LOOKALIKE_DATA).",
)
seed_option = click.option("--seed", default=0, show_default=True, help="Seed all random choices.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
images_argument = click.argument("images", type=click.Path(path_type=Path))
metadata_option = click.option(
    "--metadata",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Read metadata from this CSV or JSON Lines file, which has a `path` column.",
)
file_options = _joined(
    click.option(
        "--exclude",
        multiple=True,
        metavar="GLOB",
        help="Leave out files that match this pattern, written as in a .gitignore file. "
        "Repeatable. Every later `reindex` uses it again. An empty pattern removes all patterns.",
    ),
    click.option(
        "--include",
        multiple=True,
        metavar="GLOB",
        help="Index files that match this pattern, even if they are hidden or excluded. "
        "Repeatable. Every later `reindex` uses it again, as for --exclude.",
    ),
)
training_options = _joined(
    click.option(
        "--minutes",
        type=click.FloatRange(min=0, min_open=True),
        default=30.0,
        show_default=True,
        help="Train for at most this many minutes.",
    ),
    click.option(
        "--epochs", type=click.IntRange(min=1), help="Train for at most this many epochs."
    ),
    click.option(
        "--steps",
        type=click.IntRange(min=1),
        help="Train for exactly this many steps, without a time limit. This repeats an earlier "
        "training.",
    ),
    click.option(
        "--architecture",
        type=click.Choice(["deep", "classic"]),
        default="deep",
        show_default=True,
        help="Train this network.",
    ),
    click.option(
        "--objective",
        type=click.Choice(["contrastive", "reconstruction"]),
        help="Choose what the network learns: `contrastive` to tell pictures apart (default for "
        "deep), `reconstruction` only to reproduce them (default for classic).",
    ),
    click.option(
        "--strict", is_flag=True, help="Fail if any file is skipped or any folder cannot be read."
    ),
)


grouping_options = _joined(
    click.option(
        "--clusters",
        type=click.IntRange(min=1),
        help="Make this many groups instead of searching for the number.",
    ),
    click.option(
        "--min-clusters",
        type=click.IntRange(min=1),
        default=2,
        show_default=True,
        help="Start the search at this number of groups.",
    ),
    click.option(
        "--max-clusters",
        type=click.IntRange(min=1),
        default=100,
        show_default=True,
        help="End the search at this number of groups.",
    ),
    click.option(
        "--algorithm",
        type=click.Choice(ALGORITHMS),
        default=FASTERPAM,
        show_default=True,
        help="Group with this algorithm.",
    ),
    click.option(
        "--elbow",
        type=click.Choice(ELBOWS),
        default=KMEDOIDS,
        show_default=True,
        help="Find the number of groups from the elbow of this error curve. The original used "
        "kmeans. pyclustering takes hours.",
    ),
)


def grouping_of(seed: int, options: dict[str, Any]) -> Grouping:
    """Remove the options of `grouping_options` from a command's options, and return them."""
    names = ("min_clusters", "max_clusters", "algorithm", "elbow")
    chosen = {name: options.pop(name) for name in names}
    return Grouping(n_clusters=options.pop("clusters"), seed=seed, **chosen)


def patterns_of(given: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the patterns of --include or --exclude, or None if the option was not given."""
    return tuple(one for one in given if one) if given else None
