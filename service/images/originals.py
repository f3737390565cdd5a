"""The original pictures under the image root, and nothing else on the disk."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from index.catalogue import ImageRecord
from models.errors import ImageTooLarge
from models.preprocess import file_digest
from service.errors import NoPictureFile
from service.images.formats import MEDIA_TYPES


def find(record: ImageRecord, root: Path) -> Path:
    """Return the file of a picture.

    Parameters
    ----------
    record : ImageRecord
    root : Path
        Folder that the catalogue's paths are relative to.

    Returns
    -------
    Path
        A file under the root, links resolved.

    Raises
    ------
    NoPictureFile
        If there is none, the path or a link leads out of the root, or the service may not read it.
    """
    path = record.file_under(root).resolve()
    if not path.is_relative_to(root.resolve()):
        raise NoPictureFile(f"{record.path} leads out of the image root, so it is not sent")
    if not os.access(path, os.R_OK):  # no error where even its folder may not be looked into
        raise NoPictureFile(
            f"{record.path} is not in the image root, or the service's user may not read it: if "
            "the pictures have been moved, start the service with LOOKALIKE_IMAGES set to their "
            "new folder"
        )
    if not path.is_file():
        raise NoPictureFile(f"{record.path} is no file any more: run `reindex`")
    return path


def read(record: ImageRecord, root: Path, most_bytes: int) -> bytes:
    """Return the content of a picture's file, as it was indexed.

    Raises
    ------
    NoPictureFile
        As `find`; also if the file has changed since it was indexed.
    ImageTooLarge
        If it has more than `most_bytes`.
    """
    path = find(record, root)
    if path.stat().st_size > most_bytes:
        raise ImageTooLarge(f"{record.path} has more than {most_bytes:,} bytes: use a smaller copy")
    data = path.read_bytes()
    if file_digest(data) != record.sha256:
        raise NoPictureFile(f"{record.path} has changed since it was indexed: run `reindex`")
    return data


def media_type(record: ImageRecord) -> str:
    """Return the type that the picture was decoded as; its name may say otherwise."""
    return MEDIA_TYPES.get(record.format, "application/octet-stream")


def name(record: ImageRecord) -> str:
    """Return the file's own name, without its folders and without what may not be in a header."""
    own = PurePosixPath(record.path).name
    return "".join(one if one.isprintable() else "_" for one in own)


def etag(path: Path) -> str:
    """Return what changes with a file, whatever its name (Flask's own asks for UTF-8 in it)."""
    status = path.stat()
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"
