from dataclasses import replace

import pytest

from models.learning.budget import CHECKPOINT_S, N_PACED_STEPS, Budget, Pace, Stopwatch
from models.learning.schedule import Schedule

# Rounds of 52 steps are 13 epochs.
MINUTE = Budget(steps=None, epochs=None, minutes=1, steps_per_epoch=4, default_max_steps=2500)


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("limits", "max_steps", "seconds"),
    [
        ({}, 2500, 60),
        ({"epochs": 3}, 12, 60),
        ({"epochs": 3, "steps": 7}, 7, None),
        ({"minutes": None}, 2500, None),
    ],
    ids=["minutes", "epochs", "steps", "none"],
)
def test_steps_go_before_epochs_and_minutes(
    limits: dict[str, int], max_steps: int, seconds: float | None
) -> None:
    """An exact number of steps has no time limit; epochs have the one of the minutes, too."""
    budget = replace(MINUTE, **limits)
    assert (budget.max_steps, budget.seconds) == (max_steps, seconds)


@pytest.mark.parametrize(
    ("steps_per_epoch", "expected"), [(1, 50), (4, 52), (50, 50), (70, 70), (501, 500)], ids=str
)
def test_validation_follows_whole_epochs_of_at_least_fifty_steps(
    steps_per_epoch: int, expected: int
) -> None:
    """And never more than 500 steps."""
    assert replace(MINUTE, steps_per_epoch=steps_per_epoch).steps_per_validation == expected


@pytest.mark.parametrize(
    ("limits", "step", "expected"),
    [
        ({"steps": 70}, 70, "steps"),
        ({"epochs": 3}, 12, "epochs"),
        ({"epochs": 3}, 11, "minutes"),
        ({}, 2500, "epochs"),
    ],
    ids=str,
)
def test_limit_reached_names_the_setting(limits: dict[str, int], step: int, expected: str) -> None:
    """Fewer steps than the settings allow: the time was up."""
    assert replace(MINUTE, **limits).limit_reached(step) == expected


# ---------------------------------------------------------------- minutes as steps


@pytest.mark.parametrize(
    ("step", "durations_s", "expected"),
    [
        (6, [9, 9, 0.5, 0.5, 0.5, 0.5], False),
        (7, [9, 9, 0.5, 0.5, 0.5, 0.5, 0.5], True),
        (7, [9, 9, 0.3, 0.3, 0.3, 0.3, 0.3], False),
        (48, [0.01] * 48, False),
        (49, [0.01] * 49, True),
        (49, [0.01] * 3, True),
    ],
    ids=["four", "five", "too short", "many", "before validation", "resumed before validation"],
)
def test_first_steps_are_timed_for_a_share_of_the_minutes(
    step: int, durations_s: list[float], expected: bool
) -> None:
    """Five steps after the two that build the graph, and 3 % of 60 s, before a validation."""
    assert MINUTE.has_timed_enough(step, durations_s) is expected


def test_minutes_are_budgeted_with_validation() -> None:
    """Steps of 0.1 s, rounds of 52 steps and validations of 5.2 s: 0.2 s a step in all.

    60 - 14.8 - 5.2 for the last validation = 40 s left.
    """
    durations_s = [9.0, 9.0] + [0.1] * 5
    assert MINUTE.affordable_steps(durations_s, 14.8, 5.2, 0.0) == pytest.approx(200, abs=1)
    assert MINUTE.affordable_steps(durations_s, 14.8, 5.2, 20.0) == pytest.approx(100, abs=1)


def test_no_more_steps_are_affordable_when_the_time_is_up() -> None:
    """Or when there were none to time."""
    assert MINUTE.affordable_steps([9.0, 9.0, 0.1], 61.0, 1.0, 0.0) == 0
    assert MINUTE.affordable_steps([9.0, 9.0], 18.0, 1.0, 0.0) == 0


def test_time_is_kept_for_the_end() -> None:
    """A tenth of a minute to export, and 20 batches; 15 s of an hour; nothing without a limit."""
    assert MINUTE.finish_s(20, 0.1) == pytest.approx(8)
    assert replace(MINUTE, minutes=60).finish_s(20, 0.1) == pytest.approx(17)
    assert MINUTE.finish_s(0, 0.1) == 0
    assert replace(MINUTE, steps=7).finish_s(20, 0.1) == 0


def test_overrun_is_a_tenth_more_than_the_minutes() -> None:
    """Without a limit there is none."""
    assert not MINUTE.is_overrun(65)
    assert MINUTE.is_overrun(67)
    assert not replace(MINUTE, minutes=None).is_overrun(10**6)


# ---------------------------------------------------------------- a machine that becomes slower

LONGER = replace(MINUTE, minutes=100 / 60)


def test_schedule_is_shortened_when_the_machine_became_slow() -> None:
    """Of 100 s, 40 are spent and 10 kept for the end: there is time for 25 steps of 2 s more."""
    adjusted = LONGER.adjusted(Schedule.planned(120, 6), 20, 40.0, 2.0, 10.0)
    assert adjusted == Schedule.planned(120, 6).replanned(20, 45)
    assert LONGER.adjusted(adjusted, 20, 40.0, 2.0, 10.0) == adjusted  # now it fits


def test_schedule_is_lengthened_again_when_it_was_a_passing_load() -> None:
    """70 s are left, at 1 s a step."""
    shortened = Schedule.planned(120, 6).replanned(20, 45)
    assert LONGER.adjusted(shortened, 20, 20.0, 1.0, 10.0).n_steps == 90


def test_schedule_that_was_never_shortened_stays_when_the_machine_is_faster() -> None:
    """So the same number of steps repeats it."""
    schedule = Schedule.planned(45, 6)
    assert LONGER.adjusted(schedule, 20, 20.0, 1.0, 10.0) == schedule


def test_schedule_stays_when_the_machine_is_as_fast() -> None:
    """28 steps of 2 s in 50 s are a tenth too much."""
    schedule = Schedule.planned(48, 6)
    assert LONGER.adjusted(schedule, 20, 40.0, 2.0, 10.0) == schedule


def test_schedule_ends_at_once_when_no_time_is_left() -> None:
    """But never before the present step."""
    assert LONGER.adjusted(Schedule.planned(48, 6), 20, 150.0, 2.0, 10.0).n_steps == 20


def test_schedule_is_not_lengthened_beyond_the_epochs() -> None:
    """Ten of four steps."""
    shortened = Schedule.planned(120, 6).replanned(20, 30)
    few = replace(LONGER, epochs=10)
    assert few.adjusted(shortened, 20, 20.0, 1.0, 10.0).n_steps == 40


@pytest.mark.parametrize(
    ("budget", "step"), [(LONGER, 48), (replace(LONGER, minutes=None), 20)], ids=["end", "no limit"]
)
def test_schedule_stays_when_there_is_nothing_to_adjust(budget: Budget, step: int) -> None:
    """Nothing is left to do, or there is no hurry."""
    schedule = Schedule.planned(48, 6)
    assert budget.adjusted(schedule, step, 1000.0, 2.0, 10.0) is schedule


# ---------------------------------------------------------------- measuring


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.s


def test_stopwatch_counts_on_after_an_interruption() -> None:
    """From the seconds that were spent before."""
    time = Time()
    stopwatch = Stopwatch(40.0, time)
    time.s += 2.5
    assert stopwatch.seconds() == 42.5


def test_checkpoint_is_due_when_the_last_one_is_old() -> None:
    """Counted from the start, then from the last checkpoint."""
    time = Time()
    stopwatch = Stopwatch(now=time)
    time.s += CHECKPOINT_S
    assert not stopwatch.is_checkpoint_due()
    time.s += 1
    assert stopwatch.is_checkpoint_due()
    stopwatch.saved()
    assert not stopwatch.is_checkpoint_due()


def test_pace_is_known_after_twenty_steps() -> None:
    """From the first step that it was asked at."""
    pace = Pace()
    assert pace.step_s(5, 10.0) is None
    assert pace.step_s(5 + N_PACED_STEPS - 1, 60.0) is None
    assert pace.step_s(5 + N_PACED_STEPS, 50.0) == 2.0
