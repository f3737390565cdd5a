"""ReferenceStore: a short and slow store in NumPy that tests compare other stores with."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np

from index.arrays import Rows, Vectors
from index.search.store import VectorStore


class ReferenceStore(VectorStore):
    """`VectorStore` that compares queries with an array in memory, in float64."""

    def __init__(self, vectors: Vectors) -> None:
        self._xb = np.array(vectors, dtype=np.float32)
        self.dim = self._xb.shape[1]

    @classmethod
    def from_vectors(cls, vectors: Vectors) -> Self:
        """Return a store over a copy of (n, dim) float32 unit rows."""
        return cls(vectors)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read an array that `save` wrote."""
        return cls(np.load(path))

    def save(self, path: Path) -> None:
        """Write the vectors as a .npy file."""
        with path.open("xb") as file:
            np.save(file, self._xb)

    def __len__(self) -> int:
        return len(self._xb)

    def vectors(self, rows: Rows) -> Vectors:
        """Return a copy of some rows, (len(rows), dim) float32."""
        return self._xb[np.asarray(rows)]

    def _nearest(self, queries: Vectors, k: int) -> Rows:
        scores = queries.astype(np.float64) @ self._xb.T.astype(np.float64)
        return np.argsort(-scores.astype(np.float32), axis=1, kind="stable")[:, :k]
