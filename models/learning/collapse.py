"""Tell whether encodings still differ as the pictures do. Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_SAMPLE = 4
# Shares of what the pixels show, far below what even an untrained network keeps.
MIN_VARIATION_SHARE = 0.01
MIN_RANK_SHARE = 0.1
# Pictures that differ by less than this are alike anyway, so their encodings may be too.
MIN_PIXEL_VARIATION = 1e-3


def effective_rank(encodings: NDArray[np.floating[Any]]) -> float:
    """Return how many directions rows spread over: exp of the entropy of the singular values.

    Parameters
    ----------
    encodings : ndarray of shape (n, dim)
        Not modified, and not centred here.

    Returns
    -------
    float
        0 for a zero matrix, else 1 (all rows parallel) to min(n, dim) (all singular values equal).

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
    """Return how far rows are from their mean, as a share of their length (0 for zero rows)."""
    wide = np.asarray(rows, np.float64)
    length = np.linalg.norm(wide)
    return float(np.linalg.norm(wide - wide.mean(axis=0)) / length) if length > 0 else 0.0


def collapse_reason(
    encodings: NDArray[np.floating[Any]], pixels: NDArray[np.floating[Any]]
) -> str | None:
    """Say why encodings do not tell these pictures apart, or None if they do.

    Compares with the pictures themselves, so that a folder of nearly equal pictures, or of
    very few, is not blamed on the encoder.

    Parameters
    ----------
    encodings : ndarray of shape (n, dim)
    pixels : ndarray of shape (n, m)
        The same pictures, small.

    Returns
    -------
    str or None
        A clause with the figures.
    """
    pixel_variation = variation(pixels)
    if len(encodings) < MIN_SAMPLE or pixel_variation < MIN_PIXEL_VARIATION:
        return None
    found = variation(encodings)
    if found < MIN_VARIATION_SHARE * pixel_variation:
        return f"they vary by {found:.2g} of their length, the pictures by {pixel_variation:.2g}"
    most = encodings.shape[1]  # a short encoding cannot spread over more
    ranks = effective_rank(_centred(encodings)), min(effective_rank(_centred(pixels)), most)
    if ranks[0] < MIN_RANK_SHARE * ranks[1]:
        return f"their effective rank is {ranks[0]:.1f}, that of the pictures {ranks[1]:.1f}"
    return None


def _centred(rows: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    wide = np.asarray(rows, np.float64)
    return np.asarray(wide - wide.mean(axis=0))
