"""What has changed in a folder since it was indexed: new, changed, moved and vanished files.

A file of the same path, size and time of change is taken as unchanged; any other is read, and its
content decides. A picture whose pixels are known keeps its vector, whatever its file is now called.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from index.catalogue import Catalogue, ImageRecord, readable_path
from index.progress import QUIET, Progress
from indexer.dataset import Scanned, Skipped, scan
from indexer.errors import NotInTheFolder


@dataclass(frozen=True)
class Found:
    """One picture of the changed folder.

    Attributes
    ----------
    old : ImageRecord or None
        The record whose pixels it has, or None for pixels that are new.
    scanned : Scanned or None
        What was read; None where the file is unchanged.
    before : ImageRecord or None
        The record that the picture had: of the same path, or of the path that it was moved from.
    """

    old: ImageRecord | None
    scanned: Scanned | None
    before: ImageRecord | None


@dataclass
class Changes:
    """Paths by what became of them.

    Attributes
    ----------
    added, changed, moved, removed : list of str
        `moved` names the new paths.
    skipped : list of Skipped
    described : list of str
        Pictures that were there, of which something else is said now.
    """

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    described: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Say whether there is anything to publish."""
        return self.of_pictures or bool(self.described)

    @property
    def of_pictures(self) -> bool:
        """Whether pictures or their places changed, not only what is said of them."""
        return bool(self.added or self.changed or self.moved or self.removed)

    def summary(self) -> str:
        """Return one line: "3 added, 0 changed, 1 moved, 2 removed, 1 skipped, 0 described"."""
        counts = {name: len(value) for name, value in vars(self).items()}
        return ", ".join(f"{count:,} {name}" for name, count in counts.items())

    def as_dict(self) -> dict[str, Any]:
        """Return all lists, for JSON."""
        return vars(self) | {"skipped": [one.as_dict() for one in self.skipped]}


class FolderChanges:
    """A folder compared with the catalogue of what was indexed before.

    Parameters
    ----------
    root : Path
    files : list of Path
        Relative to root, in the order of their bytes.
    catalogue : Catalogue
        Of the live snapshot.
    removed : set of (str, str)
        Path and SHA-256 of pictures that the user has taken out: they are passed over.
    suspects : set of Path, optional
        Files to read. Default: all but those whose size and time of change are as they were.
    """

    def __init__(
        self,
        root: Path,
        files: list[Path],
        catalogue: Catalogue,
        removed: Collection[tuple[str, str]] = (),
        suspects: set[Path] | None = None,
    ) -> None:
        self.changes = Changes()
        self.root, self.files = root, files
        self._catalogue, self._removed, self._suspects = catalogue, removed, suspects
        self._old = {record.raw_path or record.path: record for record in catalogue}
        names = {_name(relative) for relative in files}
        self._vanished = {
            record.path: record for name, record in self._old.items() if name not in names
        }

    def pictures(self, progress: Progress = QUIET) -> Iterator[Found]:
        """Yield every picture in the order of the paths, reading only files that may be new.

        `changes` is complete when the last one has been taken.
        """
        suspects = [relative for relative in self.files if self._is_suspect(relative)]
        results = scan(self.root, suspects, progress=progress)
        suspected = set(suspects)
        for relative in self.files:
            record = self._old.get(_name(relative))
            if relative not in suspected:
                yield Found(record, None, record)
                continue
            found = self._sorted(next(results), record)
            if found is not None:
                yield found
        self.changes.removed += self._vanished

    def _is_suspect(self, relative: Path) -> bool:
        if self._suspects is not None:
            return relative in self._suspects
        record = self._old.get(_name(relative))
        if record is None:
            return True
        try:
            status = (self.root / relative).stat()
        except OSError:  # reading it will say what is wrong
            return True
        return (status.st_size, status.st_mtime_ns) != (record.size_bytes, record.mtime_ns)

    def _sorted(self, one: Scanned | Skipped, record: ImageRecord | None) -> Found | None:
        if isinstance(one, Skipped):
            self.changes.skipped.append(one)
            if record is not None:
                self.changes.removed.append(record.path)
            return None
        if (readable_path(one.relative)[0], one.sha256) in self._removed:
            return None
        before = self._note_new_path(one) if record is None else record
        if record is not None and record.sha256 != one.sha256:
            self.changes.changed.append(record.path)
        return Found(self._of_same_pixels(one, record), one, before)

    def _note_new_path(self, one: Scanned) -> ImageRecord | None:
        """Note an added or moved picture; return the record that a moved one had."""
        path = readable_path(one.relative)[0]
        gone = (old for old, record in self._vanished.items() if record.sha256 == one.sha256)
        moved_from = next(gone, None)
        if moved_from is None:
            self.changes.added.append(path)
            return None
        self.changes.moved.append(path)
        return self._vanished.pop(moved_from)

    def _of_same_pixels(self, one: Scanned, record: ImageRecord | None) -> ImageRecord | None:
        if record is not None and record.pixel_digest == one.pixel_digest:
            return record
        row = self._catalogue.row_of_pixels(one.pixel_digest)
        return None if row is None else self._catalogue.image(row)


def catalogued(catalogue: Catalogue, leave_out: Collection[int] = ()) -> list[Path]:
    """Return the files of a catalogue but those of some rows, in the order of its rows."""
    here = Path()
    return [record.file_under(here) for record in catalogue if record.row not in leave_out]


def relative_to_root(path: Path, root: Path) -> Path:
    """Return a file's path under the image root, links in it left as they are.

    Raises
    ------
    NotInTheFolder
        If it is not there.
    """
    absolute = path.parent.resolve() / path.name
    if not absolute.is_relative_to(root):
        raise NotInTheFolder(f"{path} is not under {root}: copy it there, then add it again")
    return absolute.relative_to(root)


def _name(relative: Path) -> str | bytes:
    """Return what tells a path apart: its text, or its bytes where they are not UTF-8."""
    text, raw = readable_path(relative)
    return text if raw is None else raw
