"""Train an autoencoder: so many minutes, epochs or steps, resumed after any interruption.

Everything that a step does follows from the seed and the step's number, so the weights after
N steps are the same whether the run was interrupted or not. Minutes are turned into a number
of steps once, at the start, and from then on only steps count, unless the machine becomes slower.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.autoencoder import ARCHITECTURES
from models.errors import EncodingCollapse, ObjectiveMismatch, TooFewImages, TrainingDiverged
from models.learning.batches import ImageSource, read_ahead, read_scaled
from models.learning.checkpoint import TrainingState, load_state, save_state
from models.learning.collapse import collapse_reason
from models.learning.contrastive import ContrastiveLearner, has_bfloat16
from models.learning.learner import Learner, ReconstructionLearner
from models.learning.schedule import knots_for, replanned, share_done
from models.runtime.quiet import quiet_stderr

with quiet_stderr():
    import keras

Progress = Callable[..., Any]
OnEpoch = Callable[[dict[str, Any]], None]
QUIET: Progress = partial(tqdm, disable=True)

CONTRASTIVE, RECONSTRUCTION = "contrastive", "reconstruction"
# An epoch of a small collection is a moment; validating and reporting each would take longer
# than training. So several are taken together.
MIN_STEPS_A_ROUND = 50
# ... and an epoch of a large one is longer than anyone waits for news.
MAX_STEPS_A_ROUND = 500
N_WARM_UP_STEPS = 2  # the first ones also build the graph
N_TIMED_STEPS = 5
TIMED_SHARE = 0.03  # of the minutes, at most TIMED_S
TIMED_S = 15.0
N_PACED_STEPS = 20  # before the pace of a machine is judged anew
OVERRUN = 1.1  # plan anew when a machine that has become slow would take this much longer
EXPORT_S = 15.0  # what it takes to export a network, at most a tenth of the minutes
CHECKPOINT_S = 45.0
N_COLLAPSE_SAMPLE = 256
SMALL_SIDE_PX = 16  # of the pictures that encodings are compared with


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes
    ----------
    architecture : str
        Name in `models.autoencoder.ARCHITECTURES`.
    objective : str or None
        "contrastive" or "reconstruction". None: contrastive where the architecture can.
    seed : int
        Of the first weights, the split, the order of pictures and their views.
    minutes : float or None
        Time for training, validation and export together, on this machine.
    epochs : int or None
        Passes over the training pictures. None: at most 50 (or 2,500 steps if that is more);
        contrastive 400 (1,500 steps).
    steps : int or None
        Batches. If given, minutes and epochs are not minded: it repeats an earlier run exactly.
    batch_size : int or None
        None: the architecture's own.
    validation_share : float
        Of the pictures, never trained on. Contrastive training uses all of them.
    patience : int
        Stop after so many validations in a row without a smaller loss. Contrastive training
        never does: its rate has to fall to 0.
    """

    architecture: str = "deep"
    objective: str | None = None
    seed: int = 0
    minutes: float | None = 30.0
    epochs: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    validation_share: float = 0.2
    patience: int = 5


@dataclass(frozen=True)
class TrainingResult:
    """What training gave.

    Attributes
    ----------
    autoencoder : keras.Model
        With the weights of the validation with the smallest loss; contrastive: with the last.
    history : list of dict
        One for each validation: epoch (passes so far), step, loss (mean of training since the
        last one), val_loss, pictures_per_s, seconds; and the parts of the loss, if it has any.
    n_steps : int
        `TrainingSettings(steps=n_steps)` repeats this run exactly.
    best_step : int
        When the weights were as they are in `autoencoder`.
    seconds : float
        Over all interruptions.
    stopped_by : str
        "minutes", "epochs", "steps" or "val_loss".
    n_training, n_validation : int
        Pictures.
    is_validation_shared : bool
        No pictures were set aside: `val_loss` is of training pictures.
    precision : str
        "bfloat16" if that was used where it does no harm, else "float32".
    encoding_norm : float
        Median length of an encoding.
    """

    autoencoder: keras.Model
    history: list[dict[str, Any]]
    n_steps: int
    best_step: int
    seconds: float
    stopped_by: str
    n_training: int
    n_validation: int
    is_validation_shared: bool
    precision: str
    encoding_norm: float


def train(
    images: ImageSource,
    settings: TrainingSettings,
    folder: Path,
    progress: Progress = QUIET,
    on_epoch: OnEpoch | None = None,
) -> TrainingResult:
    """Train an autoencoder, or finish an interrupted training, or return a finished one.

    Parameters
    ----------
    images : ImageSource
        Read a few batches ahead by one other thread; not held in memory.
    settings : TrainingSettings
    folder : Path
        For the checkpoint: after each validation, at least once a minute, and when interrupted.
        One of other settings or pictures is replaced.
    progress : callable, optional
        As tqdm.
    on_epoch : callable, optional
        Gets each new entry of the history.

    Returns
    -------
    TrainingResult

    Raises
    ------
    TooFewImages
        If there is no picture.
    ObjectiveMismatch
        If the architecture has no such objective.
    TrainingDiverged
        If the loss is no longer finite. The checkpoint stays as it was before.
    EncodingCollapse
        If different pictures get (nearly) equal encodings.
    TrainingError
        If the checkpoint cannot be read.
    KeyboardInterrupt
        Goes on upwards after a checkpoint was written.

    Notes
    -----
    Seeds Python's, NumPy's and TensorFlow's global generators. What is minimised and how is told
    in models/learning/learner.py and models/learning/contrastive.py.
    """
    if len(images) < 1:
        raise TooFewImages("there is no picture to train on; name a folder with pictures")
    run = _Run(images, settings, folder, progress, on_epoch)
    run.resume()
    if run.state.stopped_by is None:
        run.go()
    return run.result()


def objective_of(settings: TrainingSettings) -> str:
    """Return the objective that settings name or imply.

    Raises
    ------
    ObjectiveMismatch
        If the architecture has no such objective.
    """
    can_contrast = ARCHITECTURES[settings.architecture].recipe is not None
    objective = settings.objective or (CONTRASTIVE if can_contrast else RECONSTRUCTION)
    if objective == CONTRASTIVE and not can_contrast:
        raise ObjectiveMismatch(
            f"the {settings.architecture} network cannot be trained with --objective contrastive; "
            "take --architecture deep, or --objective reconstruction"
        )
    return objective


def _learner(settings: TrainingSettings, n_images: int, precision: str) -> Learner:
    architecture, objective = ARCHITECTURES[settings.architecture], objective_of(settings)
    if objective == RECONSTRUCTION:
        share, size = settings.validation_share, settings.batch_size
        return ReconstructionLearner(architecture, n_images, share, size, settings.seed)
    in_bfloat16 = precision == "bfloat16"
    return ContrastiveLearner(
        architecture, n_images, settings.batch_size, settings.seed, in_bfloat16
    )


def _precision(settings: TrainingSettings) -> str:
    """Return "bfloat16" where it is used: decided once, and part of a training's identity."""
    contrasts = objective_of(settings) == CONTRASTIVE
    return "bfloat16" if contrasts and has_bfloat16() else "float32"


class _Run:
    """One training: learner, state, clock."""

    def __init__(
        self,
        images: ImageSource,
        settings: TrainingSettings,
        folder: Path,
        progress: Progress,
        on_epoch: OnEpoch | None,
    ) -> None:
        self.images, self.settings, self.folder = images, settings, folder
        self.progress, self.on_epoch = progress, on_epoch
        precision = _precision(settings)
        self.learner = _learner(settings, len(images), precision)
        self.split, self.batch_size = self.learner.split, self.learner.batch_size
        self.state = TrainingState(_identity(images, settings, precision))
        self.clock = _Clock(0.0)
        self.durations: list[float] = []
        self.encode_s = 0.0  # of a batch
        self.pace_from: tuple[int, float] | None = None  # step and seconds

    # ---------------------------------------------------------------- the whole

    def resume(self) -> None:
        """Take over the checkpoint, if there is one of the same training."""
        state = load_state(self.folder)
        if state is not None and state.identity == self.state.identity:
            self.state = state
            self.learner.restore(state.weights, state.optimizer)
        self.clock = _Clock(self.state.seconds)

    def go(self) -> None:
        """Train to the end; whatever ends it, the checkpoint holds the last whole step."""
        try:
            if self.state.n_steps is None:
                self._time_first_steps()
            self._run_all()
        except KeyboardInterrupt:
            self.save()
            raise

    def result(self) -> TrainingResult:
        """Return the finished training."""
        state = self.state
        assert state.stopped_by is not None
        self.learner.autoencoder.set_weights(state.best_weights)
        return TrainingResult(
            autoencoder=self.learner.autoencoder,
            history=state.history,
            n_steps=state.step,
            best_step=state.best_step,
            seconds=state.seconds,
            stopped_by=state.stopped_by,
            n_training=len(self.split.training),
            n_validation=len(self.split.validation),
            is_validation_shared=self.split.is_shared,
            precision=state.identity["precision"],
            encoding_norm=state.encoding_norm,
        )

    def save(self) -> None:
        """Write the checkpoint."""
        self.state.step = self.learner.step
        self.state.weights, self.state.optimizer = self.learner.weights(), self.learner.memory()
        self.state.seconds = self.clock.seconds()
        save_state(self.state, self.folder)
        self.clock.saved()

    # ---------------------------------------------------------------- how long

    @property
    def steps_a_round(self) -> int:
        """Steps between two validations: whole passes where possible."""
        steps_a_pass = self.learner.steps_a_pass()
        n_passes = -(-MIN_STEPS_A_ROUND // steps_a_pass)
        return min(n_passes * steps_a_pass, MAX_STEPS_A_ROUND)

    def _longest(self) -> int:
        """Return the number of steps that settings allow, apart from minutes."""
        if self.settings.steps is not None:
            return self.settings.steps
        if self.settings.epochs is not None:
            return self.settings.epochs * self.learner.steps_a_pass()
        learner = self.learner
        return max(learner.most_epochs * learner.steps_a_pass(), learner.most_steps_of_few)

    def _plan(self, n_steps: int) -> None:
        """Settle the number of steps."""
        self.state.n_steps = n_steps
        self.state.knots = knots_for(n_steps, self.learner.warm_up_steps)

    def _time_first_steps(self) -> None:
        """Turn minutes into steps, once."""
        longest, budget_s = self._longest(), self._budget_s()
        if budget_s is None:
            self._plan(longest)
            return
        with self.progress(desc="training: timing the first steps", unit="step") as bar:
            for _ in self._steps(longest):
                bar.update(1)
                if self._is_timed(budget_s):
                    break
            n_more = self._affordable_steps(budget_s)
        self._plan(min(longest, self.learner.step + n_more))
        self.save()

    def _budget_s(self) -> float | None:
        if self.settings.steps is not None or self.settings.minutes is None:
            return None
        return 60 * self.settings.minutes

    def _is_timed(self, budget_s: float) -> bool:
        # The next step may need a validation, or to know how many there will be.
        if self.learner.step >= MIN_STEPS_A_ROUND - 1:
            return True
        timed = self.durations[N_WARM_UP_STEPS:]
        return len(timed) >= N_TIMED_STEPS and sum(timed) >= min(TIMED_S, TIMED_SHARE * budget_s)

    def _affordable_steps(self, budget_s: float) -> int:
        """Return how many more steps, with their validations, the rest of the time is good for."""
        timed = self.durations[N_WARM_UP_STEPS:]
        if not timed:  # the settings allow no more than the warm-up
            return 0
        validation_s = self._time_validation()
        left_s = budget_s - self.clock.seconds() - validation_s - self._finish_s(budget_s)
        step_s = float(np.mean(timed)) + validation_s / self.steps_a_round
        return max(0, int(left_s / step_s))

    def _time_validation(self) -> float:
        """Return the seconds of one validation, from its second batch (the first builds graphs)."""
        rows = self.split.validation[: self.batch_size]
        for _ in range(2):
            start = time.perf_counter()
            pictures = read_scaled(self.images, rows, self.learner.side_px)
            self.learner.validate(pictures)
            self.encode_s = -time.perf_counter()
            self.learner.encode(pictures)
            self.encode_s += time.perf_counter()
        return (time.perf_counter() - start) * len(self.split.validation) / len(rows)

    def _finish_s(self, budget_s: float) -> float:
        """Return the seconds that are needed after the last step."""
        n_batches = self.learner.batches_to_finish(self.state.n_steps or self._longest())
        if n_batches == 0:
            return 0.0
        return min(EXPORT_S, budget_s / 10) + self.encode_s * n_batches

    # ---------------------------------------------------------------- steps

    def _run_all(self) -> None:
        assert self.state.n_steps is not None
        with self.progress(total=self.state.n_steps, desc="training", unit="step") as bar:
            bar.update(self.learner.step)
            self._validate_if_due(bar)  # an interrupt may have come just before it
            if self.state.stopped_by is not None:
                return
            for _ in self._steps(self.state.n_steps):
                bar.update(1)
                self._mind_the_clock()
                self._validate_if_due(bar)
                if self.state.stopped_by is not None:
                    return
                if self.clock.is_checkpoint_due():
                    self.save()

    def _steps(self, n_steps: int) -> Iterator[int]:
        """Do the steps up to n_steps and yield after each."""
        rows = (self.learner.rows(step) for step in range(self.learner.step, n_steps))
        start = time.perf_counter()
        for pictures in read_ahead(self.images, rows, self.learner.side_px):
            self._learn(pictures)
            self.durations.append(time.perf_counter() - start)
            yield self.learner.step
            start = time.perf_counter()

    def _learn(self, pictures: NDArray[np.float32]) -> None:
        parts = self.learner.learn(pictures, share_done(self.state.knots, self.learner.step))
        loss = parts.pop("loss")
        if not np.isfinite(loss):
            raise TrainingDiverged(
                f"the loss is {loss} after {self.learner.step} steps; try another --seed, and see "
                "whether the pictures are what you expect"
            )
        state = self.state
        state.loss_sum += loss
        state.n_losses += 1
        state.part_sums = {k: state.part_sums.get(k, 0.0) + v for k, v in parts.items()}

    def _mind_the_clock(self) -> None:
        budget_s = self._budget_s()
        if budget_s is None:
            return
        if not self.learner.ends_by_loss:
            self._keep_pace(budget_s)
        elif self.clock.seconds() > OVERRUN * budget_s:
            self.state.n_steps = self.learner.step

    def _keep_pace(self, budget_s: float) -> None:
        """Plan anew if at the pace so far it would take much longer than it may.

        Once that was done, also if there is much time left: it may have been a passing load.
        """
        state, step, n_steps = self.state, self.learner.step, self.state.n_steps or 0
        step_s = self._pace()
        if step_s is None or step >= n_steps:
            return
        left_s = budget_s - self.clock.seconds() - self._finish_s(budget_s)
        late_s = (n_steps - step) * step_s - left_s
        tolerated_s = (OVERRUN - 1) * budget_s
        if late_s > tolerated_s or (state.is_replanned and late_s < -tolerated_s):
            state.is_replanned = True
            state.n_steps = min(self._longest(), step + max(0, int(left_s / step_s)))
            if state.n_steps > step:
                state.knots = replanned(state.knots, step, state.n_steps)

    def _pace(self) -> float | None:
        """Return the seconds of a step, with all that is done between, in this process."""
        if self.pace_from is None:
            self.pace_from = self.learner.step, self.clock.seconds()
        n_steps = self.learner.step - self.pace_from[0]
        if n_steps < N_PACED_STEPS:
            return None
        return (self.clock.seconds() - self.pace_from[1]) / n_steps

    # ---------------------------------------------------------------- validation

    def _validate_if_due(self, bar: Any) -> None:
        step = self.learner.step
        at_end = step >= (self.state.n_steps or 0)
        if self.state.validated_step == step and not at_end:
            return
        if step % self.steps_a_round and not at_end:
            return
        if at_end:
            self._finish()
        entry = self._validated()
        bar.set_postfix_str(_summary(entry, self.split.is_shared))
        self._judge(entry["val_loss"], at_end)
        self.save()
        if self.on_epoch is not None:
            self.on_epoch(entry)

    def _finish(self) -> None:
        learner, rows = self.learner, self.learner.rows_to_finish()
        side_px = learner.finishing_side_px
        # As many pixels at a time as in a step.
        n = max(1, self.batch_size * learner.side_px**2 // side_px**2)
        cuts = [rows[i : i + n] for i in range(0, len(rows), n)]
        learner.finish(read_ahead(self.images, cuts, side_px))

    def _validated(self) -> dict[str, Any]:
        """Validate, add to the history, and start anew to sum up losses."""
        state, step = self.state, self.learner.step
        n_losses = max(state.n_losses, 1)
        training_s = max(sum(self.durations[-n_losses:]), 1e-9)
        n_timed = min(n_losses, len(self.durations))
        loss = state.loss_sum / n_losses
        parts = {name: total / n_losses for name, total in state.part_sums.items()}
        val_loss = self._validation_loss()
        state.loss_sum, state.n_losses, state.validated_step = 0.0, 0, step
        state.part_sums = {}
        self.durations.clear()
        entry: dict[str, Any] = {
            "epoch": round(step / self.learner.steps_a_pass(), 2),
            "step": step,
            "loss": loss,
            "val_loss": val_loss,
            "pictures_per_s": round(n_timed * self.batch_size / training_s, 1),
            "seconds": round(self.clock.seconds(), 1),
        }
        if parts:
            entry["parts"] = parts
        state.history.append(entry)
        return entry

    def _validation_loss(self) -> float:
        """Return the mean loss; on the way, see whether encodings still differ."""
        rows = self.split.validation
        cuts = [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        losses: list[float] = []
        sample: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        for pictures in read_ahead(self.images, cuts, self.learner.side_px):
            losses.append(self.learner.validate(pictures))
            if len(sample) * self.batch_size < N_COLLAPSE_SAMPLE:
                sample.append((self.learner.encode(pictures), _small(pictures)))
        self._check_encodings(*(np.concatenate(parts) for parts in zip(*sample, strict=True)))
        return float(np.average(losses, weights=[len(cut) for cut in cuts]))

    def _check_encodings(self, encodings: NDArray[np.float32], pixels: NDArray[np.float32]) -> None:
        reason = collapse_reason(encodings, pixels)
        if reason is not None:
            raise EncodingCollapse(
                f"after {self.learner.step} steps all pictures get nearly the same encoding: "
                f"{reason}; try another --seed"
            )
        self.state.encoding_norm = float(np.median(np.linalg.norm(encodings, axis=1)))

    def _judge(self, val_loss: float, at_end: bool) -> None:
        """Keep the best weights; say whether and why training is over."""
        state = self.state
        by_loss = self.learner.ends_by_loss
        if val_loss < state.best_loss if by_loss else at_end:
            state.best_loss, state.best_step = val_loss, self.learner.step
            state.best_weights = self.learner.autoencoder.get_weights()
        n_since = sum(entry["step"] > state.best_step for entry in state.history)
        if at_end:
            state.stopped_by = self._limit_reached()
        elif by_loss and n_since >= self.settings.patience:
            state.stopped_by = "val_loss"

    def _limit_reached(self) -> str:
        if self.settings.steps is not None:
            return "steps"
        return "epochs" if self.learner.step >= self._longest() else "minutes"


class _Clock:
    """Seconds of this training, those before an interruption included."""

    def __init__(self, seconds_before: float) -> None:
        self._start = time.monotonic() - seconds_before
        self._saved = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._start

    def saved(self) -> None:
        self._saved = time.monotonic()

    def is_checkpoint_due(self) -> bool:
        return time.monotonic() - self._saved > CHECKPOINT_S


def _identity(images: ImageSource, settings: TrainingSettings, precision: str) -> dict[str, Any]:
    """Say what is trained on what: settings, number of pictures, and some of their pixels.

    So a checkpoint that was written on a CPU of another precision is not gone on with.
    """
    rows = np.unique(np.linspace(0, len(images) - 1, 8).astype(np.int64))
    pixels = hashlib.sha256(images.read(rows).tobytes()).hexdigest()
    return {
        "settings": asdict(settings),
        "recipe": _recipe_fields(settings),
        "precision": precision,
        "n_images": len(images),
        "pixels": pixels,
    }


def _recipe_fields(settings: TrainingSettings) -> dict[str, Any] | None:
    """Return the recipe as it comes back from JSON."""
    recipe = ARCHITECTURES[settings.architecture].recipe
    return None if recipe is None else dict(json.loads(json.dumps(asdict(recipe))))


def _small(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return pictures (b, side, side, 3) as rows of at most 16x16x3 block means."""
    n, side = pictures.shape[:2]
    block = max(1, side // SMALL_SIDE_PX)
    blocks = pictures.reshape(n, side // block, block, side // block, block, 3)
    return blocks.mean(axis=(2, 4)).reshape(n, -1)  # (b, 768)


def _summary(entry: dict[str, Any], is_shared: bool) -> str:
    of = " (of training pictures)" if is_shared else ""
    return (
        f"epoch {entry['epoch']:g}, loss {entry['loss']:.4f}, "
        f"val_loss {entry['val_loss']:.4f}{of}, {entry['pictures_per_s']:g} pictures/s"
    )
