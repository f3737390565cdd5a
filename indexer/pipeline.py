"""Use cases: what each command does, without a command line.

    walk -> scan -> train (or take the collection's encoder) -> encode -> top-k -> groups -> publish

Everything is written into a draft beside the live snapshot; until the last rename a reader sees
nothing of it, and an interrupted run leaves nothing but checkpoints that the next one resumes.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from index.artefacts.clusters import Clusters
from index.build_settings import BuildSettings
from index.catalogue import readable_path
from index.errors import CorruptSnapshot, NewerSchema
from index.layout import ENCODER_FILE, GROUP_FILES, MANIFEST_FILE, VECTORS_FILE
from index.manifest import Manifest
from index.search.faiss_store import FaissStore
from index.search.topk import TopKTable
from index.snapshot import DataFolder, Snapshot, SnapshotDraft
from indexer.collection.changes import Changes, FolderChanges, catalogued, relative_to_root
from indexer.collection.metadata import (
    Descriptions,
    describe_build,
    descriptions_for,
    source_of,
)
from indexer.collection.records import Collected, collect
from indexer.collection.removals import removed_before, write_removed
from indexer.dataset import PixelSource, Skipped, path_order, walk
from indexer.encoding.choice import (
    check_encoder_of,
    copy_encoder,
    find_or_train_encoder,
    train_encoder,
)
from indexer.encoding.named import named_encoder
from indexer.encoding.vectors import encode_collection
from indexer.errors import NoGroups
from indexer.groups.clustering import Grouping
from indexer.groups.fasterpam import check_n_clusters
from indexer.groups.partition import Member, PartitionResult
from indexer.groups.partition import partition as write_partition
from indexer.groups.stage import group, write_sheets
from indexer.map.positions import draw_map
from indexer.options import BuildOptions, ReindexOptions
from indexer.publishing import check_disk, library_versions, write_records
from indexer.quality.altered_copies import SelfCheck
from indexer.quality.build_check import check_build, check_encoder
from indexer.quality.encoder_fit import measure_fit
from indexer.quality.label_scores import labels_of
from indexer.reindexing import Merge, check_loss, publish_merge, publish_records
from indexer.stages import Stages
from models.encoder import Encoder


@dataclass(frozen=True)
class Built:
    """What a build published."""

    snapshot_id: str
    n_images: int
    n_zero_encodings: int
    skipped: list[Skipped]
    seconds: dict[str, float]
    check: SelfCheck | None = None


@dataclass(frozen=True)
class Reindexed:
    """What a re-indexing found and published.

    Attributes
    ----------
    changes : Changes
    snapshot_id : str or None
        None where nothing was published: no change, or a dry run.
    n_images : int
    seconds : dict of str to float
    """

    changes: Changes
    snapshot_id: str | None
    n_images: int
    seconds: dict[str, float]


def build(data: DataFolder, options: BuildOptions, stages: Stages) -> Built:
    """Turn a folder of pictures into the published snapshot.

    Raises
    ------
    IndexerError, ModelsError, IndexFailure
        With one sentence that says what to do; what was published before stays as it was.
    """
    files = walk(options.images, leave_out=data.root)
    with data.locked():
        check_disk(data, len(files), options.cache_bytes)
        named = named_encoder(data, options, stages)  # better refused now than after reading
        with data.draft() as draft, _pixel_source(data, options, len(files)) as source:
            with _taken_over(data, options) as live:
                descriptions = descriptions_for(live, options.metadata, stages)
                collected = collect(options, files, source, draft, stages)
                describe_build(live, collected, descriptions, stages)
            if options.groups.n_clusters is not None:  # better refused now than after training
                check_n_clusters(options.groups.n_clusters, len(collected.records))
            encoder_folder = named or find_or_train_encoder(data, options, collected, stages)
            return _finish(data, options, collected, encoder_folder, draft, stages)


def _taken_over(data: DataFolder, options: BuildOptions) -> AbstractContextManager[Snapshot | None]:
    """Open the snapshot whose metadata a build takes over, if it is to."""
    return data.open_current() if options.keep_metadata else nullcontext()


def train(data: DataFolder, options: BuildOptions, stages: Stages) -> Path:
    """Train an encoder on a folder of pictures and return the folder that holds it.

    Nothing is published; a `build` of the same pictures with the same options takes it over.
    """
    files = walk(options.images, leave_out=data.root)
    with data.locked():
        check_disk(data, len(files), options.cache_bytes)
        with data.draft() as draft, _pixel_source(data, options, len(files)) as source:
            collected = collect(options, files, source, draft, stages)
            return train_encoder(data, options, collected, stages)


def _finish(
    data: DataFolder,
    options: BuildOptions,
    collected: Collected,
    encoder_folder: Path,
    draft: SnapshotDraft,
    stages: Stages,
) -> Built:
    """Encode, find neighbours, make groups, publish."""
    encoder = Encoder.open(encoder_folder / ENCODER_FILE)
    check_encoder(encoder, collected.source, options.seed)
    with stages.stage("encode"):
        n_zero = encode_collection(encoder, collected, draft.folder, stages)
    store = FaissStore.open(draft.folder / VECTORS_FILE)
    with stages.stage("top-k"):
        table = TopKTable.compute(store, options.top_k, progress=stages.progress)
        table.save(draft.folder)
    with stages.stage("groups"):
        group(store, draft.folder, options.groups, stages)
    with stages.stage("map"):
        draw_map(store, options.seed).save(draft.folder)
    with stages.stage("check"):
        check = check_build(store, encoder, collected, draft.folder, options.seed, stages)
        everything = np.arange(len(store))
        if not collected.source.lost:
            fit = measure_fit(encoder_folder, collected.source, everything, store, everything)
            if fit is not None:
                fit.save(draft.folder)
    with stages.stage("publish"):
        write_records(draft.folder, collected)
        copy_encoder(encoder_folder, draft.folder)
        snapshot_id = draft.publish(
            Manifest(
                created=datetime.now(UTC).isoformat(),
                n_images=len(collected.records),
                dim=encoder.dim,
                top_k=table.k,
                image_root=str(collected.root),
                encoder=encoder.fingerprint,
                settings=_settings(options, encoder, n_zero, collected),
                versions=library_versions(),
            )
        )
        data.prune()
    n_images = len(collected.records)
    return Built(snapshot_id, n_images, n_zero, collected.skipped, stages.seconds, check)


def _settings(
    options: BuildOptions, encoder: Encoder, n_zero: int, collected: Collected
) -> BuildSettings:
    return BuildSettings(
        seed=options.seed,
        top_k=options.top_k,
        training=options.training,
        groups=options.groups,
        n_steps=encoder.info.n_steps,
        n_zero_encodings=n_zero,
        metadata=collected.metadata_source,
    )


def _pixel_source(data: DataFolder, options: BuildOptions, n_files: int) -> PixelSource:
    return PixelSource(options.images.resolve(), data.root, n_files, options.cache_bytes)


def reindex(data: DataFolder, options: ReindexOptions, stages: Stages) -> Reindexed:
    """Bring the live snapshot up to date with its folder, encoding only what is new.

    Raises
    ------
    MostWouldBeLost
        If over half of the pictures are gone and the options do not allow it.
    """
    with data.locked(), data.open_current() as live:
        root = (options.images or live.image_root).resolve()
        files = walk(root, leave_out=data.root)
        folder = FolderChanges(root, files, live.catalogue, removed_before(live))
        descriptions = descriptions_for(live, options.metadata, stages)
        return _update(data, live, folder, options, stages, descriptions)


def retrain(
    data: DataFolder, images: Path | None, stages: Stages, metadata: Path | None = None
) -> Built:
    """Build the live snapshot's collection anew, with a newly trained encoder.

    Parameters
    ----------
    data : DataFolder
    images : Path, optional
        Folder of pictures; by default the one that was indexed before.
    stages : Stages
    metadata : Path, optional
        File that says something of the pictures; by default the one that was given before.
    """
    with data.open_current() as live:
        settings, root = live.manifest.settings, live.image_root
    options = BuildOptions(
        images or root,
        seed=settings.seed,
        training=settings.training,
        top_k=settings.top_k,
        groups=Grouping.of(settings.groups),
        retrain=True,
        metadata=metadata,
        keep_metadata=True,
    )
    return build(data, options, stages)


def add(
    data: DataFolder, paths: list[Path], stages: Stages, metadata: Path | None = None
) -> Reindexed:
    """Take single files of the image root into the live snapshot, and nothing else that changed.

    What `metadata` says of them is taken; the file is not remembered.

    Raises
    ------
    NotInTheFolder
        If a path does not lie under the image root.
    """
    with data.locked(), data.open_current() as live:
        wanted = [relative_to_root(path, live.image_root) for path in paths]
        files = sorted({*catalogued(live.catalogue), *wanted}, key=path_order)
        folder = FolderChanges(live.image_root, files, live.catalogue, suspects=set(wanted))
        descriptions = descriptions_for(live, metadata, stages)
        if descriptions is not None:
            also = () if metadata is None else {readable_path(path)[0] for path in wanted}
            descriptions = replace(descriptions, for_all=False, also=also)
        return _update(data, live, folder, ReindexOptions(), stages, descriptions)


def remove(data: DataFolder, image_ids: list[str], stages: Stages) -> Reindexed:
    """Take single pictures out of the live snapshot; their files stay, and `reindex` minds it.

    Raises
    ------
    UnknownImage
        If one of the ids is unknown; then nothing is removed.
    """
    with data.locked(), data.open_current() as live:
        rows = {live.catalogue.by_id(image_id).row for image_id in image_ids}
        files = catalogued(live.catalogue, leave_out=rows)
        folder = FolderChanges(live.image_root, files, live.catalogue, suspects=set())
        options = ReindexOptions(may_lose_most=True)
        return _update(data, live, folder, options, stages, removed_rows=rows)


def check_sound(snapshot: Snapshot) -> None:
    """Refuse what may not be carried over or made live: CorruptSnapshot, ModelMismatch."""
    snapshot.check_files()
    check_encoder_of(snapshot)


def _update(
    data: DataFolder,
    live: Snapshot,
    folder: FolderChanges,
    options: ReindexOptions,
    stages: Stages,
    descriptions: Descriptions | None = None,
    removed_rows: Collection[int] = (),
) -> Reindexed:
    """Publish a changed collection, if it has changed."""
    check_sound(live)
    n_files = len(folder.files)
    check_disk(data, n_files, options.cache_bytes)
    source = PixelSource(folder.root, data.root, n_files, options.cache_bytes)
    with source, data.draft() as draft:
        merge = Merge(live, Collected(folder.root, source))
        with stages.stage("read"):
            merge.collect(folder.pictures(stages.progress), draft)
        merge.describe(descriptions, folder.changes, stages)
        changes, n_images = folder.changes, len(merge.collected.records)
        if options.is_dry_run or not changes:
            if not options.is_dry_run:
                data.prune()  # a run that was killed after its publication has not come to this
            return Reindexed(changes, None, n_images, stages.seconds)
        if not options.may_lose_most:
            check_loss(changes, len(live), folder.root)
        merge.collected.skipped += changes.skipped
        write_removed(live, removed_rows, folder, draft.folder)
        settings = replace(live.manifest.settings, metadata=source_of(descriptions, live))
        if changes.of_pictures:
            snapshot_id = publish_merge(live, merge, draft, settings, stages)
        else:
            snapshot_id = publish_records(live, merge.collected, draft, settings, stages)
        data.prune()
    return Reindexed(changes, snapshot_id, len(merge.collected.records), stages.seconds)


def cluster(
    data: DataFolder,
    how: Grouping,
    stages: Stages,
    labels: tuple[str, str | None] | None = None,
    sheets: Path | None = None,
) -> Clusters:
    """Group the live snapshot anew, and publish it with these groups; the rest is hard-linked.

    Parameters
    ----------
    data : DataFolder
    how : Grouping
    stages : Stages
    labels : (str, str or None), optional
        Where known classes come from, as `evaluation.labels_of` takes them; the groups are
        compared with them.
    sheets : Path, optional
        Folder for a picture sheet of each group.
    """
    with data.locked(), data.open_current() as live, data.draft() as draft:
        check_sound(live)
        classes = None if labels is None else _classes(live, *labels)
        with stages.stage("groups"):
            clusters = group(live.store, draft.folder, how, stages, classes)
        if sheets is not None:
            write_sheets(live, clusters, sheets, stages)
        draft.link_from(live, set(live.manifest.files) - set(GROUP_FILES))
        settings = live.manifest.settings
        drift = replace(settings.changed_since, groups=0)
        settings = replace(settings, groups=how, changed_since=drift)
        now = datetime.now(UTC).isoformat()
        draft.publish(replace(live.manifest, created=now, settings=settings))
        data.prune()
    return clusters


def _classes(live: Snapshot, source: str, column: str | None) -> list[str | None]:
    labels = labels_of(live, source, column)
    return [labels.get(row) for row in range(len(live))]


def partition(
    data: DataFolder, out: Path, mode: str, force: bool, images: Path | None, stages: Stages
) -> PartitionResult:
    """Put the pictures of the live snapshot into one folder for each group.

    Raises
    ------
    NoGroups
        If the snapshot has none.
    """
    with data.open_current() as live:
        if live.clusters is None:
            raise NoGroups("no groups have been made: run `cluster` first")
        root = images or live.image_root
        labels = live.clusters.labels
        members = [
            Member(int(labels[one.row]), one.row, one.file_under(root), one.path)
            for one in live.catalogue
        ]
        return write_partition(
            members,
            live.clusters.medoids.tolist(),
            out,
            mode,
            force=force,
            progress=stages.progress,
        )


def describe_snapshots(data: DataFolder) -> list[dict[str, Any]]:
    """Return id, created, n_images, size_bytes and current of every snapshot, oldest first.

    One that cannot be read has a `problem` instead of created and n_images, which are None, and
    its size is that of the files that there are.
    """
    live = data.current_id()
    return [
        {"id": snapshot_id}
        | _facts_of(data.snapshots / snapshot_id)
        | {"current": snapshot_id == live}
        for snapshot_id in data.ids()
    ]


def _facts_of(folder: Path) -> dict[str, Any]:
    try:
        manifest = Manifest.load(folder / MANIFEST_FILE)
    except (CorruptSnapshot, NewerSchema) as error:
        size = sum(path.stat().st_size for path in folder.iterdir())
        return {"created": None, "n_images": None, "size_bytes": size, "problem": str(error)}
    return {
        "created": manifest.created,
        "n_images": manifest.n_images,
        "size_bytes": sum(entry.size_bytes for entry in manifest.files.values()),
    }
