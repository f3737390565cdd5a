"""Load on the service, and its memory (Linux; `apt-get install wrk`).

    python -m benchmarks.service_load DATA [--seconds 10] [--part load|layouts|memory ...]
    python -m benchmarks.service_load DATA --part large [--n-vectors 100000] [--folder /tmp]

Starts the service as the Procfile does, on a free port of 127.0.0.1, and asks with wrk.

* load: requests a second and their times at 1, 8 and 64 connections: by id, an upload that the
  collection has, one that it has not (also without crops), and a page. With a queue as long as
  there are connections, and, at 64, with the queue that is the default, where the rest is refused.
* layouts: processes against threads, at an equal number of both together.
* memory: anonymous and proportional memory of all processes, with 1, 2 and 4 workers.
* large: the same over made-up vectors, mapped from a file (1.6 GB for 100,000), removed afterwards.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
from PIL import Image

from benchmarks.machine import machine_line
from benchmarks.service_memory import exercise, multipart, running
from index.catalogue import ImageRecord, image_ids, write_catalogue
from index.layout import CATALOGUE_FILE, VECTORS_FILE
from index.manifest import Manifest
from index.search.faiss_store import FaissStore
from index.search.topk import TopKTable
from index.snapshot import DataFolder
from indexer.encoding.choice import copy_encoder

CONNECTIONS = (1, 8, 64)
LAYOUTS = ((1, 8), (2, 4), (4, 2), (8, 1))
WORKERS = (1, 2, 4)
_WARM_UP_S = 2
_BLOCK = 1000
_SCRIPT = """
wrk.method, wrk.headers["Content-Type"] = {method}, {kind}
local file = {path} and io.open({path}, "rb")
if file then wrk.body = file:read("*all") end
function done(summary, latency, requests)
  io.write(string.format("FOUND %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(95), latency:percentile(99),
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


@dataclass(frozen=True)
class Ask:
    """A request that is sent again and again; `route` as the metrics call it."""

    name: str
    route: str
    path: str
    body: bytes = b""
    kind: str = ""


@dataclass(frozen=True)
class Found:
    """What came of some seconds of it; times in milliseconds."""

    answered: float  # 200 a second
    refused: float  # others a second
    p50: float
    p95: float
    p99: float
    broken: int  # connections
    shares: dict[str, float]  # of the time in stages but waiting


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--seconds", default=10, show_default=True, help="For each measurement.")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(["load", "layouts", "memory", "large"]),
    default=("load", "layouts", "memory"),
    show_default=True,
)
@click.option("--n-vectors", default=100_000, show_default=True)
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="For large files.")
def main(
    data: Path, seconds: int, parts: tuple[str, ...], n_vectors: int, folder: Path | None
) -> None:
    """Measure the service over the snapshot in DATA."""
    click.echo(machine_line())
    if "load" in parts:
        measure_load(data, seconds)
    if "layouts" in parts:
        measure_layouts(data, seconds)
    if "memory" in parts:
        measure_memory(data)
    if "large" in parts:
        with made_up(data, n_vectors, folder) as large:
            measure_large(large, n_vectors, seconds)


def measure_load(data: Path, seconds: int) -> None:
    """Ask in every way with more and more connections."""
    click.echo("\nload, 2 workers, nobody refused")
    click.echo(_head())
    with running(data, 2, LOOKALIKE_QUEUE="64", LOOKALIKE_WAIT_S="60") as (_, port, _):
        for ask in asks(port):
            for n_connections in CONNECTIONS:
                _print(ask.name, n_connections, measure(port, ask, n_connections, seconds))
    click.echo("\nuploads that are searched with whole only (LOOKALIKE_CROP_SEARCH=off)")
    whole_only = {"LOOKALIKE_CROP_SEARCH": "off", "LOOKALIKE_QUEUE": "64", "LOOKALIKE_WAIT_S": "60"}
    with running(data, 2, **whole_only) as (_, port, _):
        encoded = asks(port)[2]
        for n_connections in CONNECTIONS:
            _print(encoded.name, n_connections, measure(port, encoded, n_connections, seconds))
    click.echo("\nload, 2 workers, the default queue; times are of answers and refusals together")
    click.echo(_head())
    with running(data, 2) as (_, port, _):
        for ask in asks(port):
            _print(ask.name, 64, measure(port, ask, 64, seconds))


def measure_layouts(data: Path, seconds: int) -> None:
    """Ask as many workers and threads as are the same number together."""
    click.echo("\nworkers x threads, 8 connections")
    click.echo(_head())
    for workers, threads in LAYOUTS:
        limits = {"LOOKALIKE_THREADS": str(threads), "LOOKALIKE_QUEUE": "64"}
        limits |= {"LOOKALIKE_DECODES": str(threads), "LOOKALIKE_WAIT_S": "60"}
        with running(data, workers, **limits) as (_, port, _):
            for ask in asks(port)[:3]:
                found = measure(port, ask, 8, seconds)
                _print(f"{workers} x {threads} {ask.name}", 8, found)


def measure_memory(data: Path) -> None:
    """Start more and more workers, let each of them answer, and read what they take."""
    click.echo(f"\n{'workers':>7} {'ready s':>8} {'anonymous MB':>13} {'PSS MB':>8}   (sums)")
    for n_workers in WORKERS:
        with running(data, n_workers) as (process, port, ready_s):
            exercise(port)
            anonymous, proportional = rollup_mb(process.pid)
        click.echo(f"{n_workers:>7} {ready_s:>8.2f} {anonymous:>13.0f} {proportional:>8.0f}")


def measure_large(data: Path, n_vectors: int, seconds: int) -> None:
    """Measure memory and searches over many vectors."""
    click.echo(f"\n{n_vectors:,} made-up vectors of 4,096 numbers")
    measure_memory(data)
    click.echo(_head())
    with running(data, 2, LOOKALIKE_QUEUE="64", LOOKALIKE_WAIT_S="60") as (_, port, _):
        for n_connections in (1, 8):
            found = measure(port, unknown_picture(random_photo()), n_connections, seconds)
            _print("encoded", n_connections, found)


def asks(port: int) -> list[Ask]:
    """Return the requests, made of the first picture of the collection."""
    image = json.loads(read(port, "/api/v1/images?limit=1"))["images"][0]
    original = read(port, image["file_url"])
    body, kind = multipart(original)
    route = "/api/v1/images/<image_id>/similar"
    with Image.open(io.BytesIO(original)) as picture:
        smaller = picture.convert("RGB").resize((picture.width * 9 // 10, picture.height * 9 // 10))
    return [
        Ask("by id", route, f"/api/v1/images/{image['id']}/similar"),
        Ask("cached upload", "/api/v1/search", "/api/v1/search", body, kind),
        unknown_picture(smaller),
        Ask("page", "/browse", "/browse"),
    ]


def unknown_picture(picture: Image.Image) -> Ask:
    """Return the upload of a picture that no collection has."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return Ask("encoded upload", "/api/v1/search", "/api/v1/search", *multipart(out.getvalue()))


def random_photo() -> Image.Image:
    """Return something as smooth as a photo, 512 pixels a side."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((512, 512), Image.Resampling.BICUBIC)


def measure(port: int, ask: Ask, n_connections: int, seconds: int) -> Found:
    """Send a request for some seconds over some connections."""
    load(port, ask, n_connections, _WARM_UP_S)
    before = samples(port)
    n_requests, micros, p50, p95, p99, broken = load(port, ask, n_connections, seconds)
    grown = {name: value - before.get(name, 0.0) for name, value in samples(port).items()}
    label = f'route="{ask.route}",status="200"'
    n_answered = sum(value for name, value in grown.items() if label in name)
    answered = min(1.0, n_answered / max(n_requests, 1)) * n_requests / (micros / 1e6)
    every = n_requests / (micros / 1e6)
    times = (p50 / 1e3, p95 / 1e3, p99 / 1e3)
    return Found(answered, every - answered, *times, broken, shares(grown, ask.route))


def load(port: int, ask: Ask, n_connections: int, seconds: int) -> list[int]:
    """Run wrk; return requests, microseconds, three percentiles, and broken connections."""
    with tempfile.TemporaryDirectory() as folder:
        body, script = Path(folder) / "body", Path(folder) / "ask.lua"
        body.write_bytes(ask.body)
        path = json.dumps(str(body)) if ask.body else "nil"
        method = '"POST"' if ask.body else '"GET"'
        kind = json.dumps(ask.kind or "text/plain")
        script.write_text(_SCRIPT.format(method=method, kind=kind, path=path), encoding="utf-8")
        command = ["wrk", "-t1", f"-c{n_connections}", f"-d{seconds}s", "--timeout", "60s"]
        command += ["-s", str(script), f"http://127.0.0.1:{port}{ask.path}"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=seconds + 90
        )
    found = re.search(r"^FOUND (.*)$", done.stdout, re.M)
    if found is None:
        raise RuntimeError(f"wrk said something else: {done.stdout}")
    return [int(number) for number in found.group(1).split()]


def samples(port: int) -> dict[str, float]:
    """Return every sample at /metrics, by its name with its labels."""
    lines = [line for line in read(port, "/metrics").decode().splitlines() if line[:1] != "#"]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def shares(grown: dict[str, float], route: str) -> dict[str, float]:
    """Return which part of the time of a route was decoding, encoding and searching.

    Of the time from head to response, without the waits for a slot and for decode capacity.
    """
    of_route = "lookalike_request_seconds_sum"
    whole = sum(v for n, v in grown.items() if n.startswith(of_route) and f'"{route}"' in n)
    stage = {
        name: grown.get(f'lookalike_stage_seconds_sum{{stage="{name}"}}', 0.0)
        for name in ("slot", "capacity", "decode", "encode", "search")
    }
    busy = whole - stage.pop("slot") - stage.pop("capacity")
    return {name: seconds / busy for name, seconds in stage.items() if busy > 0}


def rollup_mb(master: int) -> tuple[float, float]:
    """Return anonymous and proportional memory of a process and its children, summed, in MB."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii").split()
    texts = [
        Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
        for process in [str(master), *children]
    ]
    sums = {
        field: sum(int(re.findall(rf"^{field}: +(\d+) kB", text, re.M)[0]) for text in texts)
        for field in ("Anonymous", "Pss")
    }
    return sums["Anonymous"] * 1024 / 1e6, sums["Pss"] * 1024 / 1e6


def read(port: int, path: str) -> bytes:
    """Return what is at an address."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        content: bytes = answer.read()
    return content


@contextmanager
def made_up(data: Path, n_vectors: int, folder: Path | None) -> Iterator[Path]:
    """Give a data folder with another's encoder and vectors of chance; remove it at the end."""
    with tempfile.TemporaryDirectory(dir=folder) as name, DataFolder(data).open_current() as old:
        new = DataFolder(Path(name) / "data")
        with new.locked(), new.draft() as draft:
            copy_encoder(old.folder, draft.folder)
            blocks = _random_rows(n_vectors, old.store.dim)
            FaissStore.write(draft.folder / VECTORS_FILE, old.store.dim, blocks)
            rows = np.arange(n_vectors, dtype=np.int32)[:, None]
            TopKTable(rows, np.ones((n_vectors, 1), np.float32)).save(draft.folder)
            write_catalogue(draft.folder / CATALOGUE_FILE, _records(n_vectors))
            draft.publish(
                Manifest(
                    created=datetime.now(UTC).isoformat(),
                    n_images=n_vectors,
                    dim=old.store.dim,
                    top_k=1,
                    image_root=name,
                    encoder=old.manifest.encoder,
                )
            )
        yield new.root


def _random_rows(n_rows: int, dim: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    for start in range(0, n_rows, _BLOCK):
        rows = rng.standard_normal((min(_BLOCK, n_rows - start), dim), dtype=np.float32)
        yield rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _records(n_rows: int) -> list[ImageRecord]:
    digests = [hashlib.sha256(str(row).encode()).hexdigest() for row in range(n_rows)]
    ids = image_ids(digests)
    return [
        ImageRecord(row, ids[row], f"{row}.png", digest, digest, 1, 1, 8, 8, "PNG")
        for row, digest in enumerate(digests)
    ]


def _head() -> str:
    times = "".join(f"{name + ' ms':>10}" for name in ("p50", "p95", "p99"))
    return f"{'':22}{'conn':>5}{'200/s':>9}{'other/s':>9}{times}  share of the time"


def _print(name: str, n_connections: int, found: Found) -> None:
    parts = ", ".join(f"{stage} {share:.0%}" for stage, share in found.shares.items() if share)
    times = "".join(f"{ms:>10.1f}" for ms in (found.p50, found.p95, found.p99))
    broken = f"  {found.broken} broken" if found.broken else ""
    line = f"{name:22}{n_connections:>5}{found.answered:>9.1f}{found.refused:>9.1f}{times}"
    click.echo(f"{line}  {parts}{broken}")


if __name__ == "__main__":
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    os.environ.pop("LOOKALIKE_API_KEY", None)
    main()
