import pytest

from models.learning.schedule import cosine_rate, knots_for, ramp, replanned, share_done


def test_schedule_begins_after_the_warm_up() -> None:
    """Of 50 + 100 steps the share is 0 until step 50, a half at 100, and 1 at the end."""
    knots = knots_for(150, 50)
    assert [share_done(knots, step) for step in (0, 50, 100, 150, 200)] == [0, 0, 0.5, 1, 1]


def test_there_is_no_schedule_when_there_are_few_steps() -> None:
    """A training no longer than its warm-up has no schedule, and one that is not planned yet."""
    assert knots_for(50, 50) == []
    assert share_done([], 7) == 0


def test_replanned_goes_on_from_where_it_is() -> None:
    """Half-way through 100 steps, 25 are left instead of 50: what was stays, and 1 comes sooner."""
    knots = replanned(knots_for(150, 50), 100, 125)
    assert [share_done(knots, step) for step in (75, 100, 112.5, 125)] == [0.25, 0.5, 0.75, 1]


def test_replanned_twice_stays_monotone() -> None:
    """Whatever the end, the share only grows, and reaches 1."""
    knots = replanned(replanned(knots_for(150, 50), 100, 125), 110, 115)
    shares = [share_done(knots, step) for step in range(116)]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_replanned_while_warming_up_plans_anew() -> None:
    """Nothing of the schedule has passed yet."""
    assert replanned(knots_for(150, 50), 10, 90) == knots_for(90, 50)


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
