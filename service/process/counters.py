"""Counters and timers of the service, for those who count.

Each worker counts in its own files in the shared folder (shared_folder.py). A worker's number names
its files, not its process id. A replacement worker therefore continues the counts of the one it
replaces, and the number of files stays bounded. No label holds anything that a client has sent.

This module imports no Flask, so that search.py can time its stages without it. The hooks that count
each request are in request_counts.py, and the page that shows the counts is in metrics.py.
Source: https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

from service.process import shared_folder

if shared_folder.shared() is not None:  # before the first counter is made
    values.ValueClass = values.MultiProcessValue(process_identifier=shared_folder.worker)

OF_THIS_PROCESS = CollectorRegistry()
SNAPSHOT_WORKERS_NAME = "lookalike_snapshot_workers"
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

REQUESTS = Counter(
    "lookalike_requests",
    "Answered requests.",
    ["method", "route", "status"],
    registry=OF_THIS_PROCESS,
)
REQUEST_SECONDS = Histogram(
    "lookalike_request_seconds",
    "Time from a request's head to its response, including the time to receive the body.",
    ["route", "mode"],
    buckets=_BUCKETS_S,
    registry=OF_THIS_PROCESS,
)
STAGE_SECONDS = Histogram(
    "lookalike_stage_seconds",
    "Time in one stage of a request; slot and capacity are waits.",
    ["stage"],
    buckets=_BUCKETS_S,
    registry=OF_THIS_PROCESS,
)
REJECTED = Counter(
    "lookalike_rejected",
    "Requests answered with an error, by error code; for overload also by cause.",
    ["reason"],
    registry=OF_THIS_PROCESS,
)
IN_FLIGHT = Gauge(
    "lookalike_in_flight",
    "Requests being answered now, including this one.",
    multiprocess_mode="livesum",
    registry=OF_THIS_PROCESS,
)
SNAPSHOT_WORKERS = Gauge(
    SNAPSHOT_WORKERS_NAME,
    "Workers that answer from a snapshot; two snapshots are listed during a swap.",
    ["snapshot"],
    multiprocess_mode="livesum",
    registry=OF_THIS_PROCESS,
)


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Time one stage of a request."""
    with STAGE_SECONDS.labels(stage).time():
        yield


def note_snapshot(old: str | None, new: str | None) -> None:
    """Count this worker under the new snapshot and no longer under the old one."""
    if old is not None:
        SNAPSHOT_WORKERS.labels(old).set(0)
    if new is not None:
        SNAPSHOT_WORKERS.labels(new).set(1)
