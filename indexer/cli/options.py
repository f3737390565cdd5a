"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from indexer.groups.clustering import ALGORITHMS, ELBOWS, FASTERPAM, KMEDOIDS, Grouping


def _joined(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Join decorators into one."""
    return lambda command: functools.reduce(lambda c, option: option(c), reversed(options), command)


data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    envvar="LOOKALIKE_DATA",
    show_default=True,
    help="Folder that holds what the indexer makes (or LOOKALIKE_DATA).",
)
seed_option = click.option(
    "--seed", default=0, show_default=True, help="Seed of everything random."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
images_argument = click.argument("images", type=click.Path(path_type=Path))
metadata_option = click.option(
    "--metadata",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV file, or JSON lines, that says something of the pictures; one column is `path`.",
)
training_options = _joined(
    click.option(
        "--minutes",
        type=click.FloatRange(min=0, min_open=True),
        default=30.0,
        show_default=True,
        help="Train this long at most.",
    ),
    click.option("--epochs", type=click.IntRange(min=1), help="Train this many epochs at most."),
    click.option(
        "--steps",
        type=click.IntRange(min=1),
        help="Train exactly this many steps, whatever the time: repeats an earlier training.",
    ),
    click.option(
        "--architecture",
        type=click.Choice(["deep", "classic"]),
        default="deep",
        show_default=True,
        help="Network to train.",
    ),
    click.option(
        "--objective",
        type=click.Choice(["contrastive", "reconstruction"]),
        help="What it learns: telling pictures apart, too (deep, its default), or only painting "
        "them again (classic's).",
    ),
    click.option("--strict", is_flag=True, help="Fail if any file has to be skipped."),
)


grouping_options = _joined(
    click.option("--clusters", type=click.IntRange(min=1), help="Number of groups; no sweep."),
    click.option(
        "--min-clusters",
        type=click.IntRange(min=1),
        default=2,
        show_default=True,
        help="Fewest groups that the elbow looks at.",
    ),
    click.option(
        "--max-clusters",
        type=click.IntRange(min=1),
        default=100,
        show_default=True,
        help="Most groups that the elbow looks at.",
    ),
    click.option(
        "--algorithm",
        type=click.Choice(ALGORITHMS),
        default=FASTERPAM,
        show_default=True,
        help="How the groups are found.",
    ),
    click.option(
        "--elbow",
        type=click.Choice(ELBOWS),
        default=KMEDOIDS,
        show_default=True,
        help="Curve that the number of groups is read off; kmeans is the original's, "
        "pyclustering takes hours.",
    ),
)


def grouping_of(seed: int, options: dict[str, Any]) -> Grouping:
    """Take the options of `grouping_options` out of a command's options."""
    names = ("min_clusters", "max_clusters", "algorithm", "elbow")
    chosen = {name: options.pop(name) for name in names}
    return Grouping(n_clusters=options.pop("clusters"), seed=seed, **chosen)
