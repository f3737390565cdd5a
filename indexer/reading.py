"""Read and decode picture files: any number of threads, bounded memory.

Two pools bound what is in memory: bytes of files, then pixels that are being decoded. A thread
takes from the second only while it holds a share of the first, so no two wait for each other.
"""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from PIL import Image

from models.errors import ImageTooLarge, UnknownFormat
from models.image_files.formats import format_of
from models.preprocess import Limits, decode, pixel_count
from models.runtime.capacity import Capacity
from models.runtime.machine_limits import available_memory_bytes, cores, decode_pixels

# The folder's owner chose these files, so the bounds are wider than those for strangers' uploads.
COLLECTION_LIMITS = Limits(max_bytes=512 << 20, max_pixels=200_000_000)
HEAD_BYTES = 4096  # enough to recognise every format
FILE_BYTES = 256 << 20  # of files that are held at a time; a larger file is held alone


class OpenPicture:
    """A file in memory, and its picture on request.

    Attributes
    ----------
    status : os.stat_result
        Of the open file.
    data : bytes
        The whole file.
    """

    def __init__(
        self, status: os.stat_result, data: bytes, limits: Limits, held: ExitStack
    ) -> None:
        self.status, self.data = status, data
        self._limits, self._held = limits, held

    def decode(self) -> Image.Image:
        """Decode as `models.preprocess.decode`, once the pixels of other threads leave room."""
        n_pixels = pixel_count(self.data, self._limits)
        self._held.enter_context(_decoding().slot(size=n_pixels))
        return decode(self.data, self._limits)


@contextmanager
def open_picture(path: Path, limits: Limits = COLLECTION_LIMITS) -> Iterator[OpenPicture]:
    """Read a picture file, and hold its share of the memory until the end of the block.

    The caller drops the picture before the block ends. Never blocks on a pipe or a device.

    Raises
    ------
    OSError, UnknownFormat, ImageTooLarge
        If the file cannot be read, is not a regular file, or has too many bytes.
    """
    with ExitStack() as held, open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        _check_file(file.fileno(), status, limits)
        held.enter_context(_files().slot(size=status.st_size))
        yield OpenPicture(status, file.read(limits.max_bytes), limits, held)


def _check_file(descriptor: int, status: os.stat_result, limits: Limits) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnknownFormat("a pipe, socket or device, not a file")
    if status.st_size > limits.max_bytes:
        raise ImageTooLarge(
            f"the file has {status.st_size:,} bytes; the limit is {limits.max_bytes:,}"
        )
    if status.st_size:
        format_of(os.pread(descriptor, HEAD_BYTES, 0))  # another file is not read whole


@functools.cache
def _files() -> Capacity:
    return Capacity(name="files", total_size=FILE_BYTES)


@functools.cache
def _decoding() -> Capacity:
    budget = decode_pixels(available_memory_bytes(), cores())
    return Capacity(name="decoding", total_size=budget)
