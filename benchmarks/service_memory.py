"""Start time and memory of gunicorn with one and more workers (Linux).

    python -m benchmarks.service_memory DATA [--workers 1 --workers 4] [--image FILE]

Starts the service as the Procfile does on a free port of 127.0.0.1, waits for /readyz, lets every
worker answer uploads and look-ups, and reads /proc. "Anonymous" is what each further worker costs;
"resident" counts mapped files too, which all workers share.
"""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
from PIL import Image

from benchmarks.machine import machine_line

_ROOT = Path(__file__).resolve().parents[1]
_REQUESTS = 200


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--workers", multiple=True, type=int, default=(1, 4), show_default=True)
def main(data: Path, workers: tuple[int, ...]) -> None:
    """Measure the service over the snapshot in DATA."""
    click.echo(machine_line())
    click.echo(f"{'workers':>7} {'ready s':>8} {'resident MB':>12} {'anonymous MB':>13}   (sums)")
    for n_workers in workers:
        with running(data, n_workers) as (process, port, ready_s):
            exercise(port)
            resident, anonymous = memory_mb(process.pid)
        click.echo(f"{n_workers:>7} {ready_s:>8.2f} {resident:>12.0f} {anonymous:>13.0f}")


@contextmanager
def running(
    data: Path, n_workers: int, **settings: str
) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
    """Run the service; give its process, its port and the seconds until it was ready."""
    port = free_port()
    environment = os.environ | {
        "LOOKALIKE_DATA": str(data.resolve()),
        "LOOKALIKE_WORKERS": str(n_workers),
        **settings,
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "service/gunicorn.conf.py"]
    command += ["-b", f"127.0.0.1:{port}", "service:create_app()"]
    start = time.monotonic()
    process = subprocess.Popen(
        command, cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until_ready(port, process)
        yield process, port, time.monotonic() - start
    finally:
        process.terminate()
        process.wait(30)


def wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when /readyz answers 200; give up after a minute or when the server has ended."""
    for _ in range(1200):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("the server was not ready within a minute")


def exercise(port: int) -> None:
    """Send uploads and look-ups, enough for every worker to have done both."""
    pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    body, kind = multipart(file.getvalue())
    base = f"http://127.0.0.1:{port}/api/v1"
    with urllib.request.urlopen(f"{base}/images?limit=1") as answer:
        image_id = json.load(answer)["images"][0]["id"]
    for _ in range(_REQUESTS):
        request = urllib.request.Request(f"{base}/search", body, {"Content-Type": kind})
        urllib.request.urlopen(request).read()
        urllib.request.urlopen(f"{base}/images/{image_id}/similar").read()


def multipart(picture: bytes) -> tuple[bytes, str]:
    """Return the body and content type of an upload."""
    boundary = uuid.uuid4().hex
    head = (
        f"--{boundary}\r\nContent-Disposition: form-data; "
        'name="image"; filename="x.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    )
    return (
        head.encode() + picture + f"\r\n--{boundary}--\r\n".encode(),
        f"multipart/form-data; boundary={boundary}",
    )


def memory_mb(master: int) -> tuple[float, float]:
    """Return resident and anonymous memory of a process and its children, summed, in MB."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii").split()
    resident = anonymous = 0
    for process in [str(master), *children]:
        for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS"):
                resident += int(line.split()[1])
            if line.startswith("RssAnon"):
                anonymous += int(line.split()[1])
    return resident * 1024 / 1e6, anonymous * 1024 / 1e6


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
