"""Walk of the picture folder: find the candidates for indexing.

A file is left out if a rule excludes it (see `indexer.folder.file_rules`), or if Lookalike
wrote it. A folder that cannot be read is reported, and never treated as empty.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from index.catalogue import readable_path
from index.layout import CURRENT_FILE, SNAPSHOTS_FOLDER
from indexer.errors import NotAFolder
from indexer.folder.file_rules import FileRules
from indexer.output.written import OUTPUT_LISTS, written_files

DATA_FOLDER = "data folders of Lookalike"
OWN_OUTPUT = "files that Lookalike wrote"


@dataclass(frozen=True)
class Unreadable:
    """A folder that cannot be read.

    Attributes
    ----------
    relative : Path
        Path below the image root.
    reason : str
        What is wrong, for the user.
    """

    relative: Path
    reason: str

    def __str__(self) -> str:
        return f"{readable_path(self.relative)[0]}: {self.reason}"


@dataclass
class Walk:
    """The files of a folder.

    Attributes
    ----------
    files : list of Path
        Candidates, relative to the root, sorted by `path_order`.
    left_out : Counter
        Number of files and folders that were left out, by rule.
    unreadable : list of Unreadable
        Folders that could not be read.
    mounts : list of str
        Relative paths of the folders in which another file system is mounted.
    broken_links : list of Path
        Links without a target, which are also in `files`.
    """

    files: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    unreadable: list[Unreadable] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)
    broken_links: list[Path] = field(default_factory=list)

    def unreachable(self, catalogued: Iterable[Path]) -> list[Path]:
        """Return the earlier indexed files that are below an unreadable folder.

        A link without a target counts as an unreadable folder if an indexed file was below it. It
        is then added to `unreadable`.
        """
        unread = {one.relative for one in self.unreadable}
        broken = set(self.broken_links)
        unreachable = []
        for relative in catalogued if unread or broken else ():
            parents = set(relative.parents)
            if parents & unread:
                unreachable.append(relative)
            elif links := parents & broken:
                unreachable.append(relative)
                unread |= links
                self.unreadable += [Unreadable(one, "the link has no target") for one in links]
        return unreachable


def walk(
    root: Path,
    exclude: Path | None = None,
    rules: FileRules | None = None,
    mounts: Collection[str] = (),
) -> Walk:
    """Return the files of a folder and its subfolders.

    Links are followed, but each folder is entered only once, so a loop of links ends.

    Parameters
    ----------
    root : Path
    exclude : Path, optional
        Folder that is not entered, such as a data folder inside the picture folder.
    rules : FileRules, optional
        Default: the built-in rules, without patterns of the user.
    mounts : collection of str
        Relative paths of folders in which a file system was mounted earlier. If such a folder is
        now empty and nothing is mounted there, it counts as unreadable.

    Returns
    -------
    Walk

    Raises
    ------
    NotAFolder
        If root does not exist, is not a folder, or cannot be read.
    """
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise NotAFolder(f"{root} {what}. Name the folder that holds the pictures.")
    return _Walker(root, rules or FileRules(), set(mounts)).run(exclude)


def path_order(relative: Path) -> bytes:
    """Return the sort key of a file: the bytes of its path."""
    return os.fsencode(relative.as_posix())


def rule_for(root: Path, relative: Path, rules: FileRules) -> str | None:
    """Return the rule by which `walk` leaves a single file out, or None."""
    rule = rules.excluding(relative)
    if rule is not None:
        return rule
    for parent in list(relative.parents)[:-1]:
        if (root / parent / CURRENT_FILE).exists() and (root / parent / SNAPSHOTS_FOLDER).is_dir():
            return DATA_FOLDER
    is_written = any(
        relative.relative_to(parent) in written_files(root / parent) for parent in relative.parents
    )
    return OWN_OUTPUT if is_written else None


class _Walker:
    """One walk. `os.walk` would hide the errors of single entries."""

    def __init__(self, root: Path, rules: FileRules, mounts: set[str]) -> None:
        self._root, self._rules, self._mounts = root, rules, mounts
        self._found = Walk()
        self._seen: set[tuple[int, int]] = set()
        self._written: set[Path] = set()

    def run(self, exclude: Path | None) -> Walk:
        if exclude is not None and exclude.is_dir() and not exclude.samefile(self._root):
            self._is_first_visit(exclude.stat())
        waiting: list[tuple[Path, int | None]] = [(Path(), None)]
        while waiting:
            relative, parent_device = waiting.pop()
            waiting += self._enter(relative, parent_device)
        self._found.files.sort(key=path_order)
        self._found.unreadable.sort(key=lambda one: path_order(one.relative))
        return self._found

    def _enter(self, relative: Path, parent_device: int | None) -> list[tuple[Path, int | None]]:
        """Add the files of a folder. Return its subfolders in reverse order."""
        folder = self._root / relative
        try:
            status = folder.stat()
            if not self._is_first_visit(status):
                return []
            with os.scandir(folder) as found:
                entries = list(found)
            self._check_mount(relative, status.st_dev, parent_device, is_empty=not entries)
        except OSError as error:
            if relative == Path():
                raise NotAFolder(f"{folder} cannot be read: {error.strerror}.") from error
            self._found.unreadable.append(Unreadable(relative, error.strerror or str(error)))
            return []
        subfolders = sorted(self._add_files(relative, entries), key=path_order, reverse=True)
        return [(one, status.st_dev) for one in subfolders]

    def _add_files(self, relative: Path, entries: list[os.DirEntry[str]]) -> Iterator[Path]:
        """Add the files among the entries of a folder, and yield the subfolders."""
        names = {entry.name for entry in entries}
        if {CURRENT_FILE, SNAPSHOTS_FOLDER} <= names and relative != Path():
            self._found.left_out[DATA_FOLDER] += 1
            return
        self._add_written(relative, names)
        for entry in entries:
            one = relative / entry.name
            is_folder = self._is_folder(entry, one)
            rule = OWN_OUTPUT if one in self._written else self._rules.excluding(one, is_folder)
            if rule is not None:
                self._found.left_out[rule] += 1
            elif is_folder:
                yield one
            else:
                self._found.files.append(one)

    def _is_folder(self, entry: os.DirEntry[str], relative: Path) -> bool:
        """Return whether an entry is a folder. A link without a target may have been one."""
        try:
            if entry.is_symlink() and not os.path.exists(entry):
                self._found.broken_links.append(relative)
            return entry.is_dir()
        except OSError:  # such as too many levels of links; reading the file reports the error
            return False

    def _add_written(self, relative: Path, names: set[str]) -> None:
        """Add the files of a folder that Lookalike wrote to `_written`."""
        folder = self._root / relative
        if names & set(OUTPUT_LISTS):
            self._written |= {relative / one for one in written_files(folder)}
        if folder.is_symlink():  # the target may be a subfolder of a folder with a list
            target = folder.resolve()
            for one in written_files(target.parent):
                if one.parts[0] == target.name:
                    self._written.add(relative.joinpath(*one.parts[1:]))

    def _check_mount(
        self, relative: Path, device: int, parent_device: int | None, is_empty: bool
    ) -> None:
        """Add a mounted file system to `mounts`. Raise OSError if an earlier one is missing."""
        if parent_device not in (None, device):
            self._found.mounts.append(os.fspath(relative))
        elif is_empty and os.fspath(relative) in self._mounts:
            raise OSError(errno.ENODEV, "its disk is not mounted")

    def _is_first_visit(self, status: os.stat_result) -> bool:
        """Return whether a folder is visited for the first time."""
        key = (status.st_dev, status.st_ino)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True
