"""Pictures of a folder: read, hash and decode. Files that cannot be used are skipped.

Several threads read and decode files, because Pillow releases the interpreter lock. They work a
limited number of files ahead. The results come in the order of the paths.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.arrays import Rows
from index.catalogue import readable_path
from index.progress import QUIET, Progress
from indexer.folder.reading import OpenPicture, open_picture
from models.errors import PictureError
from models.preprocess import (
    COLLECTION_LIMITS,
    SIDE_PX,
    Limits,
    full_digest,
    pixel_digest,
    single_colour,
    thumbnail,
    to_pixels,
)
from models.runtime.machine_limits import cores
from models.runtime.threads import ordered_map

UNREADABLE, CHANGED = "unreadable", "changed"  # codes of skipped files
DEFAULT_CACHE_BYTES = 4 << 30
_PICTURE_BYTES = SIDE_PX * SIDE_PX * 3
_READ_AHEAD = 4  # files per core that are read before they are needed

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
        What is wrong, for the user.
    """

    path: str
    code: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """Return the three fields as skipped.json lists them."""
        return asdict(self)


@dataclass(frozen=True)
class Scanned:
    """A picture that was read and decoded.

    Attributes
    ----------
    relative : Path
        Path below the image root.
    sha256, pixel_digest, full_digest : str
        Hex SHA-256 of the file, of `pixels`, and of all pixels at full size.
    single_colour : str or None
        "#rrggbb" if the picture has only one colour.
    size_bytes : int
        Size of the file.
    mtime_ns, ctime_ns : int
        Time of the last change of its content, and of its content or attributes, in nanoseconds
        since 1970.
    inode : int
        Its number in the file system.
    width, height : int
        In pixels, after the orientation tag is applied.
    format : str
        Pillow's name of the format, for example "JPEG".
    pixels : ndarray of shape (256, 256, 3), uint8
    thumbnail : bytes
        JPEG, at most 256 px wide and high.
    """

    relative: Path
    sha256: str
    pixel_digest: str
    full_digest: str
    single_colour: str | None
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    width: int
    height: int
    format: str
    pixels: Pixels
    thumbnail: bytes


def scan(
    root: Path,
    files: Sequence[Path],
    limits: Limits = COLLECTION_LIMITS,
    progress: Progress = QUIET,
) -> Iterator[Scanned | Skipped]:
    """Read and decode files in several threads, and yield the results in the given order.

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
        One for each file. Memory: a few pictures per core.
    """
    scanned = ordered_map(
        lambda relative: scan_file(root, relative, limits),
        files,
        n_ahead=cores() * _READ_AHEAD,
    )
    with closing(scanned), progress(total=len(files), desc="read", unit="file") as bar:
        for one in scanned:
            yield one
            bar.update(1)


def scan_file(root: Path, relative: Path, limits: Limits = COLLECTION_LIMITS) -> Scanned | Skipped:
    """Read and decode one file. Return Skipped if the file cannot be used; raise no error."""
    try:
        return _scan_file(root, relative, limits)
    except PictureError as error:
        return Skipped(readable_path(relative)[0], error.code, str(error))
    except (FileNotFoundError, NotADirectoryError):
        if (root / relative).is_symlink():
            return Skipped(readable_path(relative)[0], UNREADABLE, "the link has no target")
        return Skipped(readable_path(relative)[0], CHANGED, "vanished while it was being read")
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        return Skipped(readable_path(relative)[0], UNREADABLE, reason)


def _scan_file(root: Path, relative: Path, limits: Limits) -> Scanned:
    with open_picture(root / relative, limits) as file:
        return _scanned(file, relative)


def _scanned(file: OpenPicture, relative: Path) -> Scanned:
    image = file.decode()
    pixels = to_pixels(image)
    return Scanned(
        relative=relative,
        sha256=hashlib.sha256(file.data).hexdigest(),
        pixel_digest=pixel_digest(pixels),
        full_digest=full_digest(image),
        single_colour=single_colour(pixels),
        size_bytes=len(file.data),
        mtime_ns=file.status.st_mtime_ns,
        ctime_ns=file.status.st_ctime_ns,
        inode=file.status.st_ino,
        width=image.width,
        height=image.height,
        format=image.format or "",
        pixels=pixels,
        thumbnail=thumbnail(image),
    )


class PixelSource:
    """The pixels of pictures by row, cached on disk up to a limit and decoded again beyond it.

    The cache is an unnamed temporary file, so it disappears even if the process is killed. The
    operating system keeps it in memory while there is enough.

    Parameters
    ----------
    root : Path
        Image root.
    folder : Path
        Folder of the temporary file.
    max_images : int
        Maximum number of pictures.
    cache_bytes : int
        Maximum size of the cache.

    Attributes
    ----------
    lost : dict of int to Skipped
        Rows whose file was removed or changed after it was scanned. `read` returns grey pixels for
        them, and the caller must drop them.
    """

    def __init__(self, root: Path, folder: Path, max_images: int, cache_bytes: int) -> None:
        self._root = root
        self._n_cached = min(max_images, cache_bytes // _PICTURE_BYTES)
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
        """Hex SHA-256 of the pixels of each row."""
        return self._digests

    def read(self, rows: Rows) -> Pixels:
        """Return the pixels of some rows, (len(rows), 256, 256, 3) uint8. Thread-safe."""
        images = np.empty((len(rows), SIDE_PX, SIDE_PX, 3), np.uint8)
        for image, row in zip(images, rows, strict=True):
            image[:] = self._cached(int(row)) if row < self._n_cached else self._decoded(int(row))
        return images

    def close(self) -> None:
        """Delete the cache."""
        self._file.close()

    def __enter__(self) -> PixelSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cached(self, row: int) -> Pixels:
        data = os.pread(self._file.fileno(), _PICTURE_BYTES, row * _PICTURE_BYTES)
        return np.frombuffer(data, np.uint8).reshape(SIDE_PX, SIDE_PX, 3)

    def _decoded(self, row: int) -> Pixels:
        found = scan_file(self._root, self._files[row])
        if isinstance(found, Scanned) and found.pixel_digest == self._digests[row]:
            return found.pixels
        path = readable_path(self._files[row])[0]
        self.lost[row] = Skipped(path, CHANGED, "removed or changed while it was being indexed")
        return np.full((SIDE_PX, SIDE_PX, 3), 128, np.uint8)
