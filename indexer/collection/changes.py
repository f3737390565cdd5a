"""Changes of a folder since it was indexed: new, changed, moved and removed files.

A file with the same path, size, times and inode counts as unchanged. Every other file is read and
compared by its content. A picture with a known pixel digest keeps its vector, even if its file has
a new name. A record of an unchanged picture is completed from its file: it may lack a full digest,
as in snapshots of schema 1, or the file may have other times or another inode.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from index.catalogue import ImageRecord, readable_path
from index.progress import QUIET, Progress
from indexer.collection.departed import Contents, Departed
from indexer.collection.removals import Removal, Removals
from indexer.errors import MostWouldBeLost, NotInTheFolder
from indexer.folder.dataset import UNREADABLE, Scanned, Skipped, scan

# Fields of a record that may differ although the content of the file is the same.
_OF_THE_FILE = ("mtime_ns", "ctime_ns", "inode", "full_digest", "single_colour")


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
        older schema does not have, or with the times of its file.
    kept_out : list of str
        New paths of files that the user removed. They stay out of the collection.
    """

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    metadata: list[str] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)
    kept_out: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Return whether there is anything to publish."""
        return self.of_pictures or bool(self.metadata or self.refreshed or self.kept_out)

    @property
    def of_pictures(self) -> bool:
        """Whether pictures or their paths changed, and not only their records."""
        return bool(self.added or self.changed or self.moved or self.removed)

    def summary(self) -> str:
        """Return one line, "3 added, 0 changed, ... 0 with new metadata"."""
        counts = {name: len(value) for name, value in vars(self).items()}
        counts["with new metadata"] = counts.pop("metadata")
        refreshed, kept_out = counts.pop("refreshed"), counts.pop("kept_out")
        if refreshed:
            counts["read again without a change"] = refreshed
        if kept_out:
            counts["removed earlier and moved, so still left out"] = kept_out
        return ", ".join(f"{count:,} {name}" for name, count in counts.items())

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON value of all lists."""
        return vars(self) | {"skipped": [one.as_dict() for one in self.skipped]}


class FolderChanges:
    """A comparison of a folder with an earlier index.

    Parameters
    ----------
    root : Path
    files : list of Path
        Relative to root, sorted by `walk.path_order`.
    earlier : iterable of ImageRecord, optional
        Pictures that were indexed before. Default: none, so every file is new.
    removals : Removals, optional
        Pictures that the user removed. They stay out, and `removals` follows their files.
    to_read : set of Path, optional
        Files to read. Default: all files whose size, times or inode have changed, and those whose
        record has no full digest.
    unread : collection of Path, optional
        Files that cannot be read now. They are kept as they were.
    unread_folders : collection of Path, optional
        Folders whose contents are unknown.
    keeps_vectors : bool
        Whether pictures may keep their earlier vectors; false in a build.
    takes_back : bool
        Whether the files in `to_read` are no longer removed.

    Attributes
    ----------
    changes : Changes
    root, files
        The parameters.
    earlier : list of ImageRecord
    removals : Removals
    """

    def __init__(
        self,
        root: Path,
        files: list[Path],
        earlier: Iterable[ImageRecord] = (),
        removals: Removals | None = None,
        to_read: set[Path] | None = None,
        unread: Collection[Path] = (),
        unread_folders: Collection[Path] = (),
        *,
        keeps_vectors: bool = True,
        takes_back: bool = False,
    ) -> None:
        self.changes = Changes()
        self.root, self.files = root, files
        self.earlier = list(earlier)
        self.removals = Removals() if removals is None else removals
        self._to_read, self._unread = to_read, frozenset(unread)
        self._keeps_vectors, self._takes_back = keeps_vectors, takes_back
        self._old = {record.raw_path or record.path: record for record in self.earlier}
        self._by_pixels = {record.pixel_digest: record for record in reversed(self.earlier)}
        keys = {_path_key(relative) for relative in files}
        # Pictures that nobody has found yet, by path. Those that are left at the end are lost.
        self._lost = {record.path: record for key, record in self._old.items() if key not in keys}
        self._contents = Contents(root, unread_folders)
        self._departed = Departed(self._contents, self._lost.values())

    def pictures(self, progress: Progress = QUIET) -> Iterator[Found]:
        """Yield every picture in the order of the paths, and read only files that may have changed.

        `changes` and `removals` are complete after the last picture.
        """
        files = [relative for relative in self.files if not self._stays_removed(relative)]
        to_read = [relative for relative in files if self._must_read(relative)]
        is_read = set(to_read)
        for relative in files:
            record = self._old.get(_path_key(relative))
            if record is not None and relative in is_read:
                self._departed.may_be(record)
            elif record is not None and self.removals.at(record.path):
                self._contents.note(record.path, record.sha256)
        results = scan(self.root, to_read, progress=progress)
        for relative in files:
            record = self._old.get(_path_key(relative))
            if relative not in is_read:
                yield Found(record, None, record)
                continue
            found = self._classify(next(results), record)
            if found is not None:
                yield found
        self.changes.removed += self._lost

    def _stays_removed(self, relative: Path) -> bool:
        """Return whether a file is removed and unchanged, so that it need not be read."""
        path = readable_path(relative)[0]
        removals = self.removals.at(path)
        if self._to_read is not None or not removals or _path_key(relative) in self._old:
            return False
        try:
            status = (self.root / relative).stat()
        except OSError:  # reading it will report the error
            return False
        same = next((one for one in removals if one.is_unchanged(status)), None)
        if same is not None:
            self._contents.note(path, same.sha256)
        return same is not None

    def _must_read(self, relative: Path) -> bool:
        if relative in self._unread:
            return False
        if self._to_read is not None:
            return relative in self._to_read
        record = self._old.get(_path_key(relative))
        if record is None or record.full_digest is None:
            return True
        try:
            return not record.is_unchanged((self.root / relative).stat())
        except OSError:  # reading it will report the error
            return True

    def _classify(self, one: Scanned | Skipped, record: ImageRecord | None) -> Found | None:
        if isinstance(one, Skipped):
            return self._skip(one, record)
        self._contents.note(readable_path(one.relative)[0], one.sha256)
        is_same = record is not None and record.sha256 == one.sha256
        if self._is_removed(one, is_same):
            if record is not None:
                self._lost[record.path] = record
            return None
        if record is not None and is_same:
            self._departed.discard(record)
            self._add_known_path(one, record)
            return Found(self._record_with_pixels(one, record), one, record)
        before = self._add_new_content(one, record)
        return Found(self._record_with_pixels(one, record), one, before)

    def _skip(self, one: Skipped, record: ImageRecord | None) -> Found | None:
        self.changes.skipped.append(one)
        if record is None:
            return None
        is_there = one.code == UNREADABLE
        self._contents.note(record.path, record.sha256 if is_there else None)
        if is_there and self._keeps_vectors:
            return Found(record, None, record)
        self._lost[record.path] = record
        return None

    def _is_removed(self, one: Scanned, is_same: bool) -> bool:
        """Return whether the user removed this file, here or before it moved; follow it."""
        path = readable_path(one.relative)[0]
        here = self.removals.at(path)
        removal = next((r for r in here if r.sha256 == one.sha256), None)
        if removal is None and not is_same:
            removal = self._moved_removal(one)
        if self._takes_back:
            for one_back in here if removal is None else {*here, removal}:
                self.removals.discard(one_back)
            return False
        if removal is None:
            return False
        self.removals.discard(removal)
        if removal.path != path:
            self.changes.kept_out.append(path)
        self.removals.add([Removal.of(one)])
        return True

    def _moved_removal(self, one: Scanned) -> Removal | None:
        """Return the removed picture that a file with new content is, moved here, or None.

        If a removed file and a copy in the collection moved, the inode tells which is which. If it
        does not, the file is the removed one: a picture too few is better than an unwanted one.
        """
        gone = [r for r in self.removals.of_content(one.sha256) if self._contents.has_left(r)]
        by_inode = [r for r in gone if r.inode == one.inode]
        if not by_inode and self._departed.by_inode(one) is not None:
            return None
        return min(by_inode or gone, key=lambda removal: removal.path, default=None)

    def _add_known_path(self, one: Scanned, record: ImageRecord) -> None:
        """Add a path to `changed` or `refreshed` if its record differs from the file."""
        # A new version of a decoder may give an unchanged file other pixels.
        if record.pixel_digest != one.pixel_digest:
            self.changes.changed.append(record.path)
        elif any(getattr(record, name) != getattr(one, name) for name in _OF_THE_FILE):
            self.changes.refreshed.append(record.path)

    def _add_new_content(self, one: Scanned, record: ImageRecord | None) -> ImageRecord | None:
        """Add a path to `added`, `changed` or `moved`. Return the picture's earlier record."""
        path = readable_path(one.relative)[0]
        moved = self._departed.take(one)
        if moved is None:
            (self.changes.added if record is None else self.changes.changed).append(path)
            return record
        self._lost.pop(moved.path, None)
        self.changes.moved.append(path)
        if record is not None and self._departed.has(record):
            self._lost[record.path] = record  # replaced, unless it turns up elsewhere
        return moved

    def _record_with_pixels(self, one: Scanned, record: ImageRecord | None) -> ImageRecord | None:
        """Return a record with the same pixel digest, preferably that of the same path, or None."""
        if not self._keeps_vectors:
            return None
        if record is not None and record.pixel_digest == one.pixel_digest:
            return record
        return self._by_pixels.get(one.pixel_digest)


def check_loss(changes: Changes, n_old: int, root: Path) -> None:
    """Raise MostWouldBeLost if over half of the `n_old` earlier pictures are missing."""
    if len(changes.removed) * 2 > n_old:
        raise MostWouldBeLost(
            f"{len(changes.removed):,} of {n_old:,} pictures are missing from {root}. Check that "
            "this is the right folder and that its disk is mounted. To remove these pictures from "
            "the collection, add --yes."
        )


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
