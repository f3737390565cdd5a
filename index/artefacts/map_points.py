"""Map points: a position in the plane for each picture, with similar pictures close together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from index.errors import CorruptSnapshot
from index.layout import MAP_FILE

_REMEDY = "build the collection again"


@dataclass(frozen=True)
class MapPoints:
    """Positions by row.

    Attributes
    ----------
    xy : ndarray of shape (n, 2), float32
        x and y in [0, 1], with the same scale. The larger extent fills the range, and the other is
        centred in it.
    """

    xy: NDArray[np.float32]

    @classmethod
    def fitted(cls, points: NDArray[np.float64]) -> Self:
        """Scale and move points, (n, 2), into the unit square."""
        low, high = points.min(axis=0), points.max(axis=0)
        extent = float((high - low).max()) or 1.0
        fitted = 0.5 + (points - (low + high) / 2) / extent
        return cls(np.clip(fitted, 0, 1).astype(np.float32))

    def save(self, folder: Path) -> None:
        """Write map.npy."""
        np.save(folder / MAP_FILE, self.xy)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read map.npy.

        Raises
        ------
        CorruptSnapshot
            If it is not what `save` writes.
        """
        try:
            points = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise CorruptSnapshot(f"{MAP_FILE} cannot be read ({error}): {_REMEDY}") from error
        if points.ndim != 2 or points.shape[1] != 2 or points.dtype != np.float32:
            raise CorruptSnapshot(
                f"{MAP_FILE} holds {points.dtype} of shape {points.shape}: {_REMEDY}"
            )
        if not ((points >= 0) & (points <= 1)).all():
            raise CorruptSnapshot(f"{MAP_FILE} holds points outside the unit square: {_REMEDY}")
        return cls(points)

    def __len__(self) -> int:
        return len(self.xy)
