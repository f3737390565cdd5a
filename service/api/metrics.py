"""The /metrics page: the counts of all workers and the facts of the live snapshot, for Prometheus.

Whichever worker is asked adds up the counts of all workers (counters.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Protocol

from flask import Blueprint, Response
from prometheus_client import Metric, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from service.context import context
from service.errors import NotReady
from service.process import shared_folder
from service.process.counters import OF_THIS_PROCESS, SNAPSHOT_WORKERS_NAME
from service.snapshots import SnapshotHolder

bp = Blueprint("metrics", __name__)

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@bp.get("/metrics")
def page() -> Response:
    """Return the counts and times of all workers in Prometheus' text format."""
    return Response(generate_latest(_Everything(context().holder)), content_type=_CONTENT_TYPE)


class Collects(Protocol):
    """What `generate_latest` reads metrics from."""

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""


class _Everything:
    """The metrics of all workers and of the live snapshot."""

    def __init__(self, holder: SnapshotHolder) -> None:
        self._holder = holder

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        for metric in _collector().collect():
            if metric.name == SNAPSHOT_WORKERS_NAME:
                # The files cannot forget a snapshot, so drop those without workers.
                metric.samples = [sample for sample in metric.samples if sample.value]
            yield metric
        yield from _of_snapshot(self._holder)


def _collector() -> Collects:
    folder = shared_folder.shared()
    if folder is None:
        return OF_THIS_PROCESS
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
    yield GaugeMetricFamily(
        "lookalike_snapshot_images", "Pictures in the live snapshot.", manifest.n_images
    )
    yield GaugeMetricFamily(
        "lookalike_snapshot_created_timestamp_seconds", "When the snapshot was made.", created
    )
    yield GaugeMetricFamily(
        "lookalike_snapshot_age_seconds", "Age of the live snapshot.", time.time() - created
    )
