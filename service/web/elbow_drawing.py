"""The drawing of the elbow curve: coordinates for the template. No Flask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 14, 38  # margins for ticks and titles
_STEPS = 7  # ticks of an axis, roughly

Point = tuple[float, float]
Tick = tuple[float, str]


@dataclass(frozen=True)
class Curve:
    """The error within groups by the number of groups, in a box of WIDTH x HEIGHT SVG units.

    Attributes
    ----------
    points : list of (float, float)
        x and y for each number of groups, from left to right; y grows downwards.
    chosen : (float, float) or None
        The point of the chosen number of groups; None if it is not on the curve.
    x_ticks, y_ticks : list of (float, str)
        Position on the axis, and label.
    """

    points: list[Point]
    chosen: Point | None
    x_ticks: list[Tick]
    y_ticks: list[Tick]

    @property
    def line(self) -> str:
        """The points as the `points` attribute of an SVG polyline."""
        return " ".join(f"{x:g},{y:g}" for x, y in self.points)


def draw(wce: Sequence[tuple[int, float]], n_clusters: int) -> Curve | None:
    """Scale a curve to its box.

    Parameters
    ----------
    wce : sequence of (int, float)
        Number of groups, ascending, and the error within them.
    n_clusters : int
        The chosen number of groups.

    Returns
    -------
    Curve or None
        None for fewer than two points.
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
        [(across.at(n), f"{n:g}") for n in round_numbers(numbers[0], numbers[-1], min_step=1)],
        [(down.at(error), f"{error:,g}") for error in round_numbers(min(errors), max(errors))],
    )


@dataclass(frozen=True)
class _Scale:
    """A linear scale from the values [low, high] to the positions [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + share * (self.end - self.start), 1)


def round_numbers(low: float, high: float, min_step: float = 0) -> list[float]:
    """Return round numbers in [low, high] for the ticks of an axis.

    Parameters
    ----------
    low, high : float
    min_step : float
        Minimum distance between two numbers.

    Returns
    -------
    list of float
        At most eight, ascending: multiples of 1, 2 or 5 times a power of ten.
    """
    if high <= low:
        return [low]
    step = max(_round_up((high - low) / _STEPS), min_step)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(f"{n * step:.12g}") for n in range(first, last + 1)]


def _round_up(step: float) -> float:
    """Return the smallest of ..., 1, 2, 5, 10, 20, 50, ... that is at least `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next((m * power for m in (1, 2, 5) if m * power >= step), 10 * power)
