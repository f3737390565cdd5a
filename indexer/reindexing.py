"""A changed collection from an old one: encode what is new, carry over the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.artefacts.thumbnails import write_thumbnails
from index.build_settings import BuildSettings, Drift
from index.catalogue import ImageRecord, next_image_id
from index.layout import (
    ELBOW_PLOT_FILE,
    ENCODER_FILE,
    ENCODER_FILES,
    FIT_FILE,
    QUALITY_FILE,
    THUMBNAILS_FILE,
    VECTORS_FILE,
)
from index.search.faiss_store import FaissStore
from index.search.store import VectorStore
from index.snapshot import Snapshot, SnapshotDraft
from indexer.collection.changes import Changes, Found
from indexer.collection.metadata import Descriptions, describe, described_anew, say_coverage
from indexer.collection.records import Collected, make_record
from indexer.encoding.vectors import encode_rows
from indexer.errors import MostWouldBeLost, NoPictures
from indexer.groups.stage import carry_groups
from indexer.map.positions import carry_map, draw_map
from indexer.publishing import library_versions, write_records
from indexer.quality.build_check import check_build
from indexer.quality.drift import drift_after, is_much
from indexer.quality.encoder_fit import measure_fit, warning_of_new
from indexer.stages import Stages
from models.encoder import Encoder

_BLOCK = 1024


class Merge:
    """The rows of a changed collection, each from the live snapshot or newly encoded.

    Attributes
    ----------
    collected : Collected
        Records of all rows; its source holds the pixels of the new ones only.
    old_rows : list of int
        For each row the row of the live snapshot with the same vector, or -1.
    new_rows : list of int
        For each row its place in the source, or -1.
    before : list of ImageRecord or None
        For each row the record that its picture had in the live snapshot.
    """

    def __init__(self, live: Snapshot, collected: Collected) -> None:
        self.collected = collected
        self.old_rows: list[int] = []
        self.new_rows: list[int] = []
        self.before: list[ImageRecord | None] = []
        self._live = live
        self._copies: dict[str, int] = {}

    def collect(self, pictures: Iterable[Found], draft: SnapshotDraft) -> None:
        """Take all pictures; write their thumbnails on the way."""
        taken = map(self._take, pictures)
        known = ((image_id, jpeg) for image_id, jpeg in taken if jpeg is not None)
        write_thumbnails(draft.folder / THUMBNAILS_FILE, known)

    def describe(self, descriptions: Descriptions | None, changes: Changes, stages: Stages) -> None:
        """Say of each picture what a file says, or else what was said before; note what differs."""
        self.collected.records = describe(self.collected.records, self.before, descriptions)
        changes.described += described_anew(self.collected.records, self.before)
        say_coverage(descriptions, self.collected.records, stages)

    def write_vectors(self, encoder: Encoder, folder: Path, stages: Stages) -> FaissStore:
        """Encode the new rows and write all vectors; leave out files that vanished meanwhile."""
        new_path, path = folder / "vectors.new", folder / VECTORS_FILE
        blocks = encode_rows(encoder, self.collected.source, stages)
        FaissStore.write(new_path, encoder.dim, blocks)
        self._drop_lost()
        if not self.collected.records:
            raise NoPictures(f"no picture is left in {self.collected.root}: nothing is published")
        new = FaissStore.open(new_path)
        FaissStore.write(path, encoder.dim, self._merged(new))
        new_path.unlink()
        return FaissStore.open(path)

    def table_rows(self) -> NDArray[np.int64]:
        """Return `old_rows`, each old row named once: of copies the first takes it, others -1."""
        rows = np.array(self.old_rows, np.int64)
        _, first = np.unique(rows, return_index=True)
        once = np.full(len(rows), -1, np.int64)
        once[first] = rows[first]
        return once

    def _take(self, found: Found) -> tuple[str, bytes | None]:
        row, source = len(self.collected.records), self.collected.source
        if found.scanned is None and found.old is not None:
            image_id = next_image_id(found.old.sha256, self._copies)
            record = replace(found.old, row=row, id=image_id)
            thumbnail = self._old_thumbnail(found.old)
        else:
            assert found.scanned is not None
            record = make_record(row, found.scanned, self._copies)
            thumbnail = found.scanned.thumbnail
        is_new = found.old is None
        self.old_rows.append(-1 if found.old is None else found.old.row)
        self.new_rows.append(len(source) if is_new else -1)
        if is_new and found.scanned is not None:
            source.add(found.scanned)
        self.before.append(found.before)
        self.collected.records.append(record)
        return record.id, thumbnail

    def _old_thumbnail(self, record: ImageRecord) -> bytes | None:
        thumbnails = self._live.thumbnails
        return None if thumbnails is None else thumbnails.jpeg(record.id)

    def _drop_lost(self) -> None:
        lost = self.collected.source.lost
        if not lost:
            return
        kept = [row for row, new in enumerate(self.new_rows) if new not in lost]
        copies: dict[str, int] = {}
        records = [self.collected.records[row] for row in kept]
        self.collected.records = [
            replace(one, row=row, id=next_image_id(one.sha256, copies))
            for row, one in enumerate(records)
        ]
        self.old_rows = [self.old_rows[row] for row in kept]
        self.new_rows = [self.new_rows[row] for row in kept]
        self.before = [self.before[row] for row in kept]
        self.collected.skipped += lost.values()

    def _merged(self, new: VectorStore) -> Iterator[NDArray[np.float32]]:
        old_rows, new_rows = np.array(self.old_rows), np.array(self.new_rows)
        for start in range(0, len(old_rows), _BLOCK):
            old = old_rows[start : start + _BLOCK]
            vectors = np.empty((len(old), new.dim), np.float32)
            vectors[old >= 0] = self._live.store.vectors(old[old >= 0])
            vectors[old < 0] = new.vectors(new_rows[start : start + _BLOCK][old < 0])
            yield vectors


def check_loss(changes: Changes, n_live: int, root: Path) -> None:
    """Refuse to lose over half of a collection: raise MostWouldBeLost."""
    if len(changes.removed) * 2 > n_live:
        raise MostWouldBeLost(
            f"{len(changes.removed):,} of {n_live:,} pictures are not in {root} any more: is it "
            "the right folder, and is its disk mounted? If so, add --yes"
        )


def warn_if_unfit(live: Snapshot, merge: Merge, store: VectorStore, stages: Stages) -> None:
    """Say so if the new pictures are unlike those that the encoder has learnt."""
    places = np.array(merge.new_rows, np.int64)
    rows = np.flatnonzero(places >= 0)
    new = measure_fit(live.folder, merge.collected.source, places[rows], store, rows)
    warning = warning_of_new(live, new)
    if warning is not None:
        stages.say(f"Warning: {warning}")


def check_anew(
    live: Snapshot,
    merge: Merge,
    store: VectorStore,
    encoder: Encoder,
    drift: Drift,
    draft: SnapshotDraft,
    stages: Stages,
) -> bool:
    """Check the encoder on the changed collection, if so much changed that old figures are stale.

    Returns
    -------
    is_checked : bool
        quality.json is new, or left out of a collection that has become too small for it.
    """
    if not is_much(drift.quality, len(store)):
        return False
    seed = live.manifest.settings.seed
    check = check_build(store, encoder, merge.collected, draft.folder, seed, stages)
    if check is not None:
        stages.say(f"check: {check.recall.sentence()}")
    return True


def publish_records(
    live: Snapshot,
    collected: Collected,
    draft: SnapshotDraft,
    settings: BuildSettings,
    stages: Stages,
) -> str:
    """Publish the same pictures with other metadata, all else hard-linked; return the id."""
    with stages.stage("publish"):
        (draft.folder / THUMBNAILS_FILE).unlink()  # it holds the same as the old one
        write_records(draft.folder, collected)
        kept = set(live.manifest.files) - {path.name for path in draft.folder.iterdir()}
        draft.link_from(live, kept)
        now = datetime.now(UTC).isoformat()
        return draft.publish(replace(live.manifest, created=now, settings=settings))


def publish_merge(
    live: Snapshot,
    merge: Merge,
    draft: SnapshotDraft,
    settings: BuildSettings,
    stages: Stages,
) -> str:
    """Encode what is new, bring neighbours and groups up to date, publish; return the id."""
    encoder = Encoder.open(live.folder / ENCODER_FILE)
    with stages.stage("encode"):
        store = merge.write_vectors(encoder, draft.folder, stages)
    with stages.stage("top-k"):
        k = live.manifest.settings.top_k
        table = live.topk.updated(store, merge.table_rows(), k, stages.progress)
        table.save(draft.folder)
    drift = drift_after(live, merge.table_rows())
    with stages.stage("groups"):
        is_carried = carry_groups(
            live, store, merge.table_rows(), drift.groups, draft.folder, stages
        )
    with stages.stage("map"):
        # Where so much changed that the groups were made anew, so is the map.
        if not (is_carried and carry_map(live, table, merge.table_rows(), draft.folder)):
            draw_map(store, settings.seed).save(draft.folder)
    with stages.stage("check"):
        warn_if_unfit(live, merge, store, stages)
        is_checked = check_anew(live, merge, store, encoder, drift, draft, stages)
    drift = replace(
        drift,
        groups=drift.groups if is_carried else 0,
        quality=0 if is_checked else drift.quality,
    )
    with stages.stage("publish"):
        write_records(draft.folder, merge.collected)
        kept = [ELBOW_PLOT_FILE] if is_carried else []
        kept += [] if is_checked else [QUALITY_FILE]
        draft.link_from(live, [*ENCODER_FILES, FIT_FILE, *kept])
        return draft.publish(
            replace(
                live.manifest,
                created=datetime.now(UTC).isoformat(),
                n_images=len(merge.collected.records),
                top_k=table.k,
                image_root=str(merge.collected.root),
                settings=replace(settings, changed_since=drift),
                versions=library_versions(),
            )
        )
