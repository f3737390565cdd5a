"""The original files under the image root, and no other file on the disk."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

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
        As for `find`, or if the file has changed since it was indexed.
    ImageTooLarge
        If the file has more than `max_bytes` bytes.
    """
    path = find(record, root)
    if path.stat().st_size > max_bytes:
        raise ImageTooLarge(f"{record.path} has more than {max_bytes:,} bytes: use a smaller copy")
    data = path.read_bytes()
    if file_digest(data) != record.sha256:
        raise NoPictureFile(
            f"{record.path} has changed since it was indexed: run `bin/lookalike reindex`"
        )
    return data


def media_type(record: ImageRecord) -> str:
    """Return the media type of the decoded format, whatever the file extension says."""
    return MEDIA_TYPES.get(record.format, "application/octet-stream")


def download_name(record: ImageRecord) -> str:
    """Return the file name without folders, and without characters that headers cannot carry."""
    name = PurePosixPath(record.path).name
    return "".join(one if one.isprintable() else "_" for one in name)


def etag(path: Path) -> str:
    """Return an ETag of the file's time and size. Flask's own needs a name in UTF-8."""
    status = path.stat()
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"
