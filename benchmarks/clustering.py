"""Groups: time, memory and loss of our own k-medoids beside pyclustering's and kmedoids'.

    python -m benchmarks.clustering                      4,738 synthetic vectors of 4096 numbers
    python -m benchmarks.clustering --data DATA          the published snapshot's vectors
    python -m benchmarks.clustering --data DATA --labels FILE.csv --column species
    python -m benchmarks.clustering --vectors FILE.npy
    python -m benchmarks.clustering --large              200,000 vectors in a file of 3.3 GB

Prints what each elbow chose, with its seconds and the peak of anonymous memory (Linux), then loss
and seconds of each algorithm at the same numbers of groups on the same matrix. The package
`kmedoids` (GPL-3.0, Rust) takes part where it happens to be installed; nothing needs it.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine_line
from index.snapshot import DataFolder
from indexer.groups.clustering import cluster, duration, group_images
from indexer.groups.dissimilarity import VectorRows, as_vector_rows, assign, dissimilarities
from indexer.groups.fasterpam import Diss
from indexer.groups.grouping import FASTERPAM, PYCLUSTERING, Grouping
from indexer.groups.pyclustering_kmedoids import estimate_seconds
from indexer.groups.scores import agreement
from indexer.quality.label_scores import LabelsFile

_N_GROUPS = 40  # of the synthetic vectors
_LARGE = 200_000
_BLOCK = 8192

Classes = list[str | None]
Algorithm = Callable[[Diss, int], NDArray[np.int64]]


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="Data folder.")
@click.option("--vectors", type=click.Path(exists=True, path_type=Path), help="A .npy file.")
@click.option("--labels", type=click.Path(exists=True, path_type=Path), help="CSV with `path`.")
@click.option("--column", default="species", show_default=True, help="Column of the classes.")
@click.option("--images", "n", default=4738, show_default=True, help="Synthetic vectors.")
@click.option("--dim", default=4096, show_default=True)
@click.option("--clusters", multiple=True, type=int, default=(10, 19), show_default=True)
@click.option("--elbows", multiple=True, default=("kmedoids", "kmeans"), show_default=True)
@click.option("--large", is_flag=True, help="200,000 synthetic vectors, mapped from a file.")
@click.option("--pyclustering/--no-pyclustering", default=True, help="It takes minutes.")
def main(
    data: Path | None,
    vectors: Path | None,
    labels: Path | None,
    column: str,
    n: int,
    dim: int,
    clusters: tuple[int, ...],
    elbows: tuple[str, ...],
    large: bool,
    pyclustering: bool,
) -> None:
    """Measure the grouping of vectors."""
    click.echo(machine_line())
    if large:
        with synthetic_file(_LARGE if n == 4738 else n, dim) as mapped:
            measure_elbows(as_vector_rows(mapped), elbows, None)
        return
    with opened(data, vectors, n, dim) as (rows, paths):
        classes = None if labels is None or paths is None else classes_of(paths, labels, column)
        measure_elbows(rows, elbows, classes)
        compare_algorithms(rows, clusters, pyclustering, classes)


def measure_elbows(rows: VectorRows, elbows: tuple[str, ...], classes: Classes | None) -> None:
    """Group with each elbow, and print what came of it."""
    click.echo(f"\n{len(rows)} vectors of {rows.dim} numbers, elbow over 2 to 100 groups")
    for elbow in elbows:
        busy_s = time.process_time()
        with PeakMemory() as memory:
            found = group_images(rows, Grouping(elbow=elbow), classes=classes)
        busy_s = time.process_time() - busy_s
        sampled = "" if found.n_sampled is None else f", samples of {found.n_sampled}"
        click.echo(
            f"{elbow:>9}: {len(found)} groups ({'clear' if found.elbow_clear else 'no clear'} "
            f"elbow, knee strength {found.knee_strength:.2f}), {found.seconds:.1f} s in all "
            f"({busy_s:.1f} s of processor time), "
            f"{memory.peak_mb:.0f} MB anonymous at most ({memory.before_mb:.0f} before), "
            f"loss {found.loss:.2f}{sampled}"
        )
        click.echo(f"{'':>11}{told(dict(found.quality))}")


def compare_algorithms(
    rows: VectorRows, clusters: tuple[int, ...], pyclustering: bool, classes: Classes | None
) -> None:
    """Print loss and seconds of every algorithm on one matrix."""
    start = time.monotonic()
    diss = dissimilarities(rows)
    click.echo(f"\nmatrix: {time.monotonic() - start:.1f} s")
    if pyclustering:
        click.echo(f"pyclustering's estimate: {duration(estimate_seconds(diss, clusters))}")
        sweep_s = estimate_seconds(diss, range(2, 101))
        click.echo(f"pyclustering's estimate for a sweep 2..100: {duration(sweep_s)}")
    click.echo(f"\n{'K':>3} {'algorithm':<30} {'loss':>10} {'to ours':>8} {'s':>8}")
    contenders = algorithms(pyclustering)
    for n_clusters in clusters:
        ours = None
        for name, run in contenders.items():
            start = time.monotonic()
            medoids = run(diss, n_clusters)
            seconds = time.monotonic() - start
            found = assign(rows, medoids)
            ours = ours or found.loss
            click.echo(
                f"{n_clusters:>3} {name:<30} {found.loss:>10.3f} {found.loss / ours:>8.5f} "
                f"{seconds:>8.2f}"
            )
            if name == FASTERPAM and classes is not None:
                click.echo(f"{'':>4}{told(agreement(found.labels, classes))}")


def algorithms(pyclustering: bool) -> dict[str, Algorithm]:
    """Return functions (matrix, number of groups) -> medoids by name, ours first."""
    found: dict[str, Algorithm] = {
        FASTERPAM: lambda diss, n: cluster(diss, n).medoids,
        "fasterpam, a single start": lambda diss, n: cluster(diss, n, n_starts=1).medoids,
    }
    if pyclustering:
        found[PYCLUSTERING] = lambda diss, n: cluster(diss, n, PYCLUSTERING).medoids
    try:
        import kmedoids
    except ImportError:
        click.echo("the package kmedoids is not installed, so it takes no part")
        return found

    def theirs(diss: Diss, n: int) -> NDArray[np.int64]:
        result = kmedoids.fasterpam(diss, n, init="random", random_state=0, n_cpu=1)
        return result.medoids.astype(np.int64)

    return found | {"kmedoids.fasterpam, one start": theirs}


def told(quality: dict[str, float | None]) -> str:
    """Return measures as one line."""
    return ", ".join(f"{name} {value:.3f}" for name, value in quality.items() if value is not None)


@contextmanager
def opened(
    data: Path | None, vectors: Path | None, n: int, dim: int
) -> Iterator[tuple[VectorRows, list[str] | None]]:
    """Give vectors, and the pictures' paths where they are known."""
    if data is not None:
        with DataFolder(data).open_current() as snapshot:
            records = snapshot.catalogue.records(list(range(len(snapshot))))
            yield snapshot.store, [record.path for record in records]
    elif vectors is not None:
        yield as_vector_rows(np.load(vectors, mmap_mode="r")), None
    else:
        yield as_vector_rows(np.vstack(list(synthetic(n, dim)))), None


def classes_of(paths: list[str], labels: Path, column: str) -> Classes:
    """Return the class of each picture that a file of labels names."""
    return [*map(LabelsFile.read(labels, column).find, paths)]


def synthetic(n: int, dim: int) -> Iterator[NDArray[np.float32]]:
    """Give blocks of unit vectors around 40 directions, in groups of unequal size."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((_N_GROUPS, dim), np.float32)
    shares = rng.dirichlet(np.full(_N_GROUPS, 2.0))
    for start in range(0, n, _BLOCK):
        size = min(_BLOCK, n - start)
        block = rng.standard_normal((size, dim), np.float32)
        block += centres[rng.choice(_N_GROUPS, size, p=shares)]
        block /= np.linalg.norm(block, axis=1, keepdims=True)
        yield block


@contextmanager
def synthetic_file(n: int, dim: int) -> Iterator[NDArray[np.float32]]:
    """Give synthetic vectors mapped from a file, which is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        header = {"descr": "<f4", "fortran_order": False, "shape": (n, dim)}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for block in synthetic(n, dim):
                block.tofile(file)
        yield np.load(path, mmap_mode="r")


class PeakMemory:
    """The most anonymous memory that this process held inside a with block.

    Attributes
    ----------
    before_mb, peak_mb : float
        RssAnon of /proc/self/status, looked at every 10 ms; 0 where there is no such file.
    """

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self.before_mb = self.peak_mb = _anonymous_mb()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.peak_mb = max(self.peak_mb, _anonymous_mb())


def _anonymous_mb() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    lines = status.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
