"""Reading and decoding of picture files, in any number of threads with bounded memory.

Two pools limit the memory: one the bytes of files, the other the pixels being decoded. A thread
always acquires capacity from the first pool before the second, so threads cannot deadlock.
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
from models.preprocess import COLLECTION_LIMITS, Limits, decode, pixel_count
from models.runtime.machine_limits import available_memory_bytes, cores, decode_pixels
from models.runtime.slots import Capacity

HEAD_BYTES = 4096  # enough to recognise every format
FILE_BYTES = 256 << 20  # of all files in memory; a larger file is alone in memory


class OpenPicture:
    """A picture file in memory, which can be decoded.

    Attributes
    ----------
    status : os.stat_result
        Status of the open file.
    data : bytes
        Content of the file.
    """

    def __init__(
        self, status: os.stat_result, data: bytes, limits: Limits, held: ExitStack
    ) -> None:
        self.status, self.data = status, data
        self._limits, self._held = limits, held

    def decode(self) -> Image.Image:
        """Decode as `models.preprocess.decode`. Wait until there is capacity for the pixels."""
        n_pixels = pixel_count(self.data, self._limits)
        self._held.enter_context(_decoding().slot(size=n_pixels))
        return decode(self.data, self._limits)


@contextmanager
def open_picture(path: Path, limits: Limits = COLLECTION_LIMITS) -> Iterator[OpenPicture]:
    """Read a picture file, and reserve capacity for it until the end of the block.

    The caller must drop the picture before the block ends. Never blocks on a pipe or a device.

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
