"""FaissStore: an exact inner-product index in FAISS, memory-mapped when opened.

Processes share a flat index that they open with IO_FLAG_MMAP_IFC through the page cache. Adding to
a mapped index aborts the process, so this class has no method that adds. Each collection is written
to a new file.
Source: https://github.com/facebookresearch/faiss/wiki, "Faiss indexes" (IndexFlatIP).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import faiss
import numpy as np

from index.arrays import Rows, Vectors
from index.errors import CorruptSnapshot
from index.search.store import VectorStore

# FAISS multiplies matrices if a batch of queries has at least this many elements (rows times
# length), and otherwise scans the collection once for each query. Among 3,000 pictures, the ten
# vectors of an uploaded picture take 29 ms with the default of 128,000, and 7 ms with this value. A
# single vector still takes 3.3 ms (docs/decisions/0066). The value applies to the whole process. A
# single query with more than 8,192 elements is a matrix product, too.
_BLAS_THRESHOLD = 2 * 4096 + 1
faiss.cvar.distance_compute_blas_threshold = _BLAS_THRESHOLD


class FaissStore(VectorStore):
    """`VectorStore` over `faiss.IndexFlatIP`."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index
        self.dim = index.d

    @classmethod
    def from_vectors(cls, vectors: Vectors) -> Self:
        """Return a store in memory over a copy of (n, dim) float32 unit rows."""
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return cls(index)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map a saved index read-only; see `VectorStore.open`."""
        # A damaged header must not make FAISS allocate more memory than the file's size.
        faiss.set_deserialization_vector_byte_limit(path.stat().st_size)
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise CorruptSnapshot(f"{path.name} is not a readable FAISS index") from error
        if not isinstance(index, faiss.IndexFlatIP):
            raise CorruptSnapshot(f"{path.name} holds a {type(index).__name__}, not an IndexFlatIP")
        return cls(index)

    def save(self, path: Path) -> None:
        """Write the index to a file that does not exist yet."""
        path.touch(exist_ok=False)
        faiss.write_index(self._index, str(path))

    @classmethod
    def write(cls, path: Path, dim: int, blocks: Iterable[Vectors]) -> int:
        """Write blocks of unit rows to a new file, one after the other.

        Parameters
        ----------
        path : Path
            Must not exist. The file is identical to the one that `save` writes for the same rows.
        dim : int
            Length of each vector.
        blocks : iterable of ndarray of shape (m, dim), float32
            Only one block is in memory at a time.

        Returns
        -------
        n_rows : int
            Number of rows written.
        """
        n_rows = 0
        with path.open("xb") as file:
            file.write(_header(dim, 0))
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype=np.float32).data)
                n_rows += len(block)
            file.seek(0)
            file.write(_header(dim, n_rows))
        return n_rows

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def vectors(self, rows: Rows) -> Vectors:
        """Return a copy of some rows, (len(rows), dim) float32."""
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        if len(rows) == 0:
            return np.empty((0, self.dim), np.float32)
        vectors: Vectors = self._index.reconstruct_batch(rows)
        return vectors

    def _nearest(self, queries: Vectors, k: int) -> Rows:
        rows: Rows = self._index.search(queries, k)[1]
        return rows


def _header(dim: int, n_rows: int) -> bytes:
    """Return the header that FAISS writes before the vectors of a flat index of n_rows."""
    header = bytearray(faiss.serialize_index(faiss.IndexFlatIP(dim)).tobytes())
    # An empty index has two counts that are zero: the rows, after the type and dim, and the floats,
    # at the very end (faiss/impl/index_write.cpp, write_index_header and WRITEXBVECTOR).
    struct.pack_into("<q", header, 8, n_rows)
    struct.pack_into("<Q", header, len(header) - 8, n_rows * dim)
    return bytes(header)


def set_threads(n_threads: int) -> None:
    """Set the number of OpenMP threads of FAISS. Call it after a fork, never before."""
    faiss.omp_set_num_threads(n_threads)
