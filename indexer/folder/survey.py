"""Survey of the picture folder before a run: files to index, excluded and unreadable ones."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from index.build_settings import FileSettings
from index.catalogue import Catalogue
from index.snapshot import Snapshot
from indexer.errors import FileExcluded, FolderUnreadable, PicturesSkipped
from indexer.folder.file_rules import FileRules
from indexer.folder.other_files import OtherFiles
from indexer.folder.walk import Walk, path_order, rule_for, walk

KINDS_SHOWN = 10


@dataclass(frozen=True)
class Survey:
    """The contents of the picture folder.

    Attributes
    ----------
    walk : Walk
    others : OtherFiles
        Files that are not pictures.
    unreachable : list of Path
        Files of the old snapshot below folders that cannot be read. They are kept without reading.
    settings : FileSettings
        Settings for the manifest of the next snapshot.
    """

    walk: Walk
    others: OtherFiles
    unreachable: list[Path]
    settings: FileSettings

    @property
    def files(self) -> list[Path]:
        """The files to index, sorted by `path_order`."""
        return sorted({*self.walk.files, *self.unreachable}, key=path_order)

    def report(self, say: Callable[[str], None]) -> None:
        """Report excluded files, files that are not pictures, and unreadable folders."""
        left_out = self.walk.left_out
        if left_out:
            counts = ", ".join(f"{n:,} {rule}" for rule, n in sorted(left_out.items()))
            say(f"left out: {counts}")
        kinds = self.others.by_kind()
        if kinds:
            by_count = sorted(kinds.items(), key=lambda one: (-one[1], one[0]))[:KINDS_SHOWN]
            shown = ", ".join(f"{n:,} {kind}" for kind, n in by_count)
            more = f" and {len(kinds) - KINDS_SHOWN} more kinds" if len(kinds) > KINDS_SHOWN else ""
            say(f"not pictures: {shown}{more}")
        for one in self.walk.unreadable:
            n_kept = sum(one.relative in file.parents for file in self.unreachable)
            kept = f"; its {n_kept:,} pictures stay in the collection" if n_kept else ""
            say(f"cannot read {one}{kept}")

    def check_strict(self) -> None:
        """Raise PicturesSkipped if a folder cannot be read."""
        unreadable = self.walk.unreadable
        if unreadable:
            noun = "folder" if len(unreadable) == 1 else "folders"
            raise PicturesSkipped(
                f"{len(unreadable):,} {noun} cannot be read. The first is {unreadable[0]}. Make "
                "it readable, or omit --strict."
            )

    def check_build(self) -> None:
        """Raise FolderUnreadable if a build would lose pictures."""
        if self.unreachable:
            raise FolderUnreadable(
                f"{len(self.unreachable):,} pictures of the collection are in folders that cannot "
                f"be read. The first is {self.walk.unreadable[0]}. Make the folders readable, then "
                "build again."
            )


def survey(
    root: Path,
    data: Path,
    old: Snapshot | None,
    include: tuple[str, ...] | None = None,
    exclude: tuple[str, ...] | None = None,
) -> Survey:
    """Walk the picture folder with the rules of a collection.

    Parameters
    ----------
    root : Path
        Image root.
    data : Path
        Data folder, which is not entered.
    old : Snapshot or None
        Snapshot of the same folder. Its patterns apply unless new ones are given.
    include, exclude : tuple of str, optional
        New patterns of `--include` and `--exclude`.

    Returns
    -------
    Survey

    Raises
    ------
    NotAFolder
        If root cannot be read as a folder.
    BadPattern
        If a pattern is invalid.
    """
    before = FileSettings() if old is None else old.manifest.settings.files
    rules = _rules(before, include, exclude)
    found = walk(root, data, rules, before.mounts)
    indexed = [] if old is None else catalogued(old.catalogue)
    unreachable = found.unreachable(indexed)
    others = OtherFiles(root.resolve(), data)
    found.files = others.without(found.files, set(indexed))
    unread = {one.relative.as_posix() for one in found.unreadable}
    mounts = {*found.mounts, *(one for one in before.mounts if one in unread)}
    settings = FileSettings(list(rules.include), list(rules.exclude), sorted(mounts))
    return Survey(found, others, unreachable, settings)


def check_included(root: Path, relative: Path, settings: FileSettings) -> None:
    """Raise FileExcluded if a re-index would exclude a file."""
    rule = rule_for(root, relative, _rules(settings, None, None))
    if rule is not None:
        raise FileExcluded(
            f"{relative} is left out of the collection ({rule}), so `reindex` would remove it "
            "again. Move or rename it, or run `reindex` with an --include pattern for it."
        )


def _rules(
    before: FileSettings, include: tuple[str, ...] | None, exclude: tuple[str, ...] | None
) -> FileRules:
    return FileRules(
        tuple(before.include) if include is None else include,
        tuple(before.exclude) if exclude is None else exclude,
    )


def catalogued(catalogue: Catalogue, exclude: Collection[int] = ()) -> list[Path]:
    """Return the relative paths of a catalogue in the order of its rows, without some rows."""
    return [record.file_under(Path()) for record in catalogue if record.row not in exclude]
