"""Use cases: what each command does, without a command line.

    walk -> scan -> train (or take the collection's encoder) -> encode -> top-k -> groups -> publish

Everything is written into a draft beside the live snapshot; until the last rename a reader sees
nothing of it, and an interrupted run leaves nothing but checkpoints that the next one resumes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from index.catalogue import FILE as CATALOGUE_FILE
from index.catalogue import ImageRecord, next_image_id, readable_path, write_catalogue
from index.clusters import Clusters
from index.durable import sync_file, sync_folder
from index.errors import DiskFull
from index.faiss_store import FaissStore
from index.manifest import FILE as MANIFEST_FILE
from index.manifest import Manifest
from index.snapshot import VECTORS_FILE, DataFolder, Snapshot, SnapshotDraft
from index.thumbnails import FILE as THUMBNAILS_FILE
from index.thumbnails import write_thumbnails
from index.topk import DEFAULT_K, TopKTable
from indexer.dataset import DEFAULT_CACHE_BYTES, PixelSource, Scanned, Skipped, scan, walk
from indexer.encoding import Collected, encode_collection
from indexer.errors import NoPictures, PicturesSkipped
from indexer.grouping import GROUP_FILES, GroupOptions, group
from indexer.stages import Stages
from models.encoder import Encoder
from models.errors import ModelsError

SKIPPED_FILE = "skipped.json"
ENCODER_FILES = (
    "encoder.tflite",
    "encoder.json",
    "decoder.tflite",
    "decoder.json",
    "autoencoder.keras",
    "history.json",
    "history.png",
)
_BYTES_PER_PICTURE = 48 << 10  # vector 16 KiB, thumbnail about 20, table and catalogue the rest
_SPARE_BYTES = 256 << 20  # network, plots, and room for others
_LIBRARIES = ("tensorflow", "ai-edge-litert", "faiss-cpu", "numpy", "pillow")


@dataclass(frozen=True)
class TrainingOptions:
    """How long and how an encoder is trained; see `models.training.TrainingSettings`."""

    architecture: str = "classic"
    minutes: float | None = 30.0
    epochs: int | None = None
    steps: int | None = None


@dataclass(frozen=True)
class BuildOptions:
    """What a build was asked for.

    Attributes
    ----------
    images : Path
        Folder of pictures.
    encoder : Path or None
        A folder with encoder.tflite and encoder.json to use instead of training.
    retrain : bool
        Train anew although the collection has an encoder.
    strict : bool
        Fail when a file has to be skipped.
    cache_bytes : int
        Disk for decoded pictures while training; what is beyond it is decoded again.
    """

    images: Path
    seed: int = 0
    training: TrainingOptions = field(default_factory=TrainingOptions)
    top_k: int = DEFAULT_K
    groups: GroupOptions = field(default_factory=GroupOptions)
    encoder: Path | None = None
    retrain: bool = False
    strict: bool = False
    cache_bytes: int = DEFAULT_CACHE_BYTES


@dataclass(frozen=True)
class Built:
    """What a build published."""

    snapshot_id: str
    n_images: int
    n_zero_encodings: int
    skipped: list[Skipped]
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
        _check_disk(data, len(files), options.cache_bytes)
        with data.draft() as draft, _pixel_source(data, options, len(files)) as source:
            collected = collect(options, files, source, draft, stages)
            encoder_folder = find_or_train_encoder(data, options, collected, stages)
            return _finish(data, options, collected, encoder_folder, draft, stages)


def train(data: DataFolder, options: BuildOptions, stages: Stages) -> Path:
    """Train an encoder on a folder of pictures and return the folder that holds it.

    Nothing is published; a `build` of the same pictures with the same options takes it over.
    """
    files = walk(options.images, leave_out=data.root)
    with data.locked():
        _check_disk(data, len(files), options.cache_bytes)
        with data.draft() as draft, _pixel_source(data, options, len(files)) as source:
            collected = collect(options, files, source, draft, stages)
            return train_encoder(data, options, collected, stages)


def collect(
    options: BuildOptions,
    files: list[Path],
    source: PixelSource,
    draft: SnapshotDraft,
    stages: Stages,
) -> Collected:
    """Read every file; write the thumbnails on the way.

    Raises
    ------
    NoPictures
        If not one file is a picture that can be read.
    PicturesSkipped
        If something was skipped and the options say strict.
    """
    collected = Collected(options.images.resolve(), source)
    with stages.stage("read"):
        found = scan(collected.root, files, progress=stages.progress)
        write_thumbnails(draft.folder / THUMBNAILS_FILE, _take(found, collected))
    if not collected.records:
        raise NoPictures(_no_pictures_sentence(options.images, collected.skipped))
    if options.strict and collected.skipped:
        first = collected.skipped[0]
        raise PicturesSkipped(
            f"{len(collected.skipped)} files cannot be used, the first is {first.path} "
            f"({first.reason}): mend or remove them, or leave out --strict"
        )
    stages.say(f"{len(collected.records):,} pictures, {len(collected.skipped):,} files skipped")
    return collected


def _no_pictures_sentence(folder: Path, skipped: list[Skipped]) -> str:
    if not skipped:
        return f"{folder} is empty: put pictures into it, or name another folder"
    return (
        f"none of the {len(skipped)} files in {folder} is a picture that can be read "
        f"(the first, {skipped[0].path}: {skipped[0].reason}): name the folder of the pictures"
    )


def _take(found: Iterable[Scanned | Skipped], collected: Collected) -> Iterator[tuple[str, bytes]]:
    """Sort what was scanned into rows and skipped files; yield each row's id and thumbnail."""
    copies: dict[str, int] = {}
    for one in found:
        if isinstance(one, Skipped):
            collected.skipped.append(one)
            continue
        record = _record(len(collected.records), one, copies)
        collected.source.add(one)
        collected.records.append(record)
        yield record.id, one.thumbnail


def _record(row: int, scanned: Scanned, copies: dict[str, int]) -> ImageRecord:
    path, raw_path = readable_path(scanned.relative)
    return ImageRecord(
        row=row,
        id=next_image_id(scanned.sha256, copies),
        path=path,
        sha256=scanned.sha256,
        pixel_digest=scanned.pixel_digest,
        size_bytes=scanned.size_bytes,
        mtime_ns=scanned.mtime_ns,
        width=scanned.width,
        height=scanned.height,
        format=scanned.format,
        raw_path=raw_path,
    )


def find_or_train_encoder(
    data: DataFolder, options: BuildOptions, collected: Collected, stages: Stages
) -> Path:
    """Return the folder of the encoder: the one named, the collection's own, or a new one."""
    if options.encoder is not None:
        return options.encoder if options.encoder.is_dir() else options.encoder.parent
    own = None if options.retrain else _encoder_of_live_snapshot(data, collected.root)
    if own is not None:
        stages.say("keeping the collection's encoder (train anew with --retrain)")
        return own
    return train_encoder(data, options, collected, stages)


def _encoder_of_live_snapshot(data: DataFolder, root: Path) -> Path | None:
    if data.current_id() is None:
        return None
    with data.open_current() as live:
        known = live.image_root == root and live.file("encoder.tflite") is not None
        return live.folder if known else None


def train_encoder(
    data: DataFolder, options: BuildOptions, collected: Collected, stages: Stages
) -> Path:
    """Train on the collected pictures, resuming where an interrupted run of the same stopped."""
    # TensorFlow takes seconds to import, and only training needs it.
    from models.export import export_autoencoder
    from models.history import plot_history
    from models.training import TrainingSettings, train

    settings = TrainingSettings(seed=options.seed, **asdict(options.training))
    folder = data.root / "training" / _training_key(collected, options)
    with stages.stage("train"):
        trained = train(collected.source, settings, folder, progress=stages.progress)
    with stages.stage("export"):
        new = folder / "export"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        info = export_autoencoder(trained, settings, new)
        plot_history(trained.history, new / "history.png")
        encoders = data.root / "encoders"
        return _move_into_place(new, encoders / info.fingerprint)


def _training_key(collected: Collected, options: BuildOptions) -> str:
    """Name a training by what determines it but for its length: pictures, network and seed."""
    digest = hashlib.sha256(f"{options.training.architecture} {options.seed}".encode())
    for pixels in collected.source.digests:
        digest.update(bytes.fromhex(pixels))
    return digest.hexdigest()[:16]


def _move_into_place(new: Path, final: Path) -> Path:
    for path in new.iterdir():
        sync_file(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():  # the same encoder: its name is its content's hash
        shutil.rmtree(new)
    else:
        new.rename(final)
    sync_folder(final.parent)
    return final


def _finish(
    data: DataFolder,
    options: BuildOptions,
    collected: Collected,
    encoder_folder: Path,
    draft: SnapshotDraft,
    stages: Stages,
) -> Built:
    """Encode, find neighbours, make groups, publish."""
    encoder = Encoder.open(encoder_folder / "encoder.tflite")
    with stages.stage("encode"):
        n_zero = encode_collection(encoder, collected, draft.folder, stages)
    store = FaissStore.open(draft.folder / VECTORS_FILE)
    with stages.stage("top-k"):
        table = TopKTable.compute(store, options.top_k, progress=stages.progress)
        table.save(draft.folder)
    with stages.stage("groups"):
        group(store, draft.folder, options.groups, options.seed, stages)
    with stages.stage("publish"):
        _write_records(draft.folder, collected)
        _copy_encoder(encoder_folder, draft.folder)
        snapshot_id = draft.publish(
            Manifest(
                created=datetime.now(UTC).isoformat(),
                n_images=len(collected.records),
                dim=encoder.dim,
                top_k=table.k,
                image_root=str(collected.root),
                encoder=encoder.fingerprint,
                settings=_settings(options, encoder, n_zero),
                versions={name: version(name) for name in _LIBRARIES if _installed(name)},
            )
        )
        data.prune()
    return Built(snapshot_id, len(collected.records), n_zero, collected.skipped, stages.seconds)


def _settings(options: BuildOptions, encoder: Encoder, n_zero: int) -> dict[str, object]:
    return {
        "n_steps": encoder.info.n_steps,  # `--steps` with this number repeats the training
        "seed": options.seed,
        "training": asdict(options.training),
        "groups": asdict(options.groups),
        "n_zero_encodings": n_zero,
    }


def _write_records(folder: Path, collected: Collected) -> None:
    write_catalogue(folder / CATALOGUE_FILE, collected.records)
    skipped = json.dumps([one.as_dict() for one in collected.skipped], indent=1)
    (folder / SKIPPED_FILE).write_text(skipped + "\n", encoding="utf-8")


def _copy_encoder(source: Path, folder: Path) -> None:
    for name in ENCODER_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)


def _pixel_source(data: DataFolder, options: BuildOptions, n_files: int) -> PixelSource:
    return PixelSource(options.images.resolve(), data.root, n_files, options.cache_bytes)


def _check_disk(data: DataFolder, n_files: int, cache_bytes: int) -> None:
    """Refuse to start what cannot be finished."""
    cache = min(cache_bytes, n_files * 256 * 256 * 3)
    needed = n_files * _BYTES_PER_PICTURE + cache + _SPARE_BYTES
    free = shutil.disk_usage(data.root).free
    if free < needed:
        raise DiskFull(
            f"{n_files:,} files may need {needed / 1e9:.1f} GB in {data.root}, {free / 1e9:.1f} GB "
            "are free: make room, or put the data folder elsewhere with --data DIR"
        )


def cluster(data: DataFolder, options: GroupOptions, seed: int, stages: Stages) -> Clusters:
    """Group the live snapshot anew, and publish it with these groups; the rest is hard-linked."""
    with data.locked(), data.open_current() as live, data.draft() as draft:
        draft.link_from(live, leave_out=GROUP_FILES)
        with stages.stage("groups"):
            clusters = group(live.store, draft.folder, options, seed, stages)
        settings = live.manifest.settings | {"groups": asdict(options) | {"seed": seed}}
        now = datetime.now(UTC).isoformat()
        draft.publish(replace(live.manifest, created=now, settings=settings))
        data.prune()
    return clusters


def encoder_findings(snapshot: Snapshot) -> Iterator[str]:
    """Yield a sentence if the snapshot's encoder is not the one that made its vectors."""
    try:
        encoder = Encoder.open(snapshot.folder / "encoder.tflite")
    except (ModelsError, OSError) as error:
        yield f"the encoder of snapshot {snapshot.id} cannot be used: {error}"
        return
    if encoder.fingerprint != snapshot.manifest.encoder or encoder.dim != snapshot.store.dim:
        yield (
            f"snapshot {snapshot.id} was made with encoder {snapshot.manifest.encoder}, "
            f"but holds {encoder.fingerprint}"
        )


def describe_snapshots(data: DataFolder) -> list[dict[str, Any]]:
    """Return id, created, n_images, size_bytes and current of every snapshot, oldest first."""
    live = data.current_id()
    described = []
    for snapshot_id in data.ids():
        manifest = Manifest.load(data.snapshots / snapshot_id / MANIFEST_FILE)
        described.append(
            {
                "id": snapshot_id,
                "created": manifest.created,
                "n_images": manifest.n_images,
                "size_bytes": sum(entry.size_bytes for entry in manifest.files.values()),
                "current": snapshot_id == live,
            }
        )
    return described


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
