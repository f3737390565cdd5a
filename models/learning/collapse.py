"""Detect encodings that no longer differ as the pictures do. Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_SAMPLE = 4
# Shares of the pixels' variation and rank. Even an untrained network keeps far more.
MIN_VARIATION_SHARE = 0.01
MIN_RANK_SHARE = 0.1
# Pictures that differ by less are nearly equal, so their encodings may be too.
MIN_PIXEL_VARIATION = 1e-3


def effective_rank(encodings: NDArray[np.floating[Any]]) -> float:
    """Return the number of directions that rows spread over.

    It is the exponential of the entropy of the singular values.

    Parameters
    ----------
    encodings : ndarray of shape (n, dim)
        Not modified. Not centred here.

    Returns
    -------
    float
        0 for a zero matrix, else from 1 (all rows parallel) to min(n, dim) (all singular values
        equal).

    Notes
    -----
    Source: O. Roy and M. Vetterli, "The effective rank: a measure of effective dimensionality",
    EUSIPCO 2007.
    """
    values = np.linalg.svd(np.asarray(encodings, np.float64), compute_uv=False)
    total = values.sum()
    if total == 0:
        return 0.0
    shares = values[values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def variation(rows: NDArray[np.floating[Any]]) -> float:
    """Return the distance of rows from their mean as a share of their length (0 for zero rows)."""
    wide = np.asarray(rows, np.float64)
    length = np.linalg.norm(wide)
    return float(np.linalg.norm(wide - wide.mean(axis=0)) / length) if length > 0 else 0.0


def collapse_reason(
    encodings: NDArray[np.floating[Any]], pixels: NDArray[np.floating[Any]]
) -> str | None:
    """Return why encodings do not tell these pictures apart, or None if they do.

    The pictures themselves are the measure, so a folder of very few or nearly equal pictures is
    not a collapse.

    Parameters
    ----------
    encodings : ndarray of shape (n, dim)
    pixels : ndarray of shape (n, m)
        Pixels of the same pictures, shrunk.

    Returns
    -------
    str or None
        A clause with the numbers.
    """
    pixel_variation = variation(pixels)
    if len(encodings) < MIN_SAMPLE or pixel_variation < MIN_PIXEL_VARIATION:
        return None
    found = variation(encodings)
    if found < MIN_VARIATION_SHARE * pixel_variation:
        return f"they vary by {found:.2g} of their length, the pictures by {pixel_variation:.2g}"
    most = encodings.shape[1]  # the rank of a short encoding is limited
    ranks = effective_rank(_centred(encodings)), min(effective_rank(_centred(pixels)), most)
    if ranks[0] < MIN_RANK_SHARE * ranks[1]:
        return f"their effective rank is {ranks[0]:.1f}, that of the pictures {ranks[1]:.1f}"
    return None


def _centred(rows: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    wide = np.asarray(rows, np.float64)
    return np.asarray(wide - wide.mean(axis=0))
