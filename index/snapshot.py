"""Snapshots: open and check one; write a new one and publish it by one rename.

    data/
        CURRENT               id of the live snapshot, replaced by one rename
        lock                  flock of the running indexer
        snapshots/<id>/       written once, never changed
        snapshots/.new-*/     being written; readers ignore it

A reader holds a shared flock on the manifest of the snapshot that it has open. Pruning checks this
lock. The lock of a killed process ends with the process. docs/snapshot-format.md describes every
file.
"""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import re
import secrets
import shutil
import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from index import schema1
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
from index.manifest import DIGEST_DIGITS, REMEDY, SCHEMA_VERSION, FileEntry, Manifest
from index.search.faiss_store import FaissStore
from index.search.metadata_index import MetadataIndex
from index.search.store import VectorStore
from index.search.topk import TopKTable
from index.text import path_of_text

KEPT = 3  # snapshots kept after a publication, including the new one
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}  # errors of file systems without locks
_SMALL_BYTES = 1 << 20  # the checksums of files up to this size are checked at every opening

_ID = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}")

open_snapshots: weakref.WeakSet[Snapshot] = weakref.WeakSet()


class Snapshot:
    """One published snapshot, open read-only. Close it, or use it as a context manager.

    Attributes
    ----------
    id : str
        Name of its folder.
    folder : Path
    manifest : Manifest
    store : VectorStore
        Unit vectors, memory-mapped.
    topk : TopKTable
        Memory-mapped.
    catalogue : Catalogue
    thumbnails : Thumbnails or None
    clusters : Clusters or None
        None before the first grouping.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = folder.name
        with ExitStack() as resources:
            resources.callback(os.close, _shared_lock(folder / MANIFEST_FILE))
            self.manifest = Manifest.load(folder / MANIFEST_FILE)
            self._check_sizes_and_small_files()
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

        This checks the manifest, the sizes of all files, and the content of files up to 1 MiB.
        `check_large_files` checks the content of the larger files.

        Raises
        ------
        NoSnapshot
            If there is no such folder.
        CorruptSnapshot
            If a file is missing or damaged, or the files contradict each other.
        NewerSchema
            If a later version of Lookalike wrote it.
        """
        return cls(folder)

    def file(self, name: str) -> Path | None:
        """Return the path of one of its files, or None if the snapshot does not have the file."""
        return self._path(name) if name in self.manifest.files else None

    @cached_property
    def clusters(self) -> Clusters | None:
        """The groups, read at first use; CorruptSnapshot if they belong to another collection."""
        found: Clusters | None = self._optional(CLUSTERS_FILE, Clusters.load)
        if found is not None:
            self._check_n_images(CLUSTERS_FILE, found.n_images, "run `bin/lookalike cluster`")
        return found

    @cached_property
    def map_points(self) -> MapPoints | None:
        """The map, read at first use; CorruptSnapshot if it belongs to another collection."""
        found: MapPoints | None = self._optional(MAP_FILE, MapPoints.load)
        if found is not None:
            self._check_n_images(MAP_FILE, len(found), "build again")
        return found

    @cached_property
    def metadata(self) -> MetadataIndex:
        """The pictures' metadata by key, read at first use."""
        return MetadataIndex(self.catalogue.metadata())

    @property
    def image_root(self) -> Path:
        """Folder that the catalogue's paths are relative to."""
        return path_of_text(self.manifest.image_root)

    def __len__(self) -> int:
        return self.manifest.n_images

    def encoder_finding(self, fingerprint: str, dim: int) -> str | None:
        """Return the problem if an encoder is not the one that made the vectors, else None.

        Parameters
        ----------
        fingerprint : str
            Fingerprint of the encoder.
        dim : int
            Length of its vectors.

        Returns
        -------
        str or None
            One sentence.
        """
        if (fingerprint, dim) == (self.manifest.encoder, self.manifest.dim):
            return None
        return (
            f"the vectors of snapshot {self.id} were made by encoder {self.manifest.encoder} "
            f"(length {self.manifest.dim}), but its file is {fingerprint} (length {dim})"
        )

    def check_files(self, names: Iterable[str] | None = None) -> None:
        """Compare the size and SHA-256 of some files, or of all files, with the manifest.

        Raises
        ------
        CorruptSnapshot
            At the first file that differs; the message names it.
        OSError
            If a file cannot be read.
        """
        for name in sorted(self.manifest.files) if names is None else names:
            if FileEntry.of(self._path(name)) != self.manifest.files[name]:
                raise CorruptSnapshot(
                    f"{name} in snapshot {self.id} has been changed since it was written: {REMEDY}"
                )

    def check_large_files(self) -> None:
        """Check the files that opening did not check; see `check_files`."""
        large = (n for n, e in self.manifest.files.items() if e.size_bytes > _SMALL_BYTES)
        self.check_files(sorted(large))

    def close(self) -> None:
        """Close all files and release the lock. No thread may be reading from the snapshot."""
        if self not in open_snapshots:
            return
        open_snapshots.discard(self)
        del self.store, self.topk  # a mapping ends with the last array that uses it
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _path(self, name: str) -> Path:
        """Return the path of a file, which may have another name in an older schema."""
        is_old = self.manifest.schema_version == schema1.VERSION
        return self.folder / (schema1.OLD_FILES.get(name, name) if is_old else name)

    def _optional(self, name: str, load: Any) -> Any:
        path = self.file(name)
        return None if path is None else load(path)

    def _check_sizes_and_small_files(self) -> None:
        # Of the bytes of the file, not of the parsed fields: a later version may know more fields.
        digest = FileEntry.of(self.folder / MANIFEST_FILE).sha256[:DIGEST_DIGITS]
        if not self.id.startswith(DRAFT_PREFIX) and not self.id.endswith(digest):
            raise CorruptSnapshot(
                f"{MANIFEST_FILE} of snapshot {self.id} has been changed: {REMEDY}"
            )
        for name, entry in self.manifest.files.items():
            path = self._path(name)
            if not path.is_file():
                raise CorruptSnapshot(f"{name} is missing from snapshot {self.id}: {REMEDY}")
            if path.stat().st_size != entry.size_bytes:
                raise CorruptSnapshot(
                    f"{name} in snapshot {self.id} has {path.stat().st_size} bytes, "
                    f"but the manifest lists {entry.size_bytes}: {REMEDY}"
                )
        self.check_files(n for n, e in self.manifest.files.items() if e.size_bytes <= _SMALL_BYTES)

    def _check_n_images(self, name: str, n_images: int, remedy: str) -> None:
        if n_images != len(self):
            raise CorruptSnapshot(
                f"{name} of snapshot {self.id} covers {n_images} pictures, "
                f"but the snapshot has {len(self)}: {remedy}"
            )

    def _check_counts(self) -> None:
        counts = {
            "the manifest": len(self),
            VECTORS_FILE: len(self.store),
            "the top-k table": len(self.topk),
            CATALOGUE_FILE: len(self.catalogue),
        }
        if len(set(counts.values())) != 1 or self.store.dim != self.manifest.dim:
            raise CorruptSnapshot(
                f"the files of snapshot {self.id} have different numbers of pictures, "
                f"or vectors of another length ({counts}): {REMEDY}"
            )


def _shared_lock(path: Path) -> int:
    """Open a file and take a shared flock on it. Closing the descriptor releases the lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError as error:
        if not path.parent.is_dir():
            raise NoSnapshot(f"there is no snapshot {path.parent.name}") from error
        raise CorruptSnapshot(
            f"{path.name} is missing from snapshot {path.parent.name}: {REMEDY}"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(descriptor)
            raise
        # Without locks `_is_open` assumes that every snapshot is open, so nothing is pruned.
    return descriptor


class SnapshotDraft:
    """A snapshot that is being written. Write files into `folder`, then call `publish`."""

    def __init__(self, data: DataFolder) -> None:
        self._data = data
        name = f"{DRAFT_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        self.folder = data.snapshots / name
        self.folder.mkdir(parents=True)

    def link_from(self, old: Snapshot, names: Iterable[str]) -> None:
        """Hard-link files from another snapshot. Names of files that it lacks are ignored.

        A file of an older schema that differs from the current schema is converted.
        """
        is_old = old.manifest.schema_version == schema1.VERSION
        for name in sorted(set(old.manifest.files) & set(names)):
            source, target = old.file(name), self.folder / name
            assert source is not None
            if is_old and schema1.convert(source, target):
                continue
            try:
                os.link(source, target)
            except OSError:  # a file system without hard links
                shutil.copy2(source, target)

    def publish(self, contents: Manifest) -> str:
        """Write the manifest, check the draft and make it the live snapshot.

        Parameters
        ----------
        contents : Manifest
            Complete except for `files`, which this method fills in from the files in the folder,
            and for the schema, which is always the current one.

        Returns
        -------
        id : str
            Id of the new snapshot.

        Raises
        ------
        CorruptSnapshot
            If the files contradict each other or the manifest.

        Notes
        -----
        All files are synced to disk, read back and checked. Only then are the folder and CURRENT
        renamed. A reader sees either the old snapshot or the complete new one.
        """
        files = {path.name: FileEntry.of(path) for path in sorted(self.folder.iterdir())}
        sealed = dataclasses.replace(contents, files=files, schema_version=SCHEMA_VERSION)
        (self.folder / MANIFEST_FILE).write_text(sealed.to_json(), encoding="utf-8")
        for path in self.folder.iterdir():
            sync_file(path)
        sync_folder(self.folder)
        with Snapshot.open(self.folder):
            pass  # opening is the check
        return self._rename(sealed)

    def discard(self) -> None:
        """Remove the draft, unless it has been published."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _rename(self, sealed: Manifest) -> str:
        moment = datetime.fromisoformat(sealed.created).strftime("%Y%m%dT%H%M%S%fZ")
        snapshot_id = f"{moment}-{sealed.digest()}"
        named = self.folder.rename(self._data.snapshots / snapshot_id)
        try:
            sync_folder(self._data.snapshots)
            self._data.set_current(snapshot_id)
        except OSError:  # such as a full disk; remove the folder, because no reader can find it
            if self._data.current_id() != snapshot_id:
                shutil.rmtree(named, ignore_errors=True)
            raise
        return snapshot_id


class DataFolder:
    """The folder that the indexer publishes to and the service reads from.

    Attributes
    ----------
    root : Path
    snapshots : Path
        Folder of published snapshots and drafts.
    training : Path
        Folder of training checkpoints.
    encoders : Path
        Folder of trained and external encoders, with one folder for each fingerprint.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.snapshots = root / SNAPSHOTS_FOLDER
        self.training = root / TRAINING_FOLDER
        self.encoders = root / ENCODERS_FOLDER
        self._current = root / CURRENT_FILE

    def current_id(self) -> str | None:
        """Return the id of the live snapshot, or None if nothing has been published."""
        try:
            return self._current.read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None

    def set_current(self, snapshot_id: str) -> None:
        """Make a snapshot the live one, atomically and durably."""
        replace_text(self._current, snapshot_id + "\n")

    def open_current(self) -> Snapshot:
        """Open the live snapshot; NoSnapshot if nothing has been published."""
        snapshot_id = self.current_id()
        if snapshot_id is None:
            raise NoSnapshot(
                f"nothing has been published in {self.root}: "
                f"run `bin/lookalike build IMAGES --data {self.root}` first"
            )
        return self.open(snapshot_id)

    def open(self, snapshot_id: str) -> Snapshot:
        """Open a snapshot by its id; NoSnapshot if the id is unknown."""
        if snapshot_id not in self.ids():
            raise NoSnapshot(
                f"there is no snapshot {snapshot_id} in {self.root}: "
                "`bin/lookalike snapshots list` shows all ids"
            )
        return Snapshot.open(self.snapshots / snapshot_id)

    def ids(self) -> list[str]:
        """Return the ids of all published snapshots, oldest first.

        Other folders are ignored, such as @eaDir or #recycle, which a NAS or a desktop creates.
        """
        if not self.snapshots.is_dir():
            return []
        return sorted(p.name for p in self.snapshots.iterdir() if _ID.fullmatch(p.name))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the indexer's lock, and remove the files that a killed indexer left behind.

        Raises
        ------
        DataFolderBusy
            If another process holds the lock; the message names its process id.
        CannotWrite
            If the file system has no locks, or this user may not write to the folder.
        """
        descriptor = self._open_lock()
        try:
            self._lock(descriptor)
            self._remove_leftovers()
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def draft(self) -> Iterator[SnapshotDraft]:
        """Create a draft, and remove it at the end unless it was published. Requires the lock."""
        draft = SnapshotDraft(self)
        try:
            yield draft
        finally:
            draft.discard()

    def prune(self, keep: int = KEPT) -> list[str]:
        """Remove all but the newest `keep` snapshots, except the live one and open ones.

        Returns
        -------
        removed : list of str
            Ids of the removed snapshots, oldest first.
        """
        live = self.current_id()
        old = [snapshot_id for snapshot_id in self.ids()[:-keep] if snapshot_id != live]
        return [snapshot_id for snapshot_id in old if self.remove(snapshot_id)]

    def remove(self, snapshot_id: str) -> bool:
        """Remove a snapshot that is not the live one, and return True; False if it is open."""
        folder = self.snapshots / snapshot_id
        if _is_open(folder / MANIFEST_FILE):
            return False
        pruned = folder.with_name(f"{PRUNED_PREFIX}{snapshot_id}")
        folder.rename(pruned)
        shutil.rmtree(pruned)
        return True

    def _open_lock(self) -> int:
        self._check_name()
        try:
            if not self.root.is_dir():
                self.root.mkdir(parents=True)
                sync_folder(self.root.parent)
            if not os.access(self.root, os.W_OK):  # fail now, not when the results are written
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return os.open(self.root / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise CannotWrite(
                f"the data folder {self.root} cannot be written to ({error.strerror}): "
                "change its permissions, or choose another folder with --data DIR"
            ) from error

    def _check_name(self) -> None:
        """Refuse a path that FAISS cannot open."""
        try:
            str(self.root).encode()
        except UnicodeEncodeError as error:
            raise CannotWrite(
                f"the path of the data folder is not UTF-8 ({os.fsencode(self.root)!r}): "
                "rename its folders, or choose another folder with --data DIR"
            ) from error

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            raise DataFolderBusy(
                f"another indexer (process {holder or 'unknown'}) is using this data folder: "
                "wait until it has ended, or stop it"
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise CannotWrite(
                f"the data folder {self.root} is on a file system without file locks: "
                "choose a folder on a local disk with --data DIR"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def _remove_leftovers(self) -> None:
        if self.snapshots.is_dir():
            for path in self.snapshots.iterdir():
                if path.name.startswith((DRAFT_PREFIX, PRUNED_PREFIX)):
                    shutil.rmtree(path)


def _is_open(path: Path) -> bool:
    """Return whether a process holds a shared flock on a manifest, or may hold one."""
    try:
        descriptor = os.open(path, os.O_RDWR)  # NFS requires write access for an exclusive lock
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
