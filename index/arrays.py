"""Array types: one name for each kind of array that `index` stores or returns.

Docstrings give the shape of each array where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]  # unit rows
Scores = NDArray[np.float32]  # cosines, clipped to [-1, 1]
RoundedScores = NDArray[np.float64]  # scores of results, rounded to 6 decimals
Rows = NDArray[np.int64]  # row numbers
StoredRows = NDArray[np.int32]  # row numbers in the top-k table
Labels = NDArray[np.int32]  # a cluster's label for each row
Mask = NDArray[np.bool_]  # true or false for each row


def blocks(rows: Rows, size: int) -> Iterator[Rows]:
    """Yield consecutive slices of at most `size` rows, so that callers use bounded memory."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
