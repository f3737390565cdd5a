"""How long a training may take: steps, epochs or minutes, and what minutes mean in steps.

`Budget` is arithmetic on measured seconds; `Stopwatch` and `Pace` measure them.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.learning.schedule import Schedule

# An epoch of a small collection takes a moment, and validating after each would take longer than
# training. So several epochs share a validation.
MIN_STEPS_PER_VALIDATION = 50
# An epoch of a large collection takes longer than anyone waits for news.
MAX_STEPS_PER_VALIDATION = 500
N_UNTIMED_STEPS = 2  # the first steps also build the graph
N_TIMED_STEPS = 5
TIMED_SHARE = 0.03  # of the minutes, at most TIMED_S
TIMED_S = 15.0
N_PACED_STEPS = 20  # before the pace of the machine is judged again
OVERRUN = 1.1  # plan again if the training would take this many times its minutes
EXPORT_S = 15.0  # to export a network, at most a tenth of the minutes
CHECKPOINT_S = 45.0  # between two checkpoints


@dataclass(frozen=True)
class Budget:
    """How long a training may take.

    Attributes
    ----------
    steps : int or None
        If given, the training has exactly this many, whatever `minutes` and `epochs` are.
    epochs : int or None
    minutes : float or None
        For training, validation and export together.
    steps_per_epoch : int
    default_max_steps : int
        Upper limit where neither `steps` nor `epochs` is given.
    """

    steps: int | None
    epochs: int | None
    minutes: float | None
    steps_per_epoch: int
    default_max_steps: int

    @property
    def seconds(self) -> float | None:
        """Return the time limit, or None if there is none."""
        if self.steps is not None or self.minutes is None:
            return None
        return 60 * self.minutes

    @property
    def max_steps(self) -> int:
        """Return the number of steps that are allowed, apart from the time limit."""
        if self.steps is not None:
            return self.steps
        if self.epochs is not None:
            return self.epochs * self.steps_per_epoch
        return self.default_max_steps

    @property
    def steps_per_validation(self) -> int:
        """Return the steps between two validations: whole epochs where possible."""
        n_epochs = -(-MIN_STEPS_PER_VALIDATION // self.steps_per_epoch)
        return min(n_epochs * self.steps_per_epoch, MAX_STEPS_PER_VALIDATION)

    def limit_reached(self, step: int) -> str:
        """Return which limit ends a training at this step: "steps", "epochs" or "minutes"."""
        if self.steps is not None:
            return "steps"
        return "epochs" if step >= self.max_steps else "minutes"

    def has_timed_enough(self, step: int, durations_s: Sequence[float]) -> bool:
        """Say whether the steps of this process up to `step` are enough to plan with."""
        assert self.seconds is not None
        if step >= MIN_STEPS_PER_VALIDATION - 1:
            return True  # the next step may need a validation, or the number of steps
        timed = durations_s[N_UNTIMED_STEPS:]
        least_s = min(TIMED_S, TIMED_SHARE * self.seconds)
        return len(timed) >= N_TIMED_STEPS and sum(timed) >= least_s

    def affordable_steps(
        self, durations_s: Sequence[float], spent_s: float, validation_s: float, finish_s: float
    ) -> int:
        """Return how many more steps, with their validations, the rest of the time allows.

        Parameters
        ----------
        durations_s : sequence of float
            Of the first steps in this process. With no more than `N_UNTIMED_STEPS` of them, no
            more are affordable: the settings allow no more.
        spent_s : float
            Since the training began.
        validation_s, finish_s : float
            Of one validation, and of what follows the last one.
        """
        assert self.seconds is not None
        timed = durations_s[N_UNTIMED_STEPS:]
        if not timed:
            return 0
        left_s = self.seconds - spent_s - validation_s - finish_s
        step_s = float(np.mean(timed))
        return max(0, int(left_s / (step_s + validation_s / self.steps_per_validation)))

    def finish_s(self, n_batches: float, batch_s: float) -> float:
        """Return the seconds to keep for the end: n_batches of batch_s each, and the export."""
        if self.seconds is None or n_batches == 0:
            return 0.0
        return min(EXPORT_S, self.seconds / 10) + batch_s * n_batches

    def is_overrun(self, spent_s: float) -> bool:
        """Say whether much more time is spent than there was."""
        return self.seconds is not None and spent_s > OVERRUN * self.seconds

    def adjusted(
        self, schedule: Schedule, step: int, spent_s: float, step_s: float, finish_s: float
    ) -> Schedule:
        """Return the schedule, shortened if at this pace it would take much longer than it may.

        Once shortened, it may become longer again: the machine may have been busy for a moment.

        Parameters
        ----------
        schedule : Schedule
        step : int
            Steps done.
        spent_s, finish_s : float
            Since the training began, and needed after its last step.
        step_s : float
            Pace: seconds per step, with all that is done between two steps.
        """
        if self.seconds is None or step >= schedule.n_steps:
            return schedule
        left_s = self.seconds - spent_s - finish_s
        late_s = (schedule.n_steps - step) * step_s - left_s
        tolerated_s = (OVERRUN - 1) * self.seconds
        is_early = schedule.is_replanned and late_s < -tolerated_s
        if not is_early and late_s <= tolerated_s:
            return schedule
        n_steps = min(self.max_steps, step + max(0, int(left_s / step_s)))
        return schedule.replanned(step, n_steps)


class Stopwatch:
    """Seconds of a training, those before an interruption included.

    Parameters
    ----------
    seconds_before : float
        Spent in earlier processes.
    now : callable
        Gives the time in seconds.
    """

    def __init__(
        self, seconds_before: float = 0.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._start = now() - seconds_before
        self._saved = now()

    def seconds(self) -> float:
        """Return the seconds so far."""
        return self._now() - self._start

    def saved(self) -> None:
        """Note that a checkpoint was written."""
        self._saved = self._now()

    def is_checkpoint_due(self) -> bool:
        """Say whether the last checkpoint is old."""
        return self._now() - self._saved > CHECKPOINT_S


class Pace:
    """Seconds per step in this process, with all that is done between two steps."""

    def __init__(self) -> None:
        self._start: tuple[int, float] | None = None

    def step_s(self, step: int, seconds: float) -> float | None:
        """Return the pace since the first call, or None before `N_PACED_STEPS` more steps."""
        if self._start is None:
            self._start = step, seconds
        n_steps = step - self._start[0]
        return (seconds - self._start[1]) / n_steps if n_steps >= N_PACED_STEPS else None
