"""Use cases: what each command does, without the command line.

A run reads pictures, chooses an encoder, makes the parts of the next snapshot and publishes it. See
`indexer.publishing` for the stages. All files are written to a draft, which readers do not see
before the last rename. An interrupted run leaves only the checkpoints of a training, which the next
run resumes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from index.artefacts.clusters import Clusters
from index.build_settings import BuildSettings, FileSettings
from index.catalogue import ImageRecord, readable_path
from index.errors import CorruptSnapshot, NewerSchema, NoSnapshot
from index.layout import GROUP_FILES, MANIFEST_FILE
from index.manifest import Manifest
from index.snapshot import DataFolder, Snapshot, SnapshotDraft
from indexer.collection.changes import (
    Changes,
    FolderChanges,
    check_loss,
    relative_to_root,
)
from indexer.collection.metadata import (
    MetadataUpdate,
    attach_metadata,
    metadata_source,
    metadata_update,
    paths_with_new_metadata,
)
from indexer.collection.purge import Purged, purge
from indexer.collection.records import Collected, check_pictures, collect
from indexer.collection.removals import Removal, Removals
from indexer.encoding.choice import check_encoder_of, find_or_train_encoder, train_encoder
from indexer.encoding.named import named_encoder
from indexer.errors import NoGroups
from indexer.folder.dataset import PixelSource, Skipped
from indexer.folder.survey import catalogued, check_included, survey
from indexer.folder.walk import path_order
from indexer.groups.fasterpam import check_n_clusters
from indexer.groups.grouping import Grouping
from indexer.groups.partition import Member, PartitionResult
from indexer.groups.partition import partition as write_partition
from indexer.groups.regroup import group, write_sheets
from indexer.options import BuildOptions, ReindexOptions
from indexer.output.written import check_outside
from indexer.publishing import Parts, check_disk, publish
from indexer.quality.altered_copies import SelfCheck
from indexer.quality.label_scores import labels_of
from indexer.stages import Stages


@dataclass(frozen=True)
class Built:
    """Result of a build.

    Attributes
    ----------
    snapshot_id : str
    n_images : int
        Number of pictures.
    n_zero_encodings : int
        Number of pictures whose encoding was zero.
    skipped : list of Skipped
    seconds : dict of str to float
        Duration of each stage.
    check : SelfCheck or None
        None if the collection is too small for a quality check.
    """

    snapshot_id: str
    n_images: int
    n_zero_encodings: int
    skipped: list[Skipped]
    seconds: dict[str, float]
    check: SelfCheck | None = None


@dataclass(frozen=True)
class Reindexed:
    """Result of a re-index.

    Attributes
    ----------
    changes : Changes
    snapshot_id : str or None
        None if nothing was published because nothing changed or it was a dry run.
    n_images : int
    seconds : dict of str to float
        Duration of each stage.
    check : SelfCheck or None
        None if the quality was not checked again.
    purged : Purged or None
        The removal of older snapshots, if it was asked for.
    """

    changes: Changes
    snapshot_id: str | None
    n_images: int
    seconds: dict[str, float]
    check: SelfCheck | None = None
    purged: Purged | None = None


def build(data: DataFolder, options: BuildOptions, stages: Stages) -> Built:
    """Build a snapshot of a folder of pictures and publish it.

    Raises
    ------
    IndexerError, ModelsError, IndexFailure
        With a message that says what to do. The live snapshot is then unchanged.
    """
    with data.locked():
        folder, files = _folder_to_build(data, options, stages)
        check_disk(data, len(folder.files), options.cache_bytes)
        named = named_encoder(data, options, stages)  # fails before any picture is read
        with data.draft() as draft, _pixel_source(data, folder, options.cache_bytes) as source:
            collected, settings = _collect_to_build(data, options, folder, source, draft, stages)
            if options.groups.n_clusters is not None:  # fail before the training
                check_n_clusters(options.groups.n_clusters, len(collected.records))
            encoder_folder = named or find_or_train_encoder(data, options, collected, stages)
            settings = replace(settings, files=files)
            folder.removals.save(draft.folder)
            parts = Parts(collected, encoder_folder, settings, draft.folder, stages)
            contents = parts.make()
            snapshot_id = publish(data, draft, contents, stages, collected=collected)
    return Built(
        snapshot_id,
        len(collected.records),
        contents.settings.n_zero_encodings,
        collected.skipped,
        stages.seconds,
        parts.check,
    )


def train(data: DataFolder, options: BuildOptions, stages: Stages) -> Path:
    """Train an encoder on a folder of pictures, and return the encoder's folder.

    Nothing is published. A `build` of the same pictures with the same options uses the encoder.
    """
    with data.locked():
        folder, _ = _folder_to_build(data, options, stages)
        check_disk(data, len(folder.files), options.cache_bytes)
        with data.draft() as draft, _pixel_source(data, folder, options.cache_bytes) as source:
            collected = _collect_all(options, folder, source, draft, stages)
            return train_encoder(data, options, collected, stages)


def _folder_to_build(
    data: DataFolder, options: BuildOptions, stages: Stages
) -> tuple[FolderChanges, FileSettings]:
    """Survey the folder of a build; the rules of the collection that it replaces stay."""
    root = options.images.resolve()
    with _live_of(data, root) as live:
        found = survey(options.images, data.root, live, options.include, options.exclude)
    found.report(stages.say)
    found.check_build()
    found.others.save()
    if options.strict:
        found.check_strict()
    earlier, removals = _ids_and_removals(data, root, options, stages)
    folder = FolderChanges(
        root, found.files, earlier, removals, to_read=set(found.files), keeps_vectors=False
    )
    return folder, found.settings


def _ids_and_removals(
    data: DataFolder, root: Path, options: BuildOptions, stages: Stages
) -> tuple[list[ImageRecord], Removals]:
    """Return the records and removals of the live snapshot, if the build is of its collection."""
    try:
        with data.open_current() as live:
            if live.image_root == root or options.keep_metadata:
                return list(live.catalogue), Removals.of(live)
    except NoSnapshot:
        pass
    except (CorruptSnapshot, NewerSchema) as error:
        stages.say(
            f"The live snapshot cannot be read ({error}). Copies may get other ids, and removed "
            "pictures come back."
        )
    return [], Removals()


@contextmanager
def _live_of(data: DataFolder, root: Path) -> Iterator[Snapshot | None]:
    """Give the live snapshot if it can be opened and is of the same folder, else None."""
    with ExitStack() as opened:
        live = None
        with suppress(NoSnapshot, CorruptSnapshot, NewerSchema):  # a build replaces these
            live = opened.enter_context(data.open_current())
        yield live if live is not None and live.image_root == root else None


def _pixel_source(data: DataFolder, folder: FolderChanges, cache_bytes: int) -> PixelSource:
    return PixelSource(folder.root, data.root, len(folder.files), cache_bytes)


def _collect_to_build(
    data: DataFolder,
    options: BuildOptions,
    folder: FolderChanges,
    source: PixelSource,
    draft: SnapshotDraft,
    stages: Stages,
) -> tuple[Collected, BuildSettings]:
    """Read all pictures with their metadata. Return them and the settings of the build."""
    with _snapshot_with_metadata(data, options) as live:
        update = metadata_update(live, options.metadata, stages)
        collected = _collect_all(options, folder, source, draft, stages)
        if live is None:  # then earlier records are for the ids only
            collected.before = [None] * len(collected.records)
        attach_metadata(collected, update, stages)
        settings = BuildSettings(
            seed=options.seed,
            top_k=options.top_k,
            training=options.training,
            groups=options.groups,
            metadata=metadata_source(update, live),
        )
    return collected, settings


def _snapshot_with_metadata(
    data: DataFolder, options: BuildOptions
) -> AbstractContextManager[Snapshot | None]:
    """Open the live snapshot if the build keeps its metadata."""
    return data.open_current() if options.keep_metadata else nullcontext()


def _collect_all(
    options: BuildOptions,
    folder: FolderChanges,
    source: PixelSource,
    draft: SnapshotDraft,
    stages: Stages,
) -> Collected:
    """Read and check all pictures; errors as `check_pictures`."""
    collected = collect(folder, source, draft.folder, stages)
    check_pictures(collected, options.strict)
    stages.say(f"{len(collected.records):,} pictures, {len(collected.skipped):,} skipped")
    return collected


def reindex(data: DataFolder, options: ReindexOptions, stages: Stages) -> Reindexed:
    """Update the live snapshot from its folder, and encode only new pictures.

    Raises
    ------
    MostWouldBeLost
        If over half of the pictures are missing and the options do not allow it.
    """
    with data.locked(), data.open_current() as live:
        root = (options.images or live.image_root).resolve()
        found = survey(root, data.root, live, options.include, options.exclude)
        found.report(stages.say)
        if options.strict:
            found.check_strict()
        if not options.is_dry_run:
            found.others.save()
        folder = FolderChanges(
            root,
            found.files,
            live.catalogue,
            Removals.of(live),
            set(found.files) if options.rehash else None,
            unread=found.unreachable,
            unread_folders=[one.relative for one in found.walk.unreadable],
        )
        update = metadata_update(live, options.metadata, stages)
        return _update(data, live, folder, options, stages, update, files=found.settings)


def retrain(data: DataFolder, options: ReindexOptions, stages: Stages) -> Built:
    """Build the live snapshot's collection again, with a newly trained encoder.

    Parameters
    ----------
    data : DataFolder
    options : ReindexOptions
        Its folder, metadata file, patterns and `strict`.
    stages : Stages
    """
    with data.open_current() as live:
        settings, root = live.manifest.settings, live.image_root
    build_options = BuildOptions(
        options.images or root,
        seed=settings.seed,
        training=settings.training,
        top_k=settings.top_k,
        groups=Grouping.of(settings.groups),
        retrain=True,
        metadata=options.metadata,
        strict=options.strict,
        include=options.include,
        exclude=options.exclude,
        keep_metadata=True,
    )
    return build(data, build_options, stages)


def add(
    data: DataFolder, paths: list[Path], stages: Stages, metadata: Path | None = None
) -> Reindexed:
    """Add single files of the image root to the live snapshot, and ignore all other changes.

    The `metadata` file applies only to these files. Later runs do not read it again.

    Raises
    ------
    NotInTheFolder
        If a path is not under the image root.
    """
    with data.locked(), data.open_current() as live:
        wanted = [relative_to_root(path, live.image_root) for path in paths]
        for relative in wanted:
            check_included(live.image_root, relative, live.manifest.settings.files)
        files = sorted({*catalogued(live.catalogue), *wanted}, key=path_order)
        folder = FolderChanges(
            live.image_root,
            files,
            live.catalogue,
            Removals.of(live),
            to_read=set(wanted),
            takes_back=True,
        )
        update = metadata_update(live, metadata, stages)
        if update is not None:
            also = () if metadata is None else {readable_path(path)[0] for path in wanted}
            update = replace(update, for_all=False, also=also)
        return _update(data, live, folder, ReindexOptions(), stages, update)


def remove(
    data: DataFolder, image_ids: list[str], stages: Stages, is_purge: bool = False
) -> Reindexed:
    """Remove single pictures from the live snapshot. Their files stay, but `reindex` skips them.

    With `is_purge`, older snapshots that contain one of them are removed, too.

    Raises
    ------
    UnknownImage
        If one of the ids is unknown. Then no picture is removed.
    """
    with data.locked():
        with data.open_current() as live:
            rows = {live.catalogue.by_id(image_id).row for image_id in image_ids}
            gone = live.catalogue.records(sorted(rows))
            removals = Removals.of(live)
            removals.add(map(Removal.of, gone))
            files = catalogued(live.catalogue, exclude=rows)
            folder = FolderChanges(live.image_root, files, live.catalogue, removals, to_read=set())
            done = _update(data, live, folder, ReindexOptions(may_lose_most=True), stages)
        if is_purge:  # after the live snapshot of before was closed
            done = replace(done, purged=purge(data, {record.sha256 for record in gone}))
    return done


def check_sound(snapshot: Snapshot) -> None:
    """Check all files and the encoder of a snapshot.

    Raises
    ------
    CorruptSnapshot
        If a file is damaged.
    ModelMismatch
        If the encoder is not the one that made the vectors.
    """
    snapshot.check_files()
    check_encoder_of(snapshot)


def _update(
    data: DataFolder,
    live: Snapshot,
    folder: FolderChanges,
    options: ReindexOptions,
    stages: Stages,
    update: MetadataUpdate | None = None,
    files: FileSettings | None = None,
) -> Reindexed:
    """Publish a changed collection, if it changed."""
    check_sound(live)
    check_disk(data, len(folder.files), options.cache_bytes)
    changes = folder.changes
    with _pixel_source(data, folder, options.cache_bytes) as source, data.draft() as draft:
        collected = collect(folder, source, draft.folder, stages, live)
        attach_metadata(collected, update, stages)
        changes.metadata += paths_with_new_metadata(collected)
        if options.strict:
            check_pictures(collected, strict=True)
        if options.is_dry_run or not changes:
            if not options.is_dry_run:
                data.prune()  # an earlier run may have been killed between publication and pruning
            return Reindexed(changes, None, len(collected.records), stages.seconds)
        if not options.may_lose_most:
            check_loss(changes, len(live), folder.root)
        folder.removals.save(draft.folder)
        settings = replace(
            live.manifest.settings,
            metadata=metadata_source(update, live),
            files=files or live.manifest.settings.files,
        )
        parts = Parts(collected, live.folder, settings, draft.folder, stages)
        contents = parts.make() if changes.of_pictures else parts.keep()
        snapshot_id = publish(
            data, draft, contents, stages, old=live, linked=parts.linked, collected=collected
        )
    return Reindexed(changes, snapshot_id, len(collected.records), stages.seconds, parts.check)


def cluster(
    data: DataFolder,
    how: Grouping,
    stages: Stages,
    labels: tuple[str, str | None] | None = None,
    sheets: Path | None = None,
) -> Clusters:
    """Group the live snapshot again and publish it. All other files are hard-linked.

    Parameters
    ----------
    data : DataFolder
    how : Grouping
    stages : Stages
    labels : (str, str or None), optional
        Source of known classes to compare the groups with; see `label_scores.labels_of`.
    sheets : Path, optional
        Folder for a sheet of thumbnails of each group.

    Returns
    -------
    Clusters
    """
    with data.locked(), data.open_current() as live, data.draft() as draft:
        check_sound(live)
        classes = None if labels is None else _classes(live, *labels, stages)
        with stages.stage("groups"):
            clusters = group(live.store, draft.folder, how, stages, classes)
        if sheets is not None:
            write_sheets(live, clusters, sheets, stages)
        drift = replace(live.manifest.settings.drift, groups=0)
        settings = replace(live.manifest.settings, groups=how, drift=drift)
        contents = replace(live.manifest, settings=settings)
        linked = set(live.manifest.files) - set(GROUP_FILES)
        publish(data, draft, contents, stages, old=live, linked=linked)
    return clusters


def _classes(live: Snapshot, source: str, column: str | None, stages: Stages) -> list[str | None]:
    labels = labels_of(live, source, column, stages.say)
    return [labels.get(row) for row in range(len(live))]


def partition(
    data: DataFolder, out: Path, mode: str, force: bool, images: Path | None, stages: Stages
) -> PartitionResult:
    """Write the pictures of the live snapshot to one folder per group.

    Raises
    ------
    NoGroups
        If the snapshot has no groups.
    """
    with data.open_current() as live:
        if live.clusters is None:
            raise NoGroups("This collection has no groups. Run `bin/lookalike cluster` first.")
        root = images or live.image_root
        check_outside(out, root)
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

    If a snapshot cannot be read, created and n_images are None, `problem` gives the reason, and the
    size is that of the files in the folder.
    """
    live = data.current_id()
    return [
        {"id": snapshot_id}
        | _description(data.snapshots / snapshot_id)
        | {"current": snapshot_id == live}
        for snapshot_id in data.ids()
    ]


def _description(folder: Path) -> dict[str, Any]:
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
