"""Load on the service while snapshots are published and rolled back (Linux).

    python -m benchmarks.swap_load IMAGES ENCODER [--minutes 10] [--publications 20] [--rollbacks 3]

Builds a collection of the pictures in IMAGES with the encoder in the folder ENCODER, serves it,
and asks by upload, by id and for pages from several threads while `reindex` publishes and
`snapshots rollback` goes back. An answer is mixed if it names a picture that its snapshot does not
hold. Only 127.0.0.1 is asked, for the given time. With --publications 0 --rollbacks 0 it says what
memory the load alone takes, to compare with.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import click

from benchmarks.machine import machine_line
from benchmarks.service_memory import memory_mb, multipart, running
from index.snapshot import DataFolder

_THREADS = 4
_WARM_S = 10.0  # of load before the first publication and after the last
_EVERY_S = 10


class Askers:
    """Threads that ask without a pause, and what came of it."""

    def __init__(self, port: int, pictures: list[Path], ids_of: dict[str, set[str]]) -> None:
        self.base, self.pictures, self.ids_of = f"http://127.0.0.1:{port}", pictures, ids_of
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(seed,)) for seed in range(_THREADS)
        ]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every thread end its request."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, seed: int) -> None:
        rng = random.Random(seed)
        kinds = {"upload": self._upload, "id": self._by_id, "page": self._page}
        while not self._stop.is_set():
            kind = rng.choice(list(kinds))
            try:
                kinds[kind](rng)
                self.counts[kind] += 1
            except (OSError, ValueError, KeyError) as error:
                self.faults.append(f"{kind}: {error}")

    def _upload(self, rng: random.Random) -> None:
        body, kind = multipart(rng.choice(self.pictures).read_bytes())
        request = urllib.request.Request(f"{self.base}/api/v1/search", body, {"Content-Type": kind})
        self._check(json.load(urllib.request.urlopen(request, timeout=60)))

    def _by_id(self, rng: random.Random) -> None:
        # An id that all snapshots hold, so that none may answer 404.
        common = sorted(set.intersection(*list(self.ids_of.values())))
        url = f"{self.base}/api/v1/images/{rng.choice(common)}/similar?limit=20"
        self._check(json.load(urllib.request.urlopen(url, timeout=60)))

    def _page(self, rng: random.Random) -> None:
        page = rng.choice(["/", "/browse", "/groups", "/collection"])
        urllib.request.urlopen(self.base + page, timeout=60).read()

    def _check(self, answer: dict) -> None:
        strangers = {one["id"] for one in answer["results"]} - self.ids_of[answer["snapshot"]]
        if strangers:
            raise ValueError(f"mixed answer: {strangers} are not in {answer['snapshot']}")


class MemoryLog:
    """Anonymous memory of the service under load, noted at even distances."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._found: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._note)

    def start(self) -> None:
        """Begin; the first figure comes when the service has warmed up."""
        self._thread.start()

    def stop(self) -> None:
        """Note a last figure."""
        self._stop.set()
        self._thread.join()

    def line(self) -> str:
        """Return all figures, oldest first."""
        return " ".join(f"{megabytes:.0f}" for megabytes in self._found)

    def _note(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self._found.append(memory_mb(self._server)[1])
        self._found.append(memory_mb(self._server)[1])


@click.command()
@click.argument("images", type=click.Path(exists=True, path_type=Path))
@click.argument("encoder", type=click.Path(exists=True, path_type=Path))
@click.option("--minutes", default=10.0, show_default=True)
@click.option("--publications", default=20, show_default=True)
@click.option("--rollbacks", default=3, show_default=True)
@click.option("--n-images", default=500, show_default=True)
def main(
    images: Path, encoder: Path, minutes: float, publications: int, rollbacks: int, n_images: int
) -> None:
    """Measure failed and mixed answers, and memory before and after."""
    click.echo(machine_line())
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), images, encoder, minutes, publications, rollbacks, n_images)


def measure(
    folder: Path,
    images: Path,
    encoder: Path,
    minutes: float,
    publications: int,
    rollbacks: int,
    n_images: int,
) -> None:
    """Build, serve, ask, publish, roll back, count."""
    sources = sorted(path for path in images.rglob("*") if path.is_file())[: n_images + 100]
    pictures, data = folder / "images", folder / "data"
    pictures.mkdir()
    for source in sources[:n_images]:
        shutil.copy(source, pictures)
    indexer(data, "build", pictures, "--encoder", encoder, "--clusters", "10")
    ids_of: dict[str, set[str]] = {}
    note_ids(data, ids_of)
    with running(data, 2) as (server, port, _):
        askers, memory = Askers(port, sources, ids_of), MemoryLog(server.pid)
        askers.start()
        memory.start()
        time.sleep(_WARM_S)
        publish(
            folder, sources[n_images:], minutes * 60 - 2 * _WARM_S, publications, rollbacks, ids_of
        )
        time.sleep(_WARM_S)
        memory.stop()
        askers.stop()
    n_asked = sum(askers.counts.values())
    click.echo(f"{n_asked:,} answers {dict(askers.counts)}, {len(askers.faults)} failed or mixed")
    for fault in askers.faults[:10]:
        click.echo(f"  {fault}")
    click.echo(f"anonymous memory of all processes, MB, every {_EVERY_S} s: {memory.line()}")


def publish(
    folder: Path,
    spare: list[Path],
    seconds: float,
    publications: int,
    rollbacks: int,
    ids_of: dict[str, set[str]],
) -> None:
    """Publish by adding pictures, and roll back in between, spread over some seconds."""
    data, start = folder / "data", time.monotonic()
    n_steps = publications + rollbacks
    if n_steps == 0:  # what the load alone does to memory
        time.sleep(seconds)
        return
    every = max(2, n_steps // max(rollbacks, 1))
    for step in range(n_steps):
        if step % every == every - 1 and rollbacks > 0:
            rollbacks -= 1
            older = DataFolder(data).ids()[-2]
            indexer(data, "snapshots", "rollback", older)
        else:
            shutil.copy(spare[step % len(spare)], folder / "images")
            reindex_noting(data, ids_of)
        due = start + seconds * (step + 1) / n_steps
        time.sleep(max(0.0, due - time.monotonic()))


def reindex_noting(data: Path, ids_of: dict[str, set[str]]) -> None:
    """Re-index, and know the new snapshot's ids before anybody can be answered from it."""
    names = {p.name for p in (data / "snapshots").iterdir()}
    process = subprocess.Popen(
        [sys.executable, "-m", "indexer", "reindex", "--data", str(data)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        fresh = {p.name for p in (data / "snapshots").iterdir()} - names
        if any(not name.startswith(".") and name not in ids_of for name in fresh):
            note_ids(data, ids_of)
        time.sleep(0.002)
    if process.returncode != 0:
        raise RuntimeError(f"reindex ended with {process.returncode}")
    note_ids(data, ids_of)


def note_ids(data: Path, ids_of: dict[str, set[str]]) -> None:
    """Read the ids of snapshots that are not known yet."""
    folder = DataFolder(data)
    for snapshot_id in folder.ids():
        if snapshot_id not in ids_of:
            with folder.open(snapshot_id) as snapshot:
                ids_of[snapshot_id] = {record.id for record in snapshot.catalogue}


def indexer(data: Path, *command: object) -> None:
    """Run a command of the indexer to its end."""
    subprocess.run(
        [sys.executable, "-m", "indexer", *map(str, command), "--data", str(data)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
