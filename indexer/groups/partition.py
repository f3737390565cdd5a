"""Partition: one folder of pictures for each group. The originals are not changed.

OUT/
    group-000/
        medoid--lion.jpg         the medoid of the group
        cub.jpg
        IMG_1~3f2a9c1b5d7e.jpg   the group has two pictures with the name IMG_1.jpg
    group-001/
    .lookalike-partition.json    the plan, so that the same command resumes after an interruption
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
from indexer.output.written import PARTITION_LIST

COPY, SYMLINK, HARDLINK = "copy", "symlink", "hardlink"
MODES = (COPY, SYMLINK, HARDLINK)
MEDOID_PREFIX = "medoid--"
LIST_FILE = PARTITION_LIST
_PARTIAL_FILE = ".partial"  # a file that is being copied, in OUT
_MAX_NAME_BYTES = 255  # limit of ext4, XFS, APFS and NTFS
_MAX_SUFFIX_BYTES = 16
_HASH_DIGITS = 12
_MTIME_TOLERANCE_S = 2  # resolution of times on FAT


class PartitionError(IndexerError):
    """The groups cannot be written to this folder."""


class FolderNotEmpty(PartitionError):
    """The folder contains other files, and `force` was not given."""


@dataclass(frozen=True)
class Member:
    """A picture and its group.

    Attributes
    ----------
    label : int
        Label of the group.
    row : int
    source : Path
        Original file.
    relative : str
        Unique path of the picture below the image root.
    """

    label: int
    row: int
    source: Path
    relative: str


@dataclass
class PartitionResult:
    """The result of a partition.

    Attributes
    ----------
    n_written : int
        Pictures written.
    n_kept : int
        Pictures that were already in place.
    n_removed : int
        Files of an earlier partition of the folder that were removed.
    missing : list of str
        Relative paths of pictures whose original does not exist any more.
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
    """Write every picture to the folder of its group.

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
        Write to a folder that is not empty. Files of an earlier partition that are not part of this
        one are removed. Other files are kept, unless a picture has the same path.
    progress : callable
        tqdm-compatible factory.

    Returns
    -------
    PartitionResult

    Raises
    ------
    FolderNotEmpty
        If the folder contains anything except an interrupted or complete run of this partition.
    PartitionError
        If the folder contains originals, or the file system does not support the mode.
    DiskFull
        If there is too little free disk space for the copies.

    Notes
    -----
    A copy is written under a temporary name and then renamed, so a file under its final name is
    complete. After an interruption, the same call resumes: it keeps copies with the size and time
    of the original, and links to the original.
    """
    if mode not in MODES:
        raise PartitionError(f"unknown mode {mode!r}: use one of {', '.join(MODES)}")
    members = list(members)
    targets = dict(zip(_targets(members, set(medoids)), members, strict=True))
    _check_apart(members, out)
    plan = {"mode": mode, "files": sorted(targets)}
    before = _stored_plan(out)
    if not force and not _is_empty(out) and before != plan:
        raise FolderNotEmpty(
            f"{out} is not empty. Choose another folder, or add --force to write into it."
        )
    result = PartitionResult()
    todo = _still_to_write(targets, out, mode, result)
    _check_free_space([member for member, _ in todo], out, mode)
    out.mkdir(parents=True, exist_ok=True)
    # The plan is written first, so that the next run recognises an interrupted one.
    replace_text(out / LIST_FILE, json.dumps(_combined(before, plan)))
    result.n_removed = _remove_stale(set(before["files"]) - set(targets), out)
    with progress(total=len(todo), desc="partition", unit="image") as bar:
        for member, target in todo:
            _write(member, target, out / _PARTIAL_FILE, mode)
            result.n_written += 1
            bar.update(1)
    replace_text(out / LIST_FILE, json.dumps(plan))
    return result


def _targets(members: Sequence[Member], medoids: set[int]) -> list[str]:
    """Return the path of each picture below the folder. All differ on any file system."""
    n_clusters = 1 + max((member.label for member in members), default=0)
    hashed: set[int] = set()
    while True:
        paths = [
            f"{group_name(member.label, n_clusters)}/"
            + _file_name(member, member.row in medoids, i in hashed)
            for i, member in enumerate(members)
        ]
        keys = [_normalised(path) for path in paths]
        count = Counter(keys)
        duplicates = {i for i, key in enumerate(keys) if count[key] > 1} - hashed
        if not duplicates:
            return paths
        hashed |= duplicates


def _normalised(path: str) -> str:
    """Return a key that is equal for paths that a file system may treat as equal.

    Some file systems ignore case, or the difference between composed and decomposed accents.
    """
    return unicodedata.normalize("NFC", path).casefold()


def _file_name(member: Member, is_medoid: bool, with_hash: bool) -> str:
    prefix = MEDOID_PREFIX if is_medoid else ""
    stem, suffix = os.path.splitext(os.path.basename(member.source))
    if len(os.fsencode(suffix)) > _MAX_SUFFIX_BYTES:
        stem, suffix = stem + suffix, ""  # a name with a dot, not a file type
    if len(os.fsencode(prefix + stem + suffix)) > _MAX_NAME_BYTES:
        with_hash = True  # shortened names may be equal
    if with_hash:
        digest = hashlib.sha256(member.relative.encode("utf-8", "surrogateescape")).hexdigest()
        suffix = f"~{digest[:_HASH_DIGITS]}{suffix}"
    return prefix + _cut(stem, _MAX_NAME_BYTES - len(os.fsencode(prefix + suffix))) + suffix


def _cut(text: str, n_bytes: int) -> str:
    """Return the longest prefix of a text that has at most `n_bytes` bytes."""
    while len(os.fsencode(text)) > n_bytes:
        text = text[:-1]
    return text


def _check_apart(members: Sequence[Member], out: Path) -> None:
    """Raise PartitionError if the folder contains originals, which could be overwritten."""
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


def _stored_plan(out: Path) -> dict[str, Any]:
    """Return the stored mode and files of an earlier partition of the folder."""
    try:
        found = json.loads((out / LIST_FILE).read_text(encoding="utf-8"))
        # Ignore all other paths, so that a manipulated list cannot name files outside the folder.
        files = [path for path in found["files"] if _is_target(path)]
        return {"mode": found["mode"], "files": files}
    except (FileNotFoundError, NotADirectoryError):
        return {"mode": None, "files": []}
    except (ValueError, TypeError, KeyError) as error:
        raise PartitionError(
            f"{out / LIST_FILE} cannot be read ({error}). Choose another folder."
        ) from error


def _combined(before: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
    return {"mode": plan["mode"], "files": sorted({*before["files"], *plan["files"]})}


def _is_target(path: Any) -> bool:
    """Return whether a path has the form of those that `_targets` returns."""
    parts = path.split("/") if isinstance(path, str) else []
    return len(parts) == 2 and parts[0].startswith("group-") and parts[1] not in ("", ".", "..")


def _still_to_write(
    targets: dict[str, Member], out: Path, mode: str, result: PartitionResult
) -> list[tuple[Member, Path]]:
    """Count pictures that are in place or missing in `result`, and return the others."""
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
    copy, original = target.stat(), source.stat()
    same_time = abs(copy.st_mtime - original.st_mtime) < _MTIME_TOLERANCE_S
    is_link = (copy.st_dev, copy.st_ino) == (original.st_dev, original.st_ino)
    return copy.st_size == original.st_size and same_time and not is_link


def _original(source: Path) -> Path:
    return Path(os.path.abspath(source))


def _check_free_space(members: Sequence[Member], out: Path, mode: str) -> None:
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


def _remove_stale(paths: Iterable[str], out: Path) -> int:
    """Remove files of an earlier partition, and group folders that are then empty."""
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


def _write(member: Member, target: Path, partial: Path, mode: str) -> None:
    """Create one file or link under a temporary name, and rename it."""
    try:
        partial.unlink(missing_ok=True)  # left by an interrupted run
        _make_folder(target.parent)
        if mode == COPY:
            shutil.copy2(member.source, partial)
        elif mode == SYMLINK:
            partial.symlink_to(_original(member.source))
        else:
            os.link(os.path.realpath(member.source), partial)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise PartitionError(_message(member, target, mode, error)) from error


def _make_folder(folder: Path) -> None:
    if folder.is_symlink():  # the target may contain originals
        raise PartitionError(f"{folder} is a link to another folder. Remove the link.")
    folder.mkdir(exist_ok=True)


def _message(member: Member, target: Path, mode: str, error: OSError) -> str:
    if mode == HARDLINK and error.errno == errno.EXDEV:
        return (
            f"{member.source} and {target.parent} are on different file systems, so hard links are "
            "impossible. Use --mode copy or --mode symlink."
        )
    remedy = "Use --mode copy." if mode != COPY else "Fix this, and run the same command again."
    return f"{member.relative} cannot be written to {target.parent}: {error.strerror}. {remedy}"
