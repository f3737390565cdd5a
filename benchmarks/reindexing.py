"""Re-indexing beside a full build: the time that a few new pictures take.

    python -m benchmarks.reindexing IMAGES ENCODER [--n-images 4738] [--n-new 100]

Builds a collection of the first pictures in IMAGES with the encoder in the folder ENCODER, so
without training, puts new ones beside them, and takes them in: once by `reindex`, once by a full
build of all. Where IMAGES has too few pictures, mirrored ones fill up. Prints seconds, by the clock
and of the processor (on a busy machine the second say more), and their ratio.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
from PIL import Image, ImageOps

from benchmarks.machine import machine_line
from index.snapshot import DataFolder


@dataclass(frozen=True)
class Run:
    """What a command took.

    Attributes
    ----------
    wall_s, cpu_s : float
    stages : str
        The line that says how long each stage took.
    """

    wall_s: float
    cpu_s: float
    stages: str


@click.command()
@click.argument("images", type=click.Path(exists=True, path_type=Path))
@click.argument("encoder", type=click.Path(exists=True, path_type=Path))
@click.option("--n-images", default=4738, show_default=True)
@click.option("--n-new", default=100, show_default=True)
def main(images: Path, encoder: Path, n_images: int, n_new: int) -> None:
    """Compare `reindex` of a few new pictures with a build of all."""
    click.echo(machine_line())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures, new = folder / "pictures", folder / "new"
        fill(images, pictures, new, n_images, n_new)
        build = ("build", pictures, "--encoder", encoder)
        indexer(folder / "data", *build)
        for path in new.iterdir():
            path.rename(pictures / path.name)
        update = indexer(folder / "data", "reindex")
        whole = indexer(folder / "fresh", *build)
        for data in ("data", "fresh"):
            with DataFolder(folder / data).open_current() as snapshot:
                if len(snapshot) != n_images + n_new:
                    raise click.ClickException(f"{data} holds {len(snapshot)} pictures")
    click.echo(f"{n_new} new pictures into {n_images:,}, no training")
    for what, run in (("reindex", update), ("build of all", whole)):
        click.echo(f"{what:<14}{run.wall_s:8.1f} s, processor {run.cpu_s:8.1f} s ({run.stages})")
    click.echo(
        f"ratio {update.wall_s / whole.wall_s:.3f}, processor {update.cpu_s / whole.cpu_s:.3f}"
    )


def fill(images: Path, pictures: Path, new: Path, n_images: int, n_new: int) -> None:
    """Copy pictures into two folders, mirrored ones when the others are used up."""
    sources = sorted(path for path in images.rglob("*") if path.is_file())
    pictures.mkdir()
    new.mkdir()
    for number in range(n_images + n_new):
        source = sources[number % len(sources)]
        target = (pictures if number < n_images else new) / f"{number:06d}{source.suffix}"
        if number < len(sources):
            shutil.copyfile(source, target)
        elif number < 2 * len(sources):
            with Image.open(source) as picture:
                ImageOps.mirror(picture).save(target)
        else:
            raise click.UsageError(f"{images} has {len(sources)} pictures: too few")


def indexer(data: Path, *command: object) -> Run:
    """Run a command of the indexer to its end, and time it."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "indexer", *map(str, command), "--data", str(data)],
        check=True,
        capture_output=True,
        text=True,
    )
    after, wall_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall_s, cpu_s, ended.stderr.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
