"""The elbow: the number of groups, chosen from the error curve of a sweep.

The elbow is the point of the curve (within-cluster error against number of groups) farthest from
the straight line between its ends, as in V. Satopaa, J. Albrecht, D. Irwin and B. Raghavan,
"Finding a 'Kneedle' in a Haystack: Detecting Knee Points in System Behavior", ICDCS Workshops 2011,
doi:10.1109/ICDCSW.2011.20 (without its smoothing), and in pyclustering's `elbow`.

This rule gives a number even if there are no groups: pictures spread evenly over a sphere of few
dimensions give a smooth convex curve, far from the line. The knee strength tells the two apart.
A smooth curve loses about the same share of its error with each doubling of the number of groups.
At a true elbow, the error falls fast up to the elbow and slowly after it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from indexer.errors import IndexerError

RULE = "farthest from the line between the curve's ends (Satopaa et al. 2011)"
CLEAR_KNEE = 1.25  # random vectors had 0.5 to 1.05, collections with groups 1.3 to 100
_MAX_KNEE_STRENGTH = 100.0


class InvalidRange(IndexerError, ValueError):
    """The range of numbers of groups to try is empty."""


@dataclass(frozen=True)
class Elbow:
    """The elbow of an error curve.

    Attributes
    ----------
    n_clusters : int
        Number of groups at the elbow.
    distance : float
        Distance of the curve below the line at the elbow, as a fraction of the total fall. 0 for a
        straight curve, almost 1 for a curve that falls to its last value at once.
    knee_strength : float
        Slope of the error on logarithmic scales from half the number of groups to this number,
        divided by the slope from this number to twice the number; at most 100. 1 for a smooth
        curve, 0 if the elbow is at an end of the curve.
    """

    n_clusters: int
    distance: float
    knee_strength: float

    @property
    def is_clear(self) -> bool:
        """Whether the knee is strong enough to show that there are groups."""
        return self.knee_strength >= CLEAR_KNEE


def find_elbow(wce: Mapping[int, float]) -> Elbow:
    """Choose the number of groups from an error curve.

    Parameters
    ----------
    wce : mapping of int to float
        Within-cluster error (>= 0) by number of groups, for one or more consecutive numbers.

    Returns
    -------
    Elbow
        The lowest number of groups if several are equally good.

    Raises
    ------
    InvalidRange
        If the curve is empty.

    Notes
    -----
    The axes need no scaling: it changes neither the order of the distances nor the ratio of the
    logarithmic slopes.
    """
    if not wce:
        raise InvalidRange("the error curve is empty: try at least one number of groups")
    first, last = min(wce), max(wce)
    fall = wce[first] - wce[last]
    if fall <= 0:
        return Elbow(first, 0.0, 0.0)
    below = {at: _line(wce, first, last, at) - error for at, error in sorted(wce.items())}
    best = max(below, key=below.__getitem__)
    return Elbow(best, below[best] / fall, _knee_strength(wce, best))


def check_range(min_clusters: int, max_clusters: int) -> None:
    """Raise InvalidRange unless 1 <= min_clusters <= max_clusters."""
    if not 1 <= min_clusters <= max_clusters:
        raise InvalidRange(
            f"{min_clusters} to {max_clusters} groups is not a range: the minimum must be at least "
            "1 and not above the maximum"
        )


def _line(wce: Mapping[int, float], first: int, last: int, at: int) -> float:
    return wce[first] + (wce[last] - wce[first]) * (at - first) / (last - first)


def _knee_strength(wce: Mapping[int, float], elbow: int) -> float:
    before = max(min(wce), round(elbow / 2))
    after = min(max(wce), 2 * elbow)
    if not before < elbow < after:
        return 0.0
    fall_before, fall_after = _steepness(wce, before, elbow), _steepness(wce, elbow, after)
    if fall_before == 0:
        return 0.0
    return fall_before / max(fall_after, fall_before / _MAX_KNEE_STRENGTH)


def _steepness(wce: Mapping[int, float], start: int, stop: int) -> float:
    """Return the slope of the error from start to stop, on logarithmic scales."""
    # An error of 0 (as many groups as distinct pictures) has no logarithm.
    least = 1e-6 * max(wce.values())
    fall = math.log(max(wce[start], least) / max(wce[stop], least))
    return max(fall, 0.0) / math.log(stop / start)
