"""The elbow curve as the coordinates of a drawing; the page only writes them down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 14, 38  # room around the curve for ticks and titles
_STEPS = 7  # an axis has about so many ticks, seldom more

Point = tuple[float, float]
Tick = tuple[float, str]


@dataclass(frozen=True)
class Curve:
    """Error within the groups over the number of groups, in a box of WIDTH x HEIGHT units.

    Attributes
    ----------
    points : list of (x, y)
        One for each number of groups that was tried, from left to right; y grows downwards.
    chosen : (x, y) or None
        Where the number of groups that was taken lies; None if it was not among those tried.
    x_ticks, y_ticks : list of (position, text)
    """

    points: list[Point]
    chosen: Point | None
    x_ticks: list[Tick]
    y_ticks: list[Tick]

    @property
    def line(self) -> str:
        """The points as an SVG polyline wants them."""
        return " ".join(f"{x:g},{y:g}" for x, y in self.points)


def draw(wce: Sequence[tuple[int, float]], n_clusters: int) -> Curve | None:
    """Place a curve in its box.

    Parameters
    ----------
    wce : sequence of (int, float)
        Number of groups, rising, and the error within them.
    n_clusters : int
        The number that was taken.

    Returns
    -------
    Curve or None
        None with fewer than two points, which are no curve.
    """
    if len(wce) < 2:
        return None
    numbers, errors = [n for n, _ in wce], [error for _, error in wce]
    across = _Scale(numbers[0], numbers[-1], _LEFT, WIDTH - _RIGHT)
    down = _Scale(min(errors), max(errors), HEIGHT - _BOTTOM, _TOP)
    points = [(across.at(n), down.at(error)) for n, error in wce]
    return Curve(
        points,
        dict(zip(numbers, points, strict=True)).get(n_clusters),
        [(across.at(n), f"{n:g}") for n in round_numbers(numbers[0], numbers[-1], least_step=1)],
        [(down.at(error), f"{error:,g}") for error in round_numbers(min(errors), max(errors))],
    )


@dataclass(frozen=True)
class _Scale:
    """Values from `low` to `high` onto positions from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + share * (self.end - self.start), 1)


def round_numbers(low: float, high: float, least_step: float = 0) -> list[float]:
    """Return a few round numbers between two, both counted in, for the ticks of an axis.

    Parameters
    ----------
    low, high : float
    least_step : float
        Numbers are at least so far apart.

    Returns
    -------
    list of float
        At most eight, rising: multiples of 1, 2 or 5 times a power of ten.
    """
    if high <= low:
        return [low]
    step = max(_round_up((high - low) / _STEPS), least_step)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(f"{n * step:.12g}") for n in range(first, last + 1)]


def _round_up(step: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, 50 and so on."""
    power = 10.0 ** math.floor(math.log10(step))
    return next((m * power for m in (1, 2, 5) if m * power >= step), 10 * power)
