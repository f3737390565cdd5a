"""One folder of pictures per group, the medoid marked; the originals are not changed.

OUT/
    group-000/
        medoid--lion.jpg         the picture that stands for the group
        cub.jpg
        IMG_1~3f2a9c1b5d7e.jpg   two of the group are called IMG_1.jpg
    group-001/
    .lookalike-partition.json    what is here: lets the same command go on after an interruption
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from index.artefacts.clusters import group_name
from index.durable import replace_text
from index.errors import DiskFull
from index.progress import QUIET, Progress
from indexer.errors import IndexerError

COPY, SYMLINK, HARDLINK = "copy", "symlink", "hardlink"
MODES = (COPY, SYMLINK, HARDLINK)
MEDOID_PREFIX = "medoid--"
LIST_FILE = ".lookalike-partition.json"
_HALF = ".partial"  # a file that is being copied, in OUT
_NAME_BYTES = 255  # the limit of ext4, XFS, APFS, NTFS
_SUFFIX_BYTES = 16
_HASH_DIGITS = 12
_MTIME_S = 2  # FAT keeps times to 2 s


class PartitionError(IndexerError):
    """The groups cannot be written into this folder."""


class FolderNotEmpty(PartitionError):
    """The folder contains other files, and `force` was not given."""


@dataclass(frozen=True)
class Member:
    """A picture and where it goes.

    Attributes
    ----------
    label : int
        Its group.
    row : int
    source : Path
        The original.
    relative : str
        Its path below the image root, which no other picture has.
    """

    label: int
    row: int
    source: Path
    relative: str


@dataclass
class PartitionResult:
    """Result of a partition.

    Attributes
    ----------
    n_written, n_kept, n_removed : int
        Pictures written, already there, and removed because an earlier partition of the same
        folder had put them elsewhere.
    missing : list of str
        Relative paths of pictures whose original is missing.
    """

    n_written: int = 0
    n_kept: int = 0
    n_removed: int = 0
    missing: list[str] = field(default_factory=list)


def partition(
    members: Iterable[Member],
    medoids: Iterable[int],
    out: Path,
    mode: str = COPY,
    *,
    force: bool = False,
    progress: Progress = QUIET,
) -> PartitionResult:
    """Put every picture into the folder of its group.

    Parameters
    ----------
    members : iterable of Member
        All pictures.
    medoids : iterable of int
        Rows to mark as medoids.
    out : Path
        Created if it does not exist.
    mode : str
        "copy" (with times and permissions), "symlink" (absolute) or "hardlink".
    force : bool
        Write into a folder that is not empty. Files that only an earlier partition needed are
        removed. Other files stay, unless a picture has the same path.
    progress : callable
        tqdm-compatible factory.

    Returns
    -------
    PartitionResult

    Raises
    ------
    FolderNotEmpty
        If the folder contains anything but an interrupted run of the same partition.
    PartitionError
        If the folder contains originals, or the file system does not support the mode.
    DiskFull
        If there is too little space for the copies.

    Notes
    -----
    A copy is written under another name and then renamed, so that a file under its own name is
    complete. After an interruption the same call continues: a copy with the original's size and
    time, or a link to it, is kept.
    """
    if mode not in MODES:
        raise PartitionError(f"unknown mode {mode!r}: use one of {', '.join(MODES)}")
    members = list(members)
    targets = dict(zip(_targets(members, set(medoids)), members, strict=True))
    _check_apart(members, out)
    plan = {"mode": mode, "files": sorted(targets)}
    before = _earlier_plan(out)
    if not force and not _is_empty(out) and before != plan:
        raise FolderNotEmpty(
            f"{out} is not empty. Choose another folder, or add --force to write into it."
        )
    result = PartitionResult()
    todo = _still_to_write(targets, out, mode, result)
    _check_space([member for member, _ in todo], out, mode)
    out.mkdir(parents=True, exist_ok=True)
    # Written first, so that an interrupted run can be recognised.
    replace_text(out / LIST_FILE, json.dumps(_both(before, plan)))
    result.n_removed = _remove_strays(set(before["files"]) - set(targets), out)
    with progress(total=len(todo), desc="partition", unit="image") as bar:
        for member, target in todo:
            _write(member, target, out / _HALF, mode)
            result.n_written += 1
            bar.update(1)
    replace_text(out / LIST_FILE, json.dumps(plan))
    return result


def _targets(members: Sequence[Member], medoids: set[int]) -> list[str]:
    """Return each picture's path below the folder; no two are equal, on any file system."""
    n_clusters = 1 + max((member.label for member in members), default=0)
    hashed: set[int] = set()
    while True:
        paths = [
            f"{group_name(member.label, n_clusters)}/"
            + _file_name(member, member.row in medoids, at in hashed)
            for at, member in enumerate(members)
        ]
        keys = [_as_any_file_system_sees_it(path) for path in paths]
        count = Counter(keys)
        doubles = {at for at, key in enumerate(keys) if count[key] > 1} - hashed
        if not doubles:
            return paths
        hashed |= doubles


def _as_any_file_system_sees_it(path: str) -> str:
    """Return a path that is equal for A.JPG and a.jpg, and for both ways to write an accent."""
    return unicodedata.normalize("NFC", path).casefold()


def _file_name(member: Member, is_medoid: bool, with_hash: bool) -> str:
    prefix = MEDOID_PREFIX if is_medoid else ""
    stem, suffix = os.path.splitext(os.path.basename(member.source))
    if len(os.fsencode(suffix)) > _SUFFIX_BYTES:
        stem, suffix = stem + suffix, ""  # no suffix, but a name with a dot in it
    if len(os.fsencode(prefix + stem + suffix)) > _NAME_BYTES:
        with_hash = True  # cut names may have become equal
    if with_hash:
        digest = hashlib.sha256(member.relative.encode("utf-8", "surrogateescape")).hexdigest()
        suffix = f"~{digest[:_HASH_DIGITS]}{suffix}"
    return prefix + _cut(stem, _NAME_BYTES - len(os.fsencode(prefix + suffix))) + suffix


def _cut(text: str, n_bytes: int) -> str:
    """Return the longest prefix of a text of at most `n_bytes` bytes."""
    while len(os.fsencode(text)) > n_bytes:
        text = text[:-1]
    return text


def _check_apart(members: Sequence[Member], out: Path) -> None:
    """Refuse to write where originals are: one could be overwritten."""
    folder = out.resolve()
    for parent in {member.source.parent for member in members}:
        if parent.resolve().is_relative_to(folder):
            raise PartitionError(
                f"{out} contains pictures of the collection. Choose another folder."
            )


def _is_empty(out: Path) -> bool:
    if out.exists() and not out.is_dir():
        raise PartitionError(f"{out} is a file. Choose a folder.")
    return not out.exists() or not any(out.iterdir())


def _earlier_plan(out: Path) -> dict[str, Any]:
    """Return the mode and the files of an earlier partition, from its list file."""
    try:
        found = json.loads((out / LIST_FILE).read_text(encoding="utf-8"))
        # Only names that this module makes: the list must not lead out of the folder.
        return {"mode": found["mode"], "files": [path for path in found["files"] if _is_ours(path)]}
    except (FileNotFoundError, NotADirectoryError):
        return {"mode": None, "files": []}
    except (ValueError, TypeError, KeyError) as error:
        raise PartitionError(
            f"{out / LIST_FILE} cannot be read ({error}). Choose another folder."
        ) from error


def _both(before: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
    return {"mode": plan["mode"], "files": sorted({*before["files"], *plan["files"]})}


def _is_ours(path: Any) -> bool:
    parts = path.split("/") if isinstance(path, str) else []
    return len(parts) == 2 and parts[0].startswith("group-") and parts[1] not in ("", ".", "..")


def _still_to_write(
    targets: dict[str, Member], out: Path, mode: str, result: PartitionResult
) -> list[tuple[Member, Path]]:
    """Count pictures that are present or missing; return the others."""
    todo = []
    for path, member in targets.items():
        if not member.source.is_file():
            result.missing.append(member.relative)
        elif _is_done(member.source, out / path, mode):
            result.n_kept += 1
        else:
            todo.append((member, out / path))
    return todo


def _is_done(source: Path, target: Path, mode: str) -> bool:
    if mode == SYMLINK:
        return target.is_symlink() and os.readlink(target) == str(_original(source))
    if target.is_symlink() or not target.is_file():
        return False
    if mode == HARDLINK:
        return os.path.samefile(source, target)
    there, original = target.stat(), source.stat()
    same_time = abs(there.st_mtime - original.st_mtime) < _MTIME_S
    is_link = (there.st_dev, there.st_ino) == (original.st_dev, original.st_ino)
    return there.st_size == original.st_size and same_time and not is_link


def _original(source: Path) -> Path:
    return Path(os.path.abspath(source))


def _check_space(members: Sequence[Member], out: Path, mode: str) -> None:
    if mode != COPY:
        return
    needed = sum(member.source.stat().st_size for member in members)
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise DiskFull(
            f"The copies need {needed / 1e6:.0f} MB, but {existing} has {free / 1e6:.0f} MB free. "
            "Use --mode symlink or --mode hardlink, or another disk."
        )


def _remove_strays(paths: Iterable[str], out: Path) -> int:
    """Remove files of an earlier partition, and group folders that have become empty."""
    n_removed = 0
    for path in sorted(paths):
        target = out / path
        if target.parent.is_symlink() or not (target.is_symlink() or target.is_file()):
            continue
        target.unlink()
        n_removed += 1
        if not any(target.parent.iterdir()):
            target.parent.rmdir()
    return n_removed


def _write(member: Member, target: Path, half: Path, mode: str) -> None:
    """Make one file or link in a single step."""
    try:
        half.unlink(missing_ok=True)  # of an interrupted run
        _make_folder(target.parent)
        if mode == COPY:
            shutil.copy2(member.source, half)
        elif mode == SYMLINK:
            half.symlink_to(_original(member.source))
        else:
            os.link(os.path.realpath(member.source), half)
        half.replace(target)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise PartitionError(_reason(member, target, mode, error)) from error


def _make_folder(folder: Path) -> None:
    if folder.is_symlink():  # it may lead to the originals
        raise PartitionError(f"{folder} is a link to another folder. Remove the link.")
    folder.mkdir(exist_ok=True)


def _reason(member: Member, target: Path, mode: str, error: OSError) -> str:
    if mode == HARDLINK and error.errno == errno.EXDEV:
        return (
            f"{member.source} and {target.parent} are on different file systems, so hard links are "
            "impossible. Use --mode copy or --mode symlink."
        )
    cure = "Use --mode copy." if mode != COPY else "Fix this, and run the same command again."
    return f"{member.relative} could not be put into {target.parent}: {error.strerror}. {cure}"
