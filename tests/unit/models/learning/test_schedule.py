from dataclasses import replace

import pytest

from models.learning.schedule import Schedule, cosine_rate, ramp

PLANNED = Schedule.planned(150, warm_up_steps=50)


def test_schedule_begins_after_the_warm_up() -> None:
    """Of 50 + 100 steps the share is 0 until step 50, a half at 100, and 1 at the end."""
    shares = [PLANNED.share_done(step) for step in (0, 50, 100, 150, 200)]
    assert shares == [0, 0, 0.5, 1, 1]


def test_share_stays_zero_when_there_are_few_steps() -> None:
    """A training no longer than its warm-up never gets beyond it."""
    few = Schedule.planned(50, warm_up_steps=50)
    assert (few.n_steps, few.knots, few.share_done(7)) == (50, [], 0)


def test_replanned_continues_from_where_it_is() -> None:
    """Half-way through 100 steps, 25 are left instead of 50: the past stays, 1 comes sooner."""
    schedule = PLANNED.replanned(100, 125)
    shares = [schedule.share_done(step) for step in (75, 100, 112.5, 125)]
    assert (schedule.n_steps, shares) == (125, [0.25, 0.5, 0.75, 1])


def test_replanned_twice_stays_monotone() -> None:
    """Whatever the end, the share only grows, and reaches 1."""
    schedule = PLANNED.replanned(100, 125).replanned(110, 115)
    shares = [schedule.share_done(step) for step in range(116)]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_replanned_while_warming_up_plans_anew() -> None:
    """Nothing of the schedule has passed yet."""
    expected = replace(Schedule.planned(90, warm_up_steps=50), is_replanned=True)
    assert PLANNED.replanned(10, 90) == expected


def test_replanned_to_end_at_once_keeps_the_shares() -> None:
    """No step is left, so none needs another share."""
    assert PLANNED.replanned(100, 100) == Schedule(100, PLANNED.knots, is_replanned=True)


def test_cut_ends_sooner_with_the_same_shares() -> None:
    """The steps that are done were no part of another plan."""
    assert PLANNED.cut(120) == Schedule(120, PLANNED.knots)


@pytest.mark.parametrize(
    ("step", "share", "rate"),
    [(0, 0.0, 0.1), (4, 0.0, 0.5), (9, 0.0, 1.0), (50, 0.5, 0.5), (99, 1.0, 0.0)],
    ids=["first", "half up", "up", "half down", "end"],
)
def test_rate_rises_and_falls(step: int, share: float, rate: float) -> None:
    """In ten steps up, then down in half a cosine: half of it half-way."""
    assert cosine_rate(1.0, 10, step, share) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("share", "weight"), [(0.1, 0.0), (0.2, 0.0), (0.25, 0.5), (0.3, 1.0), (1.0, 1.0)], ids=str
)
def test_ramp_is_a_straight_line(share: float, weight: float) -> None:
    """From 0 at 0.2 to 1 at 0.3."""
    assert ramp(share, 0.2, 0.1) == pytest.approx(weight)
