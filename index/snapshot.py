"""Snapshots: open one, checked; make a new one and publish it by one rename.

    data/
        CURRENT               the live snapshot's id, replaced by one rename
        lock                  flock of the indexer at work
        snapshots/<id>/       written once, never changed
        snapshots/.new-*/     being written; of no meaning to a reader

A reader keeps a shared flock on the manifest of the snapshot that it has open, so that pruning can
tell; a killed process holds none. docs/snapshot-format.md describes every file.
"""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import secrets
import shutil
import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from index.artefacts.clusters import Clusters
from index.artefacts.map_points import MapPoints
from index.artefacts.thumbnails import Thumbnails
from index.catalogue import Catalogue
from index.durable import replace_text, sync_file, sync_folder
from index.errors import CannotWrite, CorruptSnapshot, DataFolderBusy, NoSnapshot
from index.layout import (
    CATALOGUE_FILE,
    CLUSTERS_FILE,
    CURRENT_FILE,
    DRAFT_PREFIX,
    ENCODERS_FOLDER,
    LOCK_FILE,
    MANIFEST_FILE,
    MAP_FILE,
    PRUNED_PREFIX,
    SNAPSHOTS_FOLDER,
    THUMBNAILS_FILE,
    TRAINING_FOLDER,
    VECTORS_FILE,
)
from index.manifest import DIGEST_DIGITS, FileEntry, Manifest
from index.search.faiss_store import FaissStore
from index.search.metadata_index import MetadataIndex
from index.search.store import VectorStore
from index.search.topk import TopKTable

KEPT = 3  # snapshots that stay after a publication, the new one counted
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}  # what file systems without locks say
_SMALL_BYTES = 1 << 20  # files up to this size are checksummed at every opening

open_snapshots: weakref.WeakSet[Snapshot] = weakref.WeakSet()


class Snapshot:
    """One published snapshot, open read-only; close it, or use it as a context manager.

    Attributes
    ----------
    id : str
        Name of its folder.
    folder : Path
    manifest : Manifest
    store : VectorStore
        Unit vectors, mapped from disk.
    topk : TopKTable
        Mapped from disk.
    catalogue : Catalogue
    thumbnails : Thumbnails or None
    clusters : Clusters or None
        None where no groups have been made yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = folder.name
        with ExitStack() as resources:
            resources.callback(os.close, _shared_lock(folder / MANIFEST_FILE))
            self.manifest = Manifest.load(folder / MANIFEST_FILE)
            self._check_quickly()
            self.store: VectorStore = FaissStore.open(folder / VECTORS_FILE)
            self.topk = TopKTable.open(folder)
            self.catalogue = Catalogue.open(folder)
            resources.callback(self.catalogue.close)
            self.thumbnails: Thumbnails | None = self._optional(THUMBNAILS_FILE, Thumbnails)
            if self.thumbnails is not None:
                resources.callback(self.thumbnails.close)
            self._check_counts()
            self._resources = resources.pop_all()
        open_snapshots.add(self)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a snapshot's folder.

        The manifest, the sizes of all files and the content of those up to 1 MiB are checked here;
        `check_large_files` does the rest.

        Raises
        ------
        NoSnapshot
            If there is no such folder.
        CorruptSnapshot, NewerSchema
            If it may not be used.
        """
        return cls(folder)

    def file(self, name: str) -> Path | None:
        """Return the path of one of its files, or None where the snapshot has no such file."""
        return self.folder / name if name in self.manifest.files else None

    @cached_property
    def clusters(self) -> Clusters | None:
        """The groups, read at the first use; CorruptSnapshot if they are of another collection."""
        found: Clusters | None = self._optional(CLUSTERS_FILE, Clusters.load)
        if found is not None:
            self._check_n_images(CLUSTERS_FILE, found.n_images, "run `bin/lookalike cluster`")
        return found

    @cached_property
    def map_points(self) -> MapPoints | None:
        """The map, read at the first use; CorruptSnapshot if it is of another collection."""
        found: MapPoints | None = self._optional(MAP_FILE, MapPoints.load)
        if found is not None:
            self._check_n_images(MAP_FILE, len(found), "build again")
        return found

    @cached_property
    def metadata(self) -> MetadataIndex:
        """The pictures' metadata by key, read at the first use."""
        return MetadataIndex(self.catalogue.metadata())

    @property
    def image_root(self) -> Path:
        """Folder that the catalogue's paths are relative to."""
        return Path(self.manifest.image_root)

    def __len__(self) -> int:
        return self.manifest.n_images

    def encoder_finding(self, fingerprint: str, dim: int) -> str | None:
        """Return a sentence if an encoder is not the one that made the vectors, else None.

        Parameters
        ----------
        fingerprint : str
            Of the encoder in question.
        dim : int
            Length of its vectors.
        """
        if (fingerprint, dim) == (self.manifest.encoder, self.manifest.dim):
            return None
        return (
            f"the vectors of snapshot {self.id} were made by encoder {self.manifest.encoder} "
            f"(length {self.manifest.dim}), but its file is {fingerprint} (length {dim})"
        )

    def check_files(self, names: Iterable[str] | None = None) -> None:
        """Compare files with the manifest byte by byte, all of them unless some are named.

        Raises
        ------
        CorruptSnapshot
            At the first one that is missing or differs, naming it.
        """
        for name in sorted(self.manifest.files) if names is None else names:
            if FileEntry.of(self.folder / name) != self.manifest.files[name]:
                raise CorruptSnapshot(
                    f"{name} in snapshot {self.id} has been changed since it was written: "
                    "go back with `snapshots rollback`, or build again"
                )

    def check_large_files(self) -> None:
        """Compare the files that opening left out; see `check_files`."""
        large = (n for n, e in self.manifest.files.items() if e.size_bytes > _SMALL_BYTES)
        self.check_files(sorted(large))

    def close(self) -> None:
        """Give everything back; nobody may be reading from it any more."""
        if self not in open_snapshots:
            return
        open_snapshots.discard(self)
        del self.store, self.topk  # the mappings go with the last array that uses them
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _optional(self, name: str, load: Any) -> Any:
        path = self.file(name)
        return None if path is None else load(path)

    def _check_quickly(self) -> None:
        # Of the file's bytes, not of the fields as read: a later version may know more fields.
        digest = FileEntry.of(self.folder / MANIFEST_FILE).sha256[:DIGEST_DIGITS]
        if not self.id.startswith(DRAFT_PREFIX) and not self.id.endswith(digest):
            raise CorruptSnapshot(f"{MANIFEST_FILE} of snapshot {self.id} has been changed")
        for name, entry in self.manifest.files.items():
            path = self.folder / name
            if not path.is_file():
                raise CorruptSnapshot(f"{name} is missing from snapshot {self.id}")
            if path.stat().st_size != entry.size_bytes:
                raise CorruptSnapshot(
                    f"{name} in snapshot {self.id} has {path.stat().st_size} bytes, "
                    f"the manifest says {entry.size_bytes}"
                )
        self.check_files(n for n, e in self.manifest.files.items() if e.size_bytes <= _SMALL_BYTES)

    def _check_n_images(self, name: str, n_images: int, cure: str) -> None:
        if n_images != len(self):
            raise CorruptSnapshot(
                f"{name} of snapshot {self.id} is of {n_images} pictures, "
                f"the snapshot of {len(self)}: {cure}"
            )

    def _check_counts(self) -> None:
        counts = {
            "the manifest": len(self),
            VECTORS_FILE: len(self.store),
            "the top-k table": len(self.topk),
            CATALOGUE_FILE: len(self.catalogue),
        }
        if len(set(counts.values())) != 1 or self.store.dim != self.manifest.dim:
            raise CorruptSnapshot(f"the parts of snapshot {self.id} do not agree: {counts}")


def _shared_lock(path: Path) -> int:
    """Open a file with a shared flock, which ends when the descriptor is closed."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError as error:
        if not path.parent.is_dir():
            raise NoSnapshot(f"there is no snapshot {path.parent.name}") from error
        raise CorruptSnapshot(f"{path.name} is missing from {path.parent.name}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(descriptor)
            raise
        # A file system without locks: `_is_open` cannot tell there either, so nothing is pruned.
    return descriptor


class SnapshotDraft:
    """A snapshot that is being written: put files into `folder`, then `publish`."""

    def __init__(self, data: DataFolder) -> None:
        self._data = data
        name = f"{DRAFT_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        self.folder = data.snapshots / name
        self.folder.mkdir(parents=True)

    def link_from(self, old: Snapshot, names: Iterable[str]) -> None:
        """Take over those of some files that another snapshot has, by hard links."""
        for name in sorted(set(old.manifest.files) & set(names)):
            try:
                os.link(old.folder / name, self.folder / name)
            except OSError:  # a file system without hard links
                shutil.copy2(old.folder / name, self.folder / name)

    def publish(self, contents: Manifest) -> str:
        """Seal the draft and make it the current snapshot.

        Parameters
        ----------
        contents : Manifest
            Complete but for `files`, which is filled in here from what lies in the folder.

        Returns
        -------
        id : str

        Notes
        -----
        Everything reaches the disk, is read back and checked before the rename of the folder and
        then of CURRENT: a reader sees the old snapshot or the whole new one.
        """
        files = {path.name: FileEntry.of(path) for path in sorted(self.folder.iterdir())}
        sealed = dataclasses.replace(contents, files=files)
        (self.folder / MANIFEST_FILE).write_text(sealed.to_json(), encoding="utf-8")
        for path in self.folder.iterdir():
            sync_file(path)
        sync_folder(self.folder)
        with Snapshot.open(self.folder):
            pass  # opening is the check
        return self._rename(sealed)

    def discard(self) -> None:
        """Remove the draft, if it has not been published."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _rename(self, sealed: Manifest) -> str:
        moment = datetime.fromisoformat(sealed.created).strftime("%Y%m%dT%H%M%S%fZ")
        snapshot_id = f"{moment}-{sealed.digest()}"
        named = self.folder.rename(self._data.snapshots / snapshot_id)
        try:
            sync_folder(self._data.snapshots)
            self._data.set_current(snapshot_id)
        except OSError:  # a full disk, say; what nobody will read is taken away again
            if self._data.current_id() != snapshot_id:
                shutil.rmtree(named, ignore_errors=True)
            raise
        return snapshot_id


class DataFolder:
    """The folder in which the indexer publishes and from which the service reads.

    Attributes
    ----------
    root : Path
    snapshots : Path
        Folder of the published snapshots and of drafts.
    training : Path
        Folder of the checkpoints.
    encoders : Path
        Folder of the trained and adopted encoders, one folder for each fingerprint.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.snapshots = root / SNAPSHOTS_FOLDER
        self.training = root / TRAINING_FOLDER
        self.encoders = root / ENCODERS_FOLDER
        self._current = root / CURRENT_FILE

    def current_id(self) -> str | None:
        """Return the live snapshot's id, or None where nothing has been published."""
        try:
            return self._current.read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None

    def set_current(self, snapshot_id: str) -> None:
        """Make a snapshot the live one, durably and in one step."""
        replace_text(self._current, snapshot_id + "\n")

    def open_current(self) -> Snapshot:
        """Open the live snapshot; NoSnapshot where nothing has been published."""
        snapshot_id = self.current_id()
        if snapshot_id is None:
            raise NoSnapshot(
                f"nothing has been published in {self.root}: "
                f"run `python -m indexer build IMAGES --data {self.root}` first"
            )
        return self.open(snapshot_id)

    def open(self, snapshot_id: str) -> Snapshot:
        """Open a snapshot by its id; NoSnapshot where there is none of that id."""
        if snapshot_id not in self.ids():
            raise NoSnapshot(f"there is no snapshot {snapshot_id} in {self.root}")
        return Snapshot.open(self.snapshots / snapshot_id)

    def ids(self) -> list[str]:
        """Return the ids of all published snapshots, oldest first."""
        if not self.snapshots.is_dir():
            return []
        return sorted(p.name for p in self.snapshots.iterdir() if not p.name.startswith("."))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the indexer's lock, and clear what a killed indexer left behind.

        Raises
        ------
        DataFolderBusy
            If another process holds it; the message names its process id.
        CannotWrite
            If nobody can, or this user may not write here.
        """
        descriptor = self._open_lock()
        try:
            self._lock_or_say_who(descriptor)
            self._clear_leftovers()
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def draft(self) -> Iterator[SnapshotDraft]:
        """Give a new draft; it is removed unless it has been published. Hold the lock meanwhile."""
        draft = SnapshotDraft(self)
        try:
            yield draft
        finally:
            draft.discard()

    def prune(self, keep: int = KEPT) -> list[str]:
        """Remove all but the newest `keep` snapshots, never the live one nor one that is open.

        Returns
        -------
        removed : list of str
            Their ids, oldest first.
        """
        live = self.current_id()
        old = [snapshot_id for snapshot_id in self.ids()[:-keep] if snapshot_id != live]
        return [snapshot_id for snapshot_id in old if self._remove_unless_open(snapshot_id)]

    def _remove_unless_open(self, snapshot_id: str) -> bool:
        folder = self.snapshots / snapshot_id
        if _is_open(folder / MANIFEST_FILE):
            return False
        gone = folder.with_name(f"{PRUNED_PREFIX}{snapshot_id}")
        folder.rename(gone)
        shutil.rmtree(gone)
        return True

    def _open_lock(self) -> int:
        try:
            if not self.root.is_dir():
                self.root.mkdir(parents=True)
                sync_folder(self.root.parent)
            if not os.access(self.root, os.W_OK):  # or it would be noticed at the very end
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return os.open(self.root / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise CannotWrite(
                f"the data folder {self.root} cannot be written to ({error.strerror}): give "
                "yourself the right to, or name another folder with --data DIR"
            ) from error

    def _lock_or_say_who(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            raise DataFolderBusy(
                f"another indexer (process {holder or 'unknown'}) is at work in this data folder: "
                "wait until it has ended, or stop it"
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise CannotWrite(
                f"the data folder {self.root} lies on a file system that cannot lock files: put it "
                "on a local disk with --data DIR"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def _clear_leftovers(self) -> None:
        if self.snapshots.is_dir():
            for path in self.snapshots.glob(".*"):
                shutil.rmtree(path)


def _is_open(path: Path) -> bool:
    """Say whether some process holds a shared flock on a manifest, or may hold one."""
    try:
        descriptor = os.open(path, os.O_RDWR)  # NFS locks exclusively only what may be written
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return True
    finally:
        os.close(descriptor)
    return False
