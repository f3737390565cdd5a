"""The original files under the image root, and no other file on the disk."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from index.catalogue import ImageRecord
from models.errors import ImageTooLarge
from models.preprocess import file_digest
from service.errors import NoPictureFile

MEDIA_TYPES = {
    "AVIF": "image/avif",
    "BMP": "image/bmp",
    "GIF": "image/gif",
    "HEIC": "image/heic",
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
}


def find(record: ImageRecord, root: Path) -> Path:
    """Return the path of a picture's original.

    Parameters
    ----------
    record : ImageRecord
    root : Path
        The image root, which the catalogue's paths are relative to.

    Returns
    -------
    Path
        A readable file under the root, with links resolved.

    Raises
    ------
    NoPictureFile
        If the file is missing, is not readable, or leads out of the root by its path or a link.
    """
    path = record.file_under(root).resolve()
    if not path.is_relative_to(root.resolve()):
        raise NoPictureFile(f"{record.path} is a link to a file outside the picture folder")
    if not os.access(path, os.R_OK):  # False, and no error, if its folder is not searchable
        raise NoPictureFile(
            f"{record.path} was not found in the picture folder, or the service's user may not "
            "read it. If the folder has moved, set LOOKALIKE_IMAGES to its new path"
        )
    if not path.is_file():
        raise NoPictureFile(f"{record.path} is no longer a file: run `bin/lookalike reindex`")
    return path


def open_unchanged(record: ImageRecord, root: Path) -> tuple[BinaryIO, os.stat_result]:
    """Open a picture's original if it is still the content that was indexed.

    A file with the size, times and inode that it had is not read for this. Any other file is hashed
    first: a copy, or a file on a network disk, may be unchanged all the same.

    Parameters
    ----------
    record : ImageRecord
    root : Path
        As for `find`.

    Returns
    -------
    file : binary file
        At its start. The caller closes it.
    status : stat_result

    Raises
    ------
    NoPictureFile
        As for `find`, or if the content has changed.
    """
    file = open(_descriptor(record, find(record, root)), "rb")  # noqa: SIM115 - the caller closes
    try:
        status = os.fstat(file.fileno())
        if not record.is_unchanged(status):
            _check_digest(record, hashlib.file_digest(file, "sha256").hexdigest())
            file.seek(0)
    except BaseException:
        file.close()
        raise
    return file, status


def read(record: ImageRecord, root: Path, max_bytes: int) -> bytes:
    """Return the content of a picture's original, which is still the indexed content.

    Parameters
    ----------
    record : ImageRecord
    root : Path
        As for `find`.
    max_bytes : int
        Size limit of the file.

    Raises
    ------
    NoPictureFile
        As for `find`, or if the content has changed.
    ImageTooLarge
        If the file has more than `max_bytes` bytes.
    """
    path = find(record, root)
    if path.stat().st_size > max_bytes:
        raise ImageTooLarge(f"{record.path} has more than {max_bytes:,} bytes: use a smaller copy")
    data = path.read_bytes()
    _check_digest(record, file_digest(data))
    return data


def _descriptor(record: ImageRecord, path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise NoPictureFile(f"{record.path} cannot be read ({error.strerror})") from error


def _check_digest(record: ImageRecord, sha256: str) -> None:
    if sha256 != record.sha256:
        raise NoPictureFile(
            f"{record.path} has changed since it was indexed: run `bin/lookalike reindex`"
        )


def media_type(record: ImageRecord) -> str:
    """Return the media type of the decoded format, whatever the file extension says."""
    return MEDIA_TYPES.get(record.format, "application/octet-stream")


def download_name(record: ImageRecord) -> str:
    """Return the file name without folders, and without characters that headers cannot carry."""
    name = PurePosixPath(record.path).name
    return "".join(one if one.isprintable() else "_" for one in name)


def etag(record: ImageRecord) -> str:
    """Return an ETag of the content: two files may have equal times and sizes."""
    return record.sha256[:32]
