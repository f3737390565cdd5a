"""The strips and tiles of a TIFF, unpacked to samples of any type.

libtiff unpacks them through Pillow, a few at a time: they are described to it as grey bytes. The
predictor is undone here, because it depends on the type that was left out.

Sources: TIFF 6.0; Adobe Photoshop TIFF Technical Note 3 (2005) for the floating-point predictor.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import UndecodableImage
from models.image_files import tiff as tags
from models.image_files.tiff import Directory

Samples = NDArray[Any]
Bytes = NDArray[np.uint8]

_RAW = 1
# PackBits, LZW, deflate by two numbers, LZMA, Zstandard: they give back the very bytes.
_PACKINGS = frozenset({_RAW, 5, 8, 32773, 32946, 34925, 50000})
_NO_PREDICTOR, _HORIZONTAL, _FLOATING_POINT = 1, 2, 3
_BATCH_BYTES = 1 << 20  # unpacked or converted at a time, if a strip or row is not larger


@dataclass(frozen=True)
class Block:
    """Some samples, and where they belong.

    Attributes
    ----------
    top, left : int
        Of the first sample in the picture.
    first : int
        Number of the first sample within a pixel; 0 unless the planes are separate.
    samples : ndarray of shape (height, width, n)
    """

    top: int
    left: int
    first: int
    samples: Samples


@dataclass(frozen=True)
class _Piece:
    plane: int
    top: int
    left: int
    n_rows: int
    offset: int
    n_bytes: int


class TiffPieces:
    """The strips or tiles of one picture.

    Parameters
    ----------
    directory : Directory
    dtype : dtype
        Of the samples.

    Attributes
    ----------
    size : tuple of int
        Width and height of the picture.
    piece_size : tuple of int
        Width and height of a strip or tile.
    n_samples : int
        Of a pixel.
    is_planar : bool
        Whether each sample has a plane of its own.
    """

    def __init__(self, directory: Directory, dtype: np.dtype[Any]) -> None:
        self._data, self._order = directory.tiff.data, directory.tiff.order
        self._dtype = dtype
        self.size = width, height = directory.number(tags.WIDTH), directory.number(tags.LENGTH)
        self.n_samples = directory.number(tags.N_SAMPLES, 1)
        self.is_planar = self.n_samples > 1 and directory.number(tags.PLANAR, 1) == 2
        self._packing = directory.number(tags.COMPRESSION, _RAW)
        self._predictor = directory.number(tags.PREDICTOR, _NO_PREDICTOR)
        self._is_tiled = tags.TILE_OFFSETS in directory
        if self._is_tiled:
            self.piece_size = directory.number(tags.TILE_WIDTH), directory.number(tags.TILE_LENGTH)
            lists = tags.TILE_OFFSETS, tags.TILE_BYTES
        else:
            self.piece_size = width, min(height, directory.number(tags.ROWS_PER_STRIP, height))
            lists = tags.STRIP_OFFSETS, tags.STRIP_BYTES
        self._offsets, self._counts = map(directory.numbers, lists)

    @property
    def can_be_unpacked(self) -> bool:
        """Whether compression and predictor are known."""
        return self._packing == _RAW or (
            self._packing in _PACKINGS and self._predictor in (1, _HORIZONTAL, _FLOATING_POINT)
        )

    @property
    def piece_bytes(self) -> int:
        """The memory that one piece takes whole; 0 if it is read row by row."""
        return 0 if self._packing == _RAW else self._row_bytes * self.piece_size[1]

    def blocks(self) -> Iterator[Block]:
        """Yield all samples, a limited number at a time.

        Raises
        ------
        UndecodableImage, OSError
            If the pieces are cut off or broken.
        """
        width, height = self.size
        for piece, row, rows in self._rows():
            samples = self._samples(rows)[: height - piece.top - row, : width - piece.left]
            if len(samples):
                yield Block(piece.top + row, piece.left, piece.plane, samples)

    @property
    def _n_together(self) -> int:
        return 1 if self.is_planar else self.n_samples

    @property
    def _row_bytes(self) -> int:
        return self.piece_size[0] * self._n_together * self._dtype.itemsize

    def _pieces(self) -> Iterator[_Piece]:
        (width, height), (across, down) = self.size, self.piece_size
        if across < 1 or down < 1:
            raise _broken("strips without a size")
        n_planes = self.n_samples if self.is_planar else 1
        n_pieces = n_planes * -(-height // down) * -(-width // across)
        if len(self._offsets) < n_pieces:
            raise _broken(f"{len(self._offsets)} strips of {n_pieces}")
        counts = iter(self._counts)
        offsets = iter(self._offsets)
        for plane in range(n_planes):
            for top in range(0, height, down):
                n_rows = down if self._is_tiled else min(down, height - top)
                most = 2 * n_rows * self._row_bytes + 1024  # packed, it is hardly ever larger
                for left in range(0, width, across):
                    n_bytes = min(next(counts, most), most)
                    yield _Piece(plane, top, left, n_rows, next(offsets), n_bytes)

    def _rows(self) -> Iterator[tuple[_Piece, int, Bytes]]:
        """Yield pieces, the first row in it, and rows (h, row_bytes) of it."""
        step = max(1, _BATCH_BYTES // max(1, self._row_bytes))
        for batch in self._batches():
            packed = None if self._packing == _RAW else self._unpacked(batch)
            for number, piece in enumerate(batch):
                for row in range(0, piece.n_rows, step):
                    n_rows = min(step, piece.n_rows - row)
                    if packed is None:
                        yield piece, row, self._raw_rows(piece, row, n_rows)
                    else:
                        top = number * piece.n_rows + row
                        cut = packed.crop((0, top, self._row_bytes, top + n_rows))
                        yield piece, row, np.array(cut)

    def _batches(self) -> Iterator[list[_Piece]]:
        """Group pieces of equal height, as many as fit into a batch."""
        batch: list[_Piece] = []
        most = max(1, _BATCH_BYTES // max(1, self._row_bytes * self.piece_size[1]))
        for piece in self._pieces():
            if batch and (len(batch) == most or batch[0].n_rows != piece.n_rows):
                yield batch
                batch = []
            batch.append(piece)
        yield batch

    def _raw_rows(self, piece: _Piece, row: int, n_rows: int) -> Bytes:
        start, size = piece.offset + row * self._row_bytes, n_rows * self._row_bytes
        if start + size > len(self._data):
            raise _broken("pixels are missing")
        return np.frombuffer(self._data, np.uint8, size, start).reshape(n_rows, -1)

    def _unpacked(self, batch: list[_Piece]) -> Image.Image:
        contents = [self._data[piece.offset : piece.offset + piece.n_bytes] for piece in batch]
        file = _described(contents, self._packing, self._row_bytes, batch[0].n_rows)
        with Image.open(io.BytesIO(file), formats=["TIFF"]) as image:
            image.load()
            return image

    def _samples(self, rows: Bytes) -> Samples:
        """Turn rows of bytes into samples (h, w, n), and undo their predictor."""
        stored, n = self._dtype.newbyteorder(self._order), self._n_together
        if self._packing != _RAW and self._predictor == _FLOATING_POINT:
            return _undo_float_differences(rows, self._dtype, n)
        if self._packing != _RAW and self._predictor == _HORIZONTAL:
            whole = np.dtype(f"u{stored.itemsize}")
            numbers = rows.view(whole.newbyteorder(self._order)).reshape(len(rows), -1, n)
            return np.cumsum(numbers, axis=1, dtype=whole).view(self._dtype)
        return rows.view(stored).reshape(len(rows), -1, n)


def _described(contents: list[bytes], packing: int, row_bytes: int, n_rows: int) -> bytes:
    """Return packed pieces as the strips of one grey picture, one below the other."""
    offsets, body = [], b""
    for content in contents:
        offsets.append(8 + len(body))
        body += content + b"\0" * (len(content) % 2)
    n = len(contents)
    first, end = offsets[0], 8 + len(body)
    entries = [
        (tags.WIDTH, 1, row_bytes), (tags.LENGTH, 1, n * n_rows), (tags.BITS, 1, 8),
        (tags.COMPRESSION, 1, packing), (tags.PHOTOMETRIC, 1, 1),
        (tags.STRIP_OFFSETS, n, first if n == 1 else end), (tags.N_SAMPLES, 1, 1),
        (tags.ROWS_PER_STRIP, 1, n_rows),
        (tags.STRIP_BYTES, n, len(contents[0]) if n == 1 else end + 4 * n),
    ]  # fmt: skip
    lists = struct.pack(f"<{2 * n}I", *offsets, *map(len, contents))
    table = b"".join(struct.pack("<HHII", tag, 4, *rest) for tag, *rest in entries)
    head = b"II*\0" + struct.pack("<I", end + len(lists))
    return head + body + lists + struct.pack("<H", len(entries)) + table + bytes(4)


def _undo_float_differences(rows: Bytes, dtype: np.dtype[Any], n: int) -> Samples:
    """Add up the bytes of each row; they are sorted by weight, the highest first."""
    height, row_bytes = rows.shape
    sums = np.cumsum(rows.reshape(height, -1, n), axis=1, dtype=np.uint8)
    by_weight = sums.reshape(height, dtype.itemsize, row_bytes // dtype.itemsize)
    together = np.ascontiguousarray(by_weight.transpose(0, 2, 1))
    return together.view(dtype.newbyteorder(">")).reshape(height, -1, n)


def _broken(what: str) -> UndecodableImage:
    return UndecodableImage(
        f"the TIFF picture is cut off or broken ({what}): save it again or remove it"
    )
