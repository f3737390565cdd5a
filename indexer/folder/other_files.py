"""Files of the picture folder that are not pictures, such as videos, sidecar files and notes.

A file with the suffix of an image format counts as a picture: if it cannot be read, it is skipped
with a reason. The first bytes of any other file decide. Files that are not pictures are listed in
the data folder, so that later runs do not open them again until they change.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from index.durable import replace_text
from index.layout import OTHER_FILES_FILE
from indexer.folder.reading import HEAD_BYTES
from models.errors import UnknownFormat, UnsupportedPicture
from models.image_files.formats import format_of

# Suffixes of supported formats, then of formats that users expect to be supported.
IMAGE_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".gif", ".bmp",
        ".dib", ".tif", ".tiff", ".heic", ".heif", ".hif", ".mpo",
        ".jxl", ".jp2", ".j2k", ".psd", ".svg", ".ico", ".tga", ".pnm", ".ppm", ".exr", ".hdr",
        ".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".sr2", ".raf", ".orf", ".rw2",
        ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".erf", ".kdc", ".mrw", ".rwl",
    }
)  # fmt: skip

Stamp = tuple[int, int, int, int]  # size in bytes, mtime and ctime in ns, inode


class OtherFiles:
    """The files of one folder that are known not to be pictures.

    Parameters
    ----------
    root : Path
    data : Path
        Data folder, which stores the list between runs.

    Attributes
    ----------
    n_opened : int
        Number of files whose first bytes were read.
    """

    def __init__(self, root: Path, data: Path) -> None:
        self._root, self._file = root, data / OTHER_FILES_FILE
        self._before = _load(self._file, root)
        self._found: dict[str, Stamp] = {}
        self.n_opened = 0

    def without(self, files: Iterable[Path], known: Collection[Path] = ()) -> list[Path]:
        """Return the files that are pictures or have the suffix of one; list the others.

        Parameters
        ----------
        files : iterable of Path
            Relative to the root.
        known : collection of Path
            Files that were pictures when they were indexed. They are not opened.
        """
        return [one for one in files if one in known or self._may_be_picture(one)]

    def by_kind(self) -> Counter[str]:
        """Return the number of files that are not pictures, by suffix."""
        return Counter(Path(one).suffix.lower() or "without suffix" for one in self._found)

    def save(self) -> None:
        """Store the list for the next run."""
        if self._found != self._before:
            content = {"root": os.fspath(self._root), "files": self._found}
            replace_text(self._file, json.dumps(content))

    def _may_be_picture(self, relative: Path) -> bool:
        if relative.suffix.lower() in IMAGE_SUFFIXES:
            return True
        try:
            stamp = _stamp(os.stat(self._root / relative))
            is_picture = self._before.get(str(relative)) != stamp and self._is_picture(relative)
        except OSError:  # reading the file as a picture reports the error
            return True
        if not is_picture:
            self._found[str(relative)] = stamp
        return is_picture

    def _is_picture(self, relative: Path) -> bool:
        self.n_opened += 1
        file = os.open(self._root / relative, os.O_RDONLY | os.O_NONBLOCK)
        try:
            format_of(os.pread(file, HEAD_BYTES, 0))
        except UnsupportedPicture:  # reading it gives the reason
            return True
        except UnknownFormat:
            return False
        finally:
            os.close(file)
        return True


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _load(file: Path, root: Path) -> dict[str, Stamp]:
    """Return the list of an earlier run on the same root; empty if it cannot be read."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["root"] != os.fspath(root):
            return {}
        return {path: tuple(stamp) for path, stamp in content["files"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # only a cache: the files are opened again
