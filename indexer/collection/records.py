"""The pictures of the next snapshot: the record of each, and the source of its vector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from index.arrays import Rows
from index.artefacts.thumbnails import write_thumbnails
from index.catalogue import ImageRecord, readable_path
from index.layout import THUMBNAILS_FILE
from index.snapshot import Snapshot
from indexer.collection.changes import FolderChanges, Found
from indexer.collection.ids import ImageIds
from indexer.errors import NoPictures, PicturesSkipped
from indexer.folder.dataset import PixelSource, Scanned, Skipped
from indexer.stages import Stages


class Collected:
    """The pictures of a folder, one per row. Each is in the old snapshot or new.

    Parameters
    ----------
    root : Path
        Image root.
    source : PixelSource
        An empty source, which receives the pixels of the new pictures.
    old : Snapshot, optional
        Snapshot to update. Default: none, so every picture is new.
    ids : ImageIds, optional
        Default: the ids of a first build.

    Attributes
    ----------
    records : list of ImageRecord
    before : list of ImageRecord or None
        For each row, the earlier record of its picture, whose metadata is kept.
    old_rows : list of int
        For each row, the row of `old` with the same pixel digest, or -1.
    source_rows : list of int
        For each row, the row of `source` with its pixels, or -1.
    skipped : list of Skipped
        Files that cannot be used.
    """

    def __init__(
        self,
        root: Path,
        source: PixelSource,
        old: Snapshot | None = None,
        ids: ImageIds | None = None,
    ) -> None:
        self.root, self.source, self.old = root, source, old
        self.records: list[ImageRecord] = []
        self.before: list[ImageRecord | None] = []
        self.old_rows: list[int] = []
        self.source_rows: list[int] = []
        self.skipped: list[Skipped] = []
        self._ids = ids or ImageIds()

    def add(self, found: Found) -> tuple[str, bytes | None]:
        """Append a row for a picture, and return its id and thumbnail."""
        is_new = found.old is None
        record, thumbnail = self._record(found)
        self.old_rows.append(-1 if found.old is None else found.old.row)
        self.source_rows.append(len(self.source) if is_new else -1)
        if is_new and found.scanned is not None:
            self.source.add(found.scanned)
        self.before.append(found.before)
        self.records.append(record)
        return record.id, thumbnail

    def unique_old_rows(self) -> Rows:
        """Return `old_rows`, but with -1 for every copy of an old row after the first, (n,)."""
        rows = np.array(self.old_rows, np.int64)
        _, first = np.unique(rows, return_index=True)
        unique = np.full(len(rows), -1, np.int64)
        unique[first] = rows[first]
        return unique

    def drop_lost(self) -> None:
        """Remove the rows whose file was removed or changed after it was read."""
        lost = self.source.lost
        if not lost:
            return
        kept = [row for row, in_source in enumerate(self.source_rows) if in_source not in lost]
        records = (self.records[row] for row in kept)
        self.records = [replace(one, row=row) for row, one in enumerate(records)]
        self.before = [self.before[row] for row in kept]
        self.old_rows = [self.old_rows[row] for row in kept]
        self.source_rows = [self.source_rows[row] for row in kept]
        self.skipped += lost.values()

    def _record(self, found: Found) -> tuple[ImageRecord, bytes | None]:
        row = len(self.records)
        if found.scanned is not None:
            new_id = self._ids.next(found.scanned.sha256, found.before)
            return make_record(row, new_id, found.scanned), found.scanned.thumbnail
        assert found.old is not None
        image_id = self._ids.next(found.old.sha256, found.before)
        return replace(found.old, row=row, id=image_id), self._old_thumbnail(found.old)

    def _old_thumbnail(self, record: ImageRecord) -> bytes | None:
        thumbnails = None if self.old is None else self.old.thumbnails
        return None if thumbnails is None else thumbnails.jpeg(record.id)


def collect(
    folder: FolderChanges,
    source: PixelSource,
    out: Path,
    stages: Stages,
    old: Snapshot | None = None,
) -> Collected:
    """Read the new and changed files of a folder, and write all thumbnails to the folder `out`."""
    collected = Collected(folder.root, source, old, ImageIds(folder.earlier))
    with stages.stage("read"):
        added = map(collected.add, folder.pictures(stages.progress))
        thumbnails = ((image_id, jpeg) for image_id, jpeg in added if jpeg is not None)
        write_thumbnails(out / THUMBNAILS_FILE, thumbnails)
    collected.skipped += folder.changes.skipped
    return collected


def check_pictures(collected: Collected, strict: bool) -> None:
    """Check that a folder contains pictures and, if `strict`, no other files.

    Raises
    ------
    NoPictures
        If no file is a readable picture.
    PicturesSkipped
        If a file was skipped and `strict` is true.
    """
    skipped = collected.skipped
    if not collected.records:
        raise NoPictures(_no_pictures(collected.root, skipped))
    if strict and skipped:
        noun = "file" if len(skipped) == 1 else "files"
        raise PicturesSkipped(
            f"{len(skipped):,} {noun} cannot be used. The first is {skipped[0].path} "
            f"({skipped[0].reason}). Repair or remove what cannot be used, or omit --strict."
        )


def _no_pictures(folder: Path, skipped: list[Skipped]) -> str:
    if not skipped:
        return f"There are no pictures in {folder}. Put some into it, or name another folder."
    return (
        f"None of the {len(skipped)} files in {folder} is a readable picture. The first is "
        f"{skipped[0].path} ({skipped[0].reason}). Name the folder that holds the pictures."
    )


def make_record(row: int, image_id: str, scanned: Scanned) -> ImageRecord:
    """Return the record of a scanned picture."""
    path, raw_path = readable_path(scanned.relative)
    return ImageRecord(
        row=row,
        id=image_id,
        path=path,
        sha256=scanned.sha256,
        pixel_digest=scanned.pixel_digest,
        size_bytes=scanned.size_bytes,
        mtime_ns=scanned.mtime_ns,
        width=scanned.width,
        height=scanned.height,
        format=scanned.format,
        raw_path=raw_path,
        full_digest=scanned.full_digest,
        single_colour=scanned.single_colour,
        ctime_ns=scanned.ctime_ns,
        inode=scanned.inode,
    )
