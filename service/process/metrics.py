"""What is counted and timed, for Prometheus at /metrics; one answer for all workers.

Each worker counts in files of its own in the folder that they share, and whichever is asked adds
them up. A worker's number names its files, not its process id, so a replaced worker goes on where
the one before it ended, and their number stays bounded. No label holds what a client has sent.
Source: https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from flask import Flask, Response, g, request
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
    values,
)
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from service.errors import NotReady
from service.process import shared_folder
from service.snapshots import SnapshotHolder

if shared_folder.shared() is not None:  # before the first metric is made
    values.ValueClass = values.MultiProcessValue(process_identifier=shared_folder.worker)

_ANSWERING = "lookalike_snapshot_workers"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_OF_THIS_PROCESS = CollectorRegistry()

REQUESTS = Counter(
    "lookalike_requests",
    "Requests that were answered.",
    ["method", "route", "status"],
    registry=_OF_THIS_PROCESS,
)
SECONDS = Histogram(
    "lookalike_request_seconds",
    "Time from a request's head to its answer, its body's way included.",
    ["route", "mode"],
    buckets=_BUCKETS,
    registry=_OF_THIS_PROCESS,
)
STAGES = Histogram(
    "lookalike_stage_seconds",
    "Time in one stage of a request: turn and room are waits, for a turn and for room to decode.",
    ["stage"],
    buckets=_BUCKETS,
    registry=_OF_THIS_PROCESS,
)
REJECTED = Counter(
    "lookalike_rejected",
    "Requests that were answered with an error, by its code; of overload also where.",
    ["reason"],
    registry=_OF_THIS_PROCESS,
)
IN_FLIGHT = Gauge(
    "lookalike_in_flight",
    "Requests that are being answered now, this one among them.",
    multiprocess_mode="livesum",
    registry=_OF_THIS_PROCESS,
)
ANSWERING = Gauge(
    _ANSWERING,
    "Workers that answer from a snapshot; there are two snapshots while they exchange them.",
    ["snapshot"],
    multiprocess_mode="livesum",
    registry=_OF_THIS_PROCESS,
)


class Collects(Protocol):
    """What `generate_latest` asks for metrics."""

    def collect(self) -> Iterable[Metric]:
        """Give the metrics as they are now."""


def install(app: Flask) -> None:
    """Let every request of an application be counted; call after `request_log.install`."""

    @app.before_request
    def begin() -> None:
        g.in_flight = True
        IN_FLIGHT.inc()

    @app.after_request
    def count(response: Response) -> Response:
        rule = request.url_rule
        route, method = (rule.rule, request.method) if rule else ("-", "-")
        REQUESTS.labels(method, route, str(response.status_code)).inc()
        SECONDS.labels(route, g.get("mode", "-")).observe(time.perf_counter() - g.started)
        return response

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        if g.pop("in_flight", False):
            IN_FLIGHT.dec()


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Time one stage of a request."""
    with STAGES.labels(stage).time():
        yield


def note_snapshot(old: str | None, new: str | None) -> None:
    """Count this worker for the snapshot that it answers from now on."""
    if old is not None:
        ANSWERING.labels(old).set(0)
    if new is not None:
        ANSWERING.labels(new).set(1)


def page(holder: SnapshotHolder) -> bytes:
    """Return everything in Prometheus' text format."""
    return generate_latest(_Everything(holder))


class _Everything:
    """All workers' metrics, and what is known of the live snapshot."""

    def __init__(self, holder: SnapshotHolder) -> None:
        self._holder = holder

    def collect(self) -> Iterable[Metric]:
        """Give the metrics as they are now."""
        for metric in _collector().collect():
            if metric.name == _ANSWERING:
                # Snapshots that nobody answers from any more, which the files cannot forget.
                metric.samples = [sample for sample in metric.samples if sample.value]
            yield metric
        yield from _of_snapshot(self._holder)


def _collector() -> Collects:
    folder = shared_folder.shared()
    if folder is None:
        return _OF_THIS_PROCESS
    return MultiProcessCollector(None, str(folder))


def _of_snapshot(holder: SnapshotHolder) -> Iterator[Metric]:
    try:
        with holder.use() as live:
            snapshot_id, manifest = live.id, live.snapshot.manifest
    except NotReady:
        return
    created = datetime.fromisoformat(manifest.created).timestamp()
    info = GaugeMetricFamily(
        "lookalike_snapshot_info", "The live snapshot; always 1.", labels=["snapshot", "encoder"]
    )
    info.add_metric([snapshot_id, manifest.encoder], 1)
    yield info
    yield GaugeMetricFamily("lookalike_snapshot_images", "Its pictures.", manifest.n_images)
    yield GaugeMetricFamily(
        "lookalike_snapshot_created_timestamp_seconds", "When it was made.", created
    )
    yield GaugeMetricFamily("lookalike_snapshot_age_seconds", "Its age.", time.time() - created)
