"""Comparing two answers of a search with ties in mind."""

from __future__ import annotations

import numpy as np

TOLERANCE = 1e-6


def assert_same_neighbours(scores, rows, wanted_scores, wanted_rows, tolerance=TOLERANCE):
    """Compare (n, k) answers line by line: scores within a tolerance, rows as sets among equals.

    Rows whose score is within the tolerance of the last one may differ: a tie at rank k may fall
    either way.
    """
    np.testing.assert_allclose(scores, wanted_scores, atol=tolerance, rtol=0)
    for line in range(len(scores)):
        last = wanted_scores[line, -1] + tolerance
        start = 0
        while start < len(wanted_scores[line]) and wanted_scores[line, start] > last:
            stop = start + 1
            while (
                stop < len(wanted_scores[line])
                and wanted_scores[line, stop - 1] - wanted_scores[line, stop] <= tolerance
            ):
                stop += 1
            got, wanted = set(rows[line, start:stop]), set(wanted_rows[line, start:stop])
            if wanted_scores[line, stop - 1] > last:
                assert got == wanted, f"line {line}, ranks {start} to {stop}: {got} != {wanted}"
            start = stop
