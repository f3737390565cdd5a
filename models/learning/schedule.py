"""How many steps a training has, which share of them is done, and what follows from that. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

Knots = list[list[float]]


@dataclass(frozen=True)
class Schedule:
    """The planned length of a training, and its progress at each step.

    Attributes
    ----------
    n_steps : int
        Steps in all.
    knots : list of [step, share]
        The share of the training that is done, with straight lines between. The warm-up is before
        the first knot, so its steps are the same whatever the number of steps. Empty if there are
        no more steps than the warm-up has: the share stays 0.
    is_replanned : bool
        The number of steps changed during training, because the machine's speed did.
    """

    n_steps: int
    knots: Knots = field(default_factory=list)
    is_replanned: bool = False

    @classmethod
    def planned(cls, n_steps: int, warm_up_steps: int) -> Schedule:
        """Return the schedule of a training of n_steps that begins with a warm-up."""
        if n_steps <= warm_up_steps:
            return cls(n_steps)
        return cls(n_steps, [[warm_up_steps, 0.0], [n_steps, 1.0]])

    def share_done(self, step: int) -> float:
        """Return the share of the training that is done at a step, 0..1."""
        if not self.knots:
            return 0.0
        steps, shares = zip(*self.knots, strict=True)
        return float(np.interp(step, steps, shares))

    def replanned(self, step: int, n_steps: int) -> Schedule:
        """Return the schedule that continues from `step` and ends at n_steps >= step.

        The shares before `step` stay as they were.
        """
        if n_steps == step:
            return Schedule(n_steps, self.knots, is_replanned=True)
        past = [knot for knot in self.knots if knot[0] < step]
        if past:
            knots = [*past, [step, self.share_done(step)], [n_steps, 1.0]]
            return Schedule(n_steps, knots, is_replanned=True)
        warm_up_steps = int(self.knots[0][0]) if self.knots else n_steps  # still warming up
        return replace(Schedule.planned(n_steps, warm_up_steps), is_replanned=True)

    def cut(self, step: int) -> Schedule:
        """Return the schedule that ends at `step`."""
        return replace(self, n_steps=step)


def cosine_rate(rate: float, warm_up_steps: int, step: int, share: float) -> float:
    """Return the learning rate: up in a straight line, then down to 0 in half a cosine.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts",
    ICLR 2017, without the restarts.
    """
    up = min(1.0, (step + 1) / max(1, warm_up_steps))
    return rate * up * 0.5 * (1 + math.cos(math.pi * share))


def ramp(share: float, start: float, length: float) -> float:
    """Return 0 up to `start`, 1 from `start + length` on, and a straight line between."""
    return min(1.0, max(0.0, (share - start) / length))
