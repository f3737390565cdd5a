"""The elbow: how many groups a collection falls into, read off the curve of errors.

The number of groups is the point of the curve (within-cluster error against number of groups)
farthest from the straight line between its ends, as in V. Satopaa, J. Albrecht, D. Irwin and
B. Raghavan, "Finding a 'Kneedle' in a Haystack: Detecting Knee Points in System Behavior", ICDCS
Workshops 2011, doi:10.1109/ICDCSW.2011.20 (without its smoothing), and in pyclustering's `elbow`.

That rule always answers, also where there is nothing to find: pictures spread evenly over a sphere
of few dimensions give a smooth convex curve, far from the line. So the curve's bend is told too.
A smooth curve loses about the same share of its error with each doubling of the number of groups;
at a true elbow it loses much up to it and little after.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from indexer.errors import IndexerError

RULE = "farthest from the line between the curve's ends (Satopaa et al. 2011)"
CLEAR_BEND = 1.25  # random vectors gave 0.5 to 1.05, groups that were found 1.3 to 100
_MOST_BEND = 100.0


class InvalidRange(IndexerError, ValueError):
    """The numbers of groups to try do not make a range."""


@dataclass(frozen=True)
class Elbow:
    """Where a curve of errors bends most.

    Attributes
    ----------
    n_clusters : int
        Number of groups at the bend.
    distance : float
        How far the curve is below the line there, as a share of its whole fall: 0 for a straight
        curve, nearly 1 for one that falls at once to its end.
    bend : float
        How many times as fast the error falls, on logarithmic scales, from half as many groups up
        to this number than from this number to twice as many; at most 100. 1 for a smooth curve;
        0 where the curve does not go on to both sides.
    """

    n_clusters: int
    distance: float
    bend: float

    @property
    def is_clear(self) -> bool:
        """Whether the curve bends so much that there are groups to find."""
        return self.bend >= CLEAR_BEND


def find_elbow(wce: Mapping[int, float]) -> Elbow:
    """Choose the number of groups from a curve of within-cluster errors.

    Parameters
    ----------
    wce : mapping of int to float
        Error (>= 0) by number of groups, for a range of at least one number without gaps.

    Returns
    -------
    Elbow
        The lowest number of groups among equally good ones.

    Raises
    ------
    InvalidRange
        If the curve is empty.

    Notes
    -----
    The axes need no scaling: it changes neither the order of the distances, nor the logarithmic
    slopes' ratio.
    """
    if not wce:
        raise InvalidRange("no number of groups has been tried, so there is no curve to judge")
    first, last = min(wce), max(wce)
    fall = wce[first] - wce[last]
    if fall <= 0:
        return Elbow(first, 0.0, 0.0)
    below = {at: _line(wce, first, last, at) - error for at, error in sorted(wce.items())}
    best = max(below, key=below.__getitem__)
    return Elbow(best, below[best] / fall, _bend(wce, best))


def check_range(min_clusters: int, max_clusters: int) -> None:
    """Raise InvalidRange unless 1 <= min_clusters <= max_clusters."""
    if not 1 <= min_clusters <= max_clusters:
        raise InvalidRange(
            f"{min_clusters} to {max_clusters} groups is no range: the least number must be at "
            "least 1, and at most the largest"
        )


def _line(wce: Mapping[int, float], first: int, last: int, at: int) -> float:
    return wce[first] + (wce[last] - wce[first]) * (at - first) / (last - first)


def _bend(wce: Mapping[int, float], elbow: int) -> float:
    before = max(min(wce), round(elbow / 2))
    after = min(max(wce), 2 * elbow)
    if not before < elbow < after:
        return 0.0
    fall_before, fall_after = _steepness(wce, before, elbow), _steepness(wce, elbow, after)
    if fall_before == 0:
        return 0.0
    return fall_before / max(fall_after, fall_before / _MOST_BEND)


def _steepness(wce: Mapping[int, float], start: int, stop: int) -> float:
    """Return the share of error that is lost from start to stop, for each doubling."""
    # Errors of 0 (as many groups as different pictures) would be infinitely deep.
    least = 1e-6 * max(wce.values())
    fall = math.log(max(wce[start], least) / max(wce[stop], least))
    return max(fall, 0.0) / math.log(stop / start)
