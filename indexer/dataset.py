"""From a folder to pictures: walk, hash, decode. A file that cannot be read is skipped.

Files are read and decoded by several threads (Pillow works outside the interpreter's lock), a
bounded number ahead, and handed on in the order of their paths.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.catalogue import readable_path
from index.progress import QUIET, Progress
from indexer.errors import NotAFolder
from models.errors import ImageTooLarge, PictureError, UnknownFormat
from models.preprocess import SIDE_PX, Limits, decode, pixel_digest, thumbnail, to_pixels
from models.runtime.threads import cpu_count, ordered_map

# The folder's owner chose these files, so the bounds are wider than those for strangers' uploads.
COLLECTION_LIMITS = Limits(max_bytes=512 << 20, max_pixels=200_000_000)
DEFAULT_CACHE_BYTES = 4 << 30
_PICTURE_BYTES = SIDE_PX * SIDE_PX * 3
_AHEAD = 4  # files for each core that are being read or wait to be taken

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Skipped:
    """A file that is not in the collection, and why.

    Attributes
    ----------
    path : str
        Relative to the image root.
    code : str
        "unsupported_type", "undecodable", "too_large", "unreadable" or "changed".
    reason : str
        A sentence for people.
    """

    path: str
    code: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """Return the three fields, as skipped.json lists them."""
        return asdict(self)


@dataclass(frozen=True)
class Scanned:
    """A picture that was read.

    Attributes
    ----------
    relative : Path
        Under the image root.
    sha256, pixel_digest : str
        Hex SHA-256 of the file and of `pixels`.
    pixels : ndarray of shape (256, 256, 3), uint8
    thumbnail : bytes
        JPEG, at most 256 px a side.
    """

    relative: Path
    sha256: str
    pixel_digest: str
    size_bytes: int
    mtime_ns: int
    width: int
    height: int
    format: str
    pixels: Pixels
    thumbnail: bytes


def walk(root: Path, leave_out: Path | None = None) -> list[Path]:
    """Return every file under a folder, relative to it, in the order of their paths' bytes.

    Hidden files and folders (a name that starts with ".") are left out. Links are followed; a
    folder that is reached a second time, as in a loop of links, is not entered again. Neither is
    `leave_out`, which is meant for a data folder inside the picture folder.

    Raises
    ------
    NotAFolder
        If root does not exist or is not a folder.
    """
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise NotAFolder(f"{root} {what}. Name the folder that holds the pictures.")
    seen: set[tuple[int, int]] = set()
    if leave_out is not None and leave_out.is_dir() and not leave_out.samefile(root):
        _first_visit(leave_out, seen)
    files: list[Path] = []
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = sorted(n for n in subfolders if not n.startswith("."))
        if _first_visit(folder, seen):
            files += [Path(folder, n).relative_to(root) for n in names if not n.startswith(".")]
        else:
            subfolders.clear()
    return sorted(files, key=path_order)


def path_order(relative: Path) -> bytes:
    """Return what files are ordered by: the bytes of their paths."""
    return os.fsencode(relative.as_posix())


def _first_visit(folder: str | Path, seen: set[tuple[int, int]]) -> bool:
    status = os.stat(folder)
    key = (status.st_dev, status.st_ino)
    if key in seen:
        return False
    seen.add(key)
    return True


def scan(
    root: Path,
    files: Sequence[Path],
    limits: Limits = COLLECTION_LIMITS,
    progress: Progress = QUIET,
) -> Iterator[Scanned | Skipped]:
    """Read and decode files, several at once, and give the results in the order asked for.

    Parameters
    ----------
    root : Path
    files : sequence of Path
        Relative to root.
    limits : Limits
    progress : callable
        tqdm-compatible factory.

    Yields
    ------
    Scanned or Skipped
        One for each file. Memory: a few pictures for each core.
    """
    scanned = ordered_map(
        lambda relative: scan_file(root, relative, limits), files, n_ahead=cpu_count() * _AHEAD
    )
    with closing(scanned), progress(total=len(files), desc="read", unit="file") as bar:
        for one in scanned:
            yield one
            bar.update(1)


def scan_file(root: Path, relative: Path, limits: Limits = COLLECTION_LIMITS) -> Scanned | Skipped:
    """Read and decode one file; return Skipped, and raise nothing, if it cannot be used."""
    try:
        return _scan_file(root, relative, limits)
    except PictureError as error:
        return Skipped(readable_path(relative)[0], error.code, str(error))
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        return Skipped(readable_path(relative)[0], "unreadable", reason)


def _scan_file(root: Path, relative: Path, limits: Limits) -> Scanned:
    status, data = read_file(root / relative, limits)
    image = decode(data, limits)
    pixels = to_pixels(image)
    return Scanned(
        relative=relative,
        sha256=hashlib.sha256(data).hexdigest(),
        pixel_digest=pixel_digest(pixels),
        size_bytes=len(data),
        mtime_ns=status.st_mtime_ns,
        width=image.width,
        height=image.height,
        format=image.format or "",
        pixels=pixels,
        thumbnail=thumbnail(image),
    )


def read_file(path: Path, limits: Limits) -> tuple[os.stat_result, bytes]:
    """Read a regular file of limited size; never block on a pipe or a device."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnknownFormat("a pipe, socket or device, not a file")
        if status.st_size > limits.max_bytes:
            raise ImageTooLarge(
                f"the file has {status.st_size:,} bytes; the limit is {limits.max_bytes:,}"
            )
        return status, file.read(limits.max_bytes)


class PixelSource:
    """The pixels of pictures by row, cached on disk up to a limit and decoded again beyond it.

    The cache is a file without a name, so it is gone however the process ends. It lives in the
    page cache while memory allows, and on disk otherwise.

    Attributes
    ----------
    lost : dict of int to Skipped
        Rows whose file vanished or changed after it was scanned. They are read as grey pictures,
        and the caller has to drop them.
    """

    def __init__(self, root: Path, folder: Path, n_most: int, cache_bytes: int) -> None:
        self._root = root
        self._n_cached = min(n_most, cache_bytes // _PICTURE_BYTES)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by close()
        self._file.truncate(self._n_cached * _PICTURE_BYTES)
        self._digests: list[str] = []
        self._files: list[Path] = []
        self.lost: dict[int, Skipped] = {}

    def __len__(self) -> int:
        return len(self._files)

    def add(self, scanned: Scanned) -> None:
        """Append a picture as the next row."""
        row = len(self)
        if row < self._n_cached:
            os.pwrite(self._file.fileno(), scanned.pixels.tobytes(), row * _PICTURE_BYTES)
        self._digests.append(scanned.pixel_digest)
        self._files.append(scanned.relative)

    @property
    def digests(self) -> list[str]:
        """Hex SHA-256 of each row's pixels."""
        return self._digests

    def read(self, rows: NDArray[np.int64]) -> Pixels:
        """Return some rows' pixels, (len(rows), 256, 256, 3) uint8. Safe for several threads."""
        images = np.empty((len(rows), SIDE_PX, SIDE_PX, 3), np.uint8)
        for image, row in zip(images, rows, strict=True):
            image[:] = self._cached(int(row)) if row < self._n_cached else self._anew(int(row))
        return images

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()

    def __enter__(self) -> PixelSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cached(self, row: int) -> Pixels:
        data = os.pread(self._file.fileno(), _PICTURE_BYTES, row * _PICTURE_BYTES)
        return np.frombuffer(data, np.uint8).reshape(SIDE_PX, SIDE_PX, 3)

    def _anew(self, row: int) -> Pixels:
        found = scan_file(self._root, self._files[row])
        if isinstance(found, Scanned) and found.pixel_digest == self._digests[row]:
            return found.pixels
        path = readable_path(self._files[row])[0]
        self.lost[row] = Skipped(path, "changed", "vanished or changed while it was being indexed")
        return np.full((SIDE_PX, SIDE_PX, 3), 128, np.uint8)
