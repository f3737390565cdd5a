"""Changes of a folder since it was indexed: new, changed, moved and removed files.

A file with the same path, size and modification time counts as unchanged. Every other file is read
and compared by its content. A picture with a known pixel digest keeps its vector, even if its file
has a new name. A record without a full digest, as in snapshots of schema 1, is completed from its
file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from index.catalogue import Catalogue, ImageRecord, readable_path
from index.progress import QUIET, Progress
from indexer.dataset import UNREADABLE, Scanned, Skipped, scan
from indexer.errors import MostWouldBeLost, NotInTheFolder


@dataclass(frozen=True)
class Found:
    """One picture of the changed folder.

    Attributes
    ----------
    old : ImageRecord or None
        The record with the same pixel digest, which has the same vector, or None if there is none.
    scanned : Scanned or None
        The picture as read from its file, or None if the file is unchanged.
    before : ImageRecord or None
        The earlier record of the same path, or of the path that the file was moved from.
    """

    old: ImageRecord | None
    scanned: Scanned | None
    before: ImageRecord | None


@dataclass
class Changes:
    """Paths by kind of change.

    Attributes
    ----------
    added, changed, moved, removed : list of str
        For `moved`, the new paths.
    skipped : list of Skipped
    metadata : list of str
        Pictures that were indexed before and now have other metadata.
    refreshed : list of str
        Unchanged pictures whose record was brought up to date, such as with a digest that an
        older schema does not have.
    """

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    metadata: list[str] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Return whether there is anything to publish."""
        return self.of_pictures or bool(self.metadata or self.refreshed)

    @property
    def of_pictures(self) -> bool:
        """Whether pictures or their paths changed, and not only their records."""
        return bool(self.added or self.changed or self.moved or self.removed)

    def summary(self) -> str:
        """Return one line, "3 added, 0 changed, ... 0 with new metadata"."""
        counts = {name: len(value) for name, value in vars(self).items()}
        counts["with new metadata"] = counts.pop("metadata")
        return ", ".join(f"{count:,} {name}" for name, count in counts.items())

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON value of all lists."""
        return vars(self) | {"skipped": [one.as_dict() for one in self.skipped]}


class FolderChanges:
    """A comparison of a folder with the catalogue of an earlier index.

    Parameters
    ----------
    root : Path
    files : list of Path
        Relative to root, sorted by `walk.path_order`.
    catalogue : Catalogue, optional
        Pictures that were indexed before. Default: none, so every file is new.
    removed : collection of (str, str)
        Path and SHA-256 of pictures that the user removed. They are ignored.
    to_read : set of Path, optional
        Files to read. Default: all files whose size or modification time has changed, and those
        whose record has no full digest.
    unread : collection of Path, optional
        Files that cannot be read now. They are kept as they were.
    """

    def __init__(
        self,
        root: Path,
        files: list[Path],
        catalogue: Catalogue | None = None,
        removed: Collection[tuple[str, str]] = (),
        to_read: set[Path] | None = None,
        unread: Collection[Path] = (),
    ) -> None:
        self.changes = Changes()
        self.root, self.files = root, files
        self._catalogue, self._removed, self._to_read = catalogue, removed, to_read
        self._unread = frozenset(unread)
        self._old = {record.raw_path or record.path: record for record in catalogue or ()}
        keys = {_path_key(relative) for relative in files}
        self._missing = {
            record.path: record for key, record in self._old.items() if key not in keys
        }

    def pictures(self, progress: Progress = QUIET) -> Iterator[Found]:
        """Yield every picture in the order of the paths, and read only files that may have changed.

        `changes` is complete after the last picture.
        """
        to_read = [relative for relative in self.files if self._must_read(relative)]
        results = scan(self.root, to_read, progress=progress)
        is_read = set(to_read)
        for relative in self.files:
            record = self._old.get(_path_key(relative))
            if relative not in is_read:
                yield Found(record, None, record)
                continue
            found = self._classify(next(results), record)
            if found is not None:
                yield found
        self.changes.removed += self._missing

    def _must_read(self, relative: Path) -> bool:
        if relative in self._unread:
            return False
        if self._to_read is not None:
            return relative in self._to_read
        record = self._old.get(_path_key(relative))
        if record is None:
            return True
        try:
            status = (self.root / relative).stat()
        except OSError:  # reading it will report the error
            return True
        is_touched = (status.st_size, status.st_mtime_ns) != (record.size_bytes, record.mtime_ns)
        return is_touched or record.full_digest is None

    def _classify(self, one: Scanned | Skipped, record: ImageRecord | None) -> Found | None:
        if isinstance(one, Skipped):
            self.changes.skipped.append(one)
            if record is not None and one.code == UNREADABLE:
                return Found(record, None, record)  # it is there, so it stays in the collection
            if record is not None:
                self.changes.removed.append(record.path)
            return None
        if (readable_path(one.relative)[0], one.sha256) in self._removed:
            return None
        before = self._add_new_path(one) if record is None else record
        if record is not None:
            self._add_known_path(one, record)
        return Found(self._record_with_pixels(one, record), one, before)

    def _add_known_path(self, one: Scanned, record: ImageRecord) -> None:
        """Add a path to `changed` or `refreshed` if its record differs from the file."""
        # A new version of a decoder may give an unchanged file other pixels.
        if (record.sha256, record.pixel_digest) != (one.sha256, one.pixel_digest):
            self.changes.changed.append(record.path)
        elif record.full_digest is None:
            self.changes.refreshed.append(record.path)

    def _add_new_path(self, one: Scanned) -> ImageRecord | None:
        """Add a path to `added` or `moved`. Return the earlier record of a moved picture."""
        path = readable_path(one.relative)[0]
        equal = (old for old, record in self._missing.items() if record.sha256 == one.sha256)
        moved_from = next(equal, None)
        if moved_from is None:
            self.changes.added.append(path)
            return None
        self.changes.moved.append(path)
        return self._missing.pop(moved_from)

    def _record_with_pixels(self, one: Scanned, record: ImageRecord | None) -> ImageRecord | None:
        """Return a record with the same pixel digest, preferably that of the same path, or None."""
        if record is not None and record.pixel_digest == one.pixel_digest:
            return record
        if self._catalogue is None:
            return None
        row = self._catalogue.row_of_pixels(one.pixel_digest)
        return None if row is None else self._catalogue.image(row)


def check_loss(changes: Changes, n_old: int, root: Path) -> None:
    """Raise MostWouldBeLost if over half of the `n_old` earlier pictures are missing."""
    if len(changes.removed) * 2 > n_old:
        raise MostWouldBeLost(
            f"{len(changes.removed):,} of {n_old:,} pictures are missing from {root}. Check that "
            "this is the right folder and that its disk is mounted. To remove these pictures from "
            "the collection, add --yes."
        )


def catalogued(catalogue: Catalogue, exclude: Collection[int] = ()) -> list[Path]:
    """Return the relative paths of a catalogue in the order of its rows, without some rows."""
    return [record.file_under(Path()) for record in catalogue if record.row not in exclude]


def relative_to_root(path: Path, root: Path) -> Path:
    """Return the path of a file relative to the image root. A link to a file is not resolved.

    Raises
    ------
    NotInTheFolder
        If the file is not under the image root.
    """
    absolute = path.parent.resolve() / path.name
    if not absolute.is_relative_to(root):
        raise NotInTheFolder(f"{path} is not in {root}. Copy it there, then add it again.")
    return absolute.relative_to(root)


def _path_key(relative: Path) -> str | bytes:
    """Return the text of a path, or its bytes if they are not UTF-8."""
    text, raw = readable_path(relative)
    return text if raw is None else raw
