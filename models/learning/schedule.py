"""How far a training is, as a share of it, and what follows from that. Pure.

A schedule is a list of knots [step, share], with straight lines between. The steps of the warm-up
are before its first knot, so that they are the same before and after the number of steps is known.
"""

import math

import numpy as np

Knots = list[list[float]]


def knots_for(n_steps: int, warm_up_steps: int) -> Knots:
    """Return the schedule of a training of n_steps, which begins after the warm-up.

    With no more steps than the warm-up has, there is none: the share stays 0.
    """
    if n_steps <= warm_up_steps:
        return []
    return [[warm_up_steps, 0.0], [n_steps, 1.0]]


def replanned(knots: Knots, step: int, n_steps: int) -> Knots:
    """Return the schedule that goes on from here to end at another n_steps > step.

    What was before `step` stays as it was.
    """
    past = [knot for knot in knots if knot[0] < step]
    if not past:  # still warming up
        return knots_for(n_steps, int(knots[0][0])) if knots else []
    return [*past, [step, share_done(knots, step)], [n_steps, 1.0]]


def share_done(knots: Knots, step: int) -> float:
    """Return the share, 0..1; 0 as long as there is no schedule."""
    if not knots:
        return 0.0
    steps, shares = zip(*knots, strict=True)
    return float(np.interp(step, steps, shares))


def cosine_rate(rate: float, warm_up_steps: int, step: int, share: float) -> float:
    """Return the learning rate: up in a straight line, down to 0 in half a cosine.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts",
    ICLR 2017, without the restarts.
    """
    up = min(1.0, (step + 1) / max(1, warm_up_steps))
    return rate * up * 0.5 * (1 + math.cos(math.pi * share))


def ramp(share: float, start: float, length: float) -> float:
    """Return 0 up to `start`, 1 from `start + length` on, and a straight line between."""
    return min(1.0, max(0.0, (share - start) / length))
