"""Array types: one name for each kind of number that `index` stores or returns.

Shapes are told where an array is used.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]  # unit rows
Scores = NDArray[np.float32]  # cosines, clipped to [-1, 1]
RoundedScores = NDArray[np.float64]  # scores of results, rounded to 6 decimals
Rows = NDArray[np.int64]  # row numbers
Labels = NDArray[np.int32]  # a cluster's label for each row
Mask = NDArray[np.bool_]  # whether something holds of each row


def blocks(rows: Rows, size: int) -> Iterator[Rows]:
    """Cut rows into consecutive arrays of at most `size`, so that work needs bounded memory."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
