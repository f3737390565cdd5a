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
        self.begun_on: dict[str, float] = {}  # when the last request began that it answered
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
            kind, begun = rng.choice(list(kinds)), time.monotonic()
            try:
                answered_by = kinds[kind](rng)
                if answered_by is not None:
                    self.begun_on[answered_by] = max(begun, self.begun_on.get(answered_by, 0.0))
                self.counts[kind] += 1
            except (OSError, ValueError, KeyError) as error:
                self.faults.append(f"{kind}: {error}")

    def _upload(self, rng: random.Random) -> str:
        body, kind = multipart(rng.choice(self.pictures).read_bytes())
        request = urllib.request.Request(f"{self.base}/api/v1/search", body, {"Content-Type": kind})
        return self._checked(json.load(urllib.request.urlopen(request, timeout=60)))

    def _by_id(self, rng: random.Random) -> str:
        # An id that all snapshots hold, so that none may answer 404.
        common = sorted(set.intersection(*list(self.ids_of.values())))
        url = f"{self.base}/api/v1/images/{rng.choice(common)}/similar?limit=20"
        return self._checked(json.load(urllib.request.urlopen(url, timeout=60)))

    def _page(self, rng: random.Random) -> None:
        page = rng.choice(["/", "/browse", "/groups", "/collection"])
        urllib.request.urlopen(self.base + page, timeout=60).read()

    def _checked(self, answer: dict) -> str:
        strangers = {one["id"] for one in answer["results"]} - self.ids_of[answer["snapshot"]]
        if strangers:
            raise ValueError(f"mixed answer: {strangers} are not in {answer['snapshot']}")
        return answer["snapshot"]


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
        steps = Steps(folder, sources[n_images:], ids_of, askers)
        steps.run(minutes * 60 - 2 * _WARM_S, publications, rollbacks)
        time.sleep(_WARM_S)
        memory.stop()
        askers.stop()
    n_asked = sum(askers.counts.values())
    click.echo(f"{n_asked:,} answers {dict(askers.counts)}, {len(askers.faults)} failed or mixed")
    for fault in askers.faults[:10]:
        click.echo(f"  {fault}")
    if steps.delays_s:
        click.echo(f"requests began on the old snapshot for at most {max(steps.delays_s):.2f} s")
    click.echo(f"anonymous memory of all processes, MB, every {_EVERY_S} s: {memory.line()}")


class Steps:
    """Publications, by adding a picture each, and rollbacks in between.

    Attributes
    ----------
    delays_s : list of float
        How long after each exchange of CURRENT requests began that the old snapshot answered.
    """

    def __init__(
        self, folder: Path, spare: list[Path], ids_of: dict[str, set[str]], askers: Askers
    ) -> None:
        self.delays_s: list[float] = []
        self._folder, self._data, self._spare = folder, folder / "data", spare
        self._ids_of, self._askers = ids_of, askers

    def run(self, seconds: float, publications: int, rollbacks: int) -> None:
        """Spread them over some seconds."""
        start, n_steps = time.monotonic(), publications + rollbacks
        if n_steps == 0:  # what the load alone does to memory
            time.sleep(seconds)
            return
        every = max(2, n_steps // max(rollbacks, 1))
        for step in range(n_steps):
            before = DataFolder(self._data).current_id()
            if step % every == every - 1 and rollbacks > 0:
                rollbacks -= 1
                exchanged = self._noting("snapshots", "rollback", DataFolder(self._data).ids()[-2])
            else:
                shutil.copy(self._spare[step % len(self._spare)], self._folder / "images")
                exchanged = self._noting("reindex")
            due = start + seconds * (step + 1) / n_steps
            time.sleep(max(0.0, due - time.monotonic()))
            last = self._askers.begun_on.get(before or "", exchanged)
            self.delays_s.append(max(0.0, last - exchanged))

    def _noting(self, *command: str) -> float:
        """Run a command; return when CURRENT changed.

        A new snapshot's ids are read before anybody can be answered from it.
        """
        folder = DataFolder(self._data)
        before, exchanged = folder.current_id(), time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "indexer", *command, "--data", str(self._data)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None:
            note_ids(self._data, self._ids_of)
            if folder.current_id() == before:
                exchanged = time.monotonic()
            time.sleep(0.002)
        if process.returncode != 0:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}")
        note_ids(self._data, self._ids_of)
        return exchanged


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
