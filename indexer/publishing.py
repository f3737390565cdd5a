"""The stages from the pictures of a collection to a published snapshot.

    read -> train, export -> encode -> top-k -> groups -> map -> check -> publish

`collection.records` reads the pictures, and `encoding.choice` trains the encoder. The other stages
are here. If a run starts from an old snapshot, each stage updates its part of the snapshot, or
marks the files to be hard-linked. A build starts from nothing, so each stage computes its part from
scratch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from index.arrays import Rows
from index.build_settings import BuildSettings, Drift
from index.catalogue import write_catalogue
from index.errors import DiskFull
from index.layout import (
    CATALOGUE_FILE,
    ELBOW_PLOT_FILE,
    ENCODER_FILE,
    ENCODER_FILES,
    FIT_FILE,
    QUALITY_FILE,
    REMOVED_FILE,
    SKIPPED_FILE,
    THUMBNAILS_FILE,
)
from index.manifest import Manifest
from index.search.store import VectorStore
from index.search.topk import TopKTable
from index.snapshot import DataFolder, Snapshot, SnapshotDraft
from index.text import text_of_path
from indexer.collection.records import Collected
from indexer.encoding.choice import copy_encoder
from indexer.encoding.vectors import write_vectors
from indexer.groups.grouping import Grouping
from indexer.groups.regroup import group, regroup
from indexer.map.positions import draw_map, update_map
from indexer.quality.altered_copies import SelfCheck
from indexer.quality.build_check import check_build, check_encoder
from indexer.quality.drift import drift_after, has_drifted
from indexer.quality.encoder_fit import measure_fit, warning_of_new
from indexer.stages import Stages
from models.encoder import Encoder

_RECORD_FILES = (CATALOGUE_FILE, SKIPPED_FILE, REMOVED_FILE)
_BYTES_PER_PICTURE = 48 << 10  # vector 16 KiB, thumbnail about 20 KiB, table, catalogue
_SPARE_BYTES = 256 << 20  # encoder, plots, and other programs
_LIBRARIES = ("tensorflow", "ai-edge-litert", "faiss-cpu", "numpy", "pillow")


@dataclass
class Parts:
    """The parts of a snapshot that follow from its pictures, made stage by stage.

    Attributes
    ----------
    collected : Collected
        The pictures, compared with the old snapshot if there is one.
    encoder_folder : Path
        Folder of encoder.tflite and the files beside it.
    settings : BuildSettings
        Options of the run. The stages add their results.
    folder : Path
        Folder that the files are written to.
    stages : Stages
    linked : set of str
        Files of the old snapshot that are still valid.
    check : SelfCheck or None
        The new quality check, if there was one.
    """

    collected: Collected
    encoder_folder: Path
    settings: BuildSettings
    folder: Path
    stages: Stages
    linked: set[str] = field(default_factory=set)
    check: SelfCheck | None = None
    _encoder: Encoder = field(init=False)
    _store: VectorStore = field(init=False)
    _old_rows: Rows = field(init=False)  # for each row, its row in the old snapshot, or -1
    _table: TopKTable = field(init=False)
    _drift: Drift = field(init=False)
    _keeps_medoids: bool = field(init=False, default=False)

    def make(self) -> Manifest:
        """Run the stages, and return the manifest without its date and files.

        Raises
        ------
        NoPictures
            If all files were removed or changed during the run.
        EncodingsAlike
            If the encoder of a build gives different pictures nearly the same vector.
        """
        steps = {
            "encode": self._encode,
            "top-k": self._find_neighbours,
            "groups": self._make_groups,
            "map": self._make_map,
            "check": self._check_quality,
        }
        for name, make in steps.items():
            with self.stages.stage(name):
                make()
        return Manifest(
            created="",
            n_images=len(self._store),
            dim=self._store.dim,
            top_k=self._table.k,
            image_root=text_of_path(self.collected.root),
            encoder=self._encoder.fingerprint,
            settings=replace(self.settings, drift=self._drift),
            versions=_library_versions(),
        )

    def keep(self) -> Manifest:
        """Link all parts of the old snapshot if only metadata changed, and return the manifest."""
        assert self.collected.old is not None
        old = self.collected.old.manifest
        (self.folder / THUMBNAILS_FILE).unlink()  # equal to the old file, which is linked
        self.linked = set(old.files) - set(_RECORD_FILES)
        return replace(old, image_root=text_of_path(self.collected.root), settings=self.settings)

    def _encode(self) -> None:
        old, collected = self.collected.old, self.collected
        self._encoder = encoder = Encoder.open(self.encoder_folder / ENCODER_FILE)
        if old is None:
            check_encoder(encoder, collected.source, self.settings.seed)
        self._store, n_zero = write_vectors(encoder, collected, self.folder, self.stages)
        self._old_rows = collected.unique_old_rows()
        if old is None:
            copy_encoder(self.encoder_folder, self.folder)
            self.settings = replace(
                self.settings, n_steps=encoder.info.n_steps, n_zero_encodings=n_zero
            )
            self._drift = Drift()
        else:
            self.linked |= set(ENCODER_FILES)
            self._drift = drift_after(old, self._old_rows)

    def _find_neighbours(self) -> None:
        old, k, progress = self.collected.old, self.settings.top_k, self.stages.progress
        if old is None:
            self._table = TopKTable.compute(self._store, k, progress)
        else:
            self._table = old.topk.updated(self._store, self._old_rows, k, progress)
        self._table.save(self.folder)

    def _make_groups(self) -> None:
        old, store = self.collected.old, self._store
        if old is None:
            group(store, self.folder, Grouping.of(self.settings.groups), self.stages)
            return
        n_changed = self._drift.groups
        if regroup(old, store, self._old_rows, n_changed, self.folder, self.stages):
            self._keeps_medoids = True
            self.linked.add(ELBOW_PLOT_FILE)
        else:
            self._drift = replace(self._drift, groups=0)

    def _make_map(self) -> None:
        # If so many pictures changed that the groups were computed again, so is the map.
        old = self.collected.old if self._keeps_medoids else None
        if old is None or not update_map(old, self._table, self._old_rows, self.folder):
            draw_map(self._store, self.settings.seed).save(self.folder)

    def _check_quality(self) -> None:
        self._check_fit()
        if self.collected.old is not None and not has_drifted(
            self._drift.quality, len(self._store)
        ):
            self.linked.add(QUALITY_FILE)
            return
        self.check = check_build(
            self._store,
            self._encoder,
            self.collected,
            self.folder,
            self.settings.seed,
            self.stages,
        )
        self._drift = replace(self._drift, quality=0)

    def _check_fit(self) -> None:
        """Measure the fit of the encoder to new pictures, and warn if it is worse than before."""
        old, source = self.collected.old, self.collected.source
        source_rows = np.array(self.collected.source_rows, np.int64)
        new = np.flatnonzero(source_rows >= 0)
        fit = measure_fit(self.encoder_folder, source, source_rows[new], self._store, new)
        if old is not None:
            self.linked.add(FIT_FILE)
            warning = warning_of_new(old, fit)
            if warning is not None:
                self.stages.say(f"Warning: {warning}")
        elif fit is not None:
            fit.save(self.folder)


def publish(
    data: DataFolder,
    draft: SnapshotDraft,
    contents: Manifest,
    stages: Stages,
    *,
    old: Snapshot | None = None,
    linked: Iterable[str] = (),
    collected: Collected | None = None,
) -> str:
    """Publish a draft as the live snapshot, and remove the oldest snapshots.

    Parameters
    ----------
    data : DataFolder
    draft : SnapshotDraft
    contents : Manifest
        Complete except for its date and files.
    stages : Stages
    old : Snapshot, optional
        Snapshot to link files from.
    linked : iterable of str
        Files of `old` that are hard-linked, if they exist.
    collected : Collected, optional
        Pictures whose records are written. Default: none, because the old catalogue is linked.

    Returns
    -------
    snapshot_id : str
    """
    with stages.stage("publish"):
        if collected is not None:
            _write_records(draft.folder, collected)
        if old is not None:
            draft.link_from(old, linked)
        snapshot_id = draft.publish(replace(contents, created=datetime.now(UTC).isoformat()))
        data.prune()
    return snapshot_id


def _write_records(folder: Path, collected: Collected) -> None:
    """Write catalogue.sqlite and skipped.json."""
    write_catalogue(folder / CATALOGUE_FILE, collected.records)
    skipped = json.dumps([one.as_dict() for one in collected.skipped], indent=1)
    (folder / SKIPPED_FILE).write_text(skipped + "\n", encoding="utf-8")


def check_disk(data: DataFolder, n_files: int, cache_bytes: int) -> None:
    """Raise DiskFull if there is too little free disk space for a run."""
    cache = min(cache_bytes, n_files * 256 * 256 * 3)
    needed = n_files * _BYTES_PER_PICTURE + cache + _SPARE_BYTES
    free = shutil.disk_usage(data.root).free
    if free < needed:
        raise DiskFull(
            f"{n_files:,} files may need {needed / 1e9:.1f} GB in {data.root}, but only "
            f"{free / 1e9:.1f} GB are free. Free some space, or choose another data folder with "
            "--data DIR."
        )


def _library_versions() -> dict[str, str]:
    """Return the versions of the libraries that the vectors and neighbours depend on."""
    return {name: found for name in _LIBRARIES if (found := _version(name)) is not None}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
