"""Train an autoencoder for so many minutes, epochs or steps, and resume after any interruption.

Everything that a step does follows from the seed and the step's number. So the weights after
N steps are the same whether the run was interrupted or not. Minutes are turned into a number
of steps once, at the start. From then on only steps count, unless the machine becomes slower.
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
from models.learning.budget import Budget, Pace, Stopwatch
from models.learning.checkpoint import TrainingState, load_state, save_state
from models.learning.collapse import collapse_reason
from models.learning.contrastive_learner import ContrastiveLearner, has_bfloat16
from models.learning.learner import Learner, ReconstructionLearner
from models.learning.schedule import Schedule
from models.runtime.quiet import quiet_stderr

with quiet_stderr():
    import keras

Progress = Callable[..., Any]
OnEpoch = Callable[[dict[str, Any]], None]
Pictures = NDArray[np.float32]
QUIET: Progress = partial(tqdm, disable=True)

CONTRASTIVE, RECONSTRUCTION = "contrastive", "reconstruction"
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
        "contrastive" or "reconstruction". None: contrastive if the architecture supports it.
    seed : int
        Of the first weights, the split, the order of pictures and their views.
    minutes : float or None
        Time for training, validation and export together, on this machine.
    epochs : int or None
        Passes over the training pictures. None: at most 50 (or 2,500 steps if that is more);
        contrastive 400 (1,500 steps).
    steps : int or None
        Batches. If given, `minutes` and `epochs` are ignored: it repeats an earlier run exactly.
    batch_size : int or None
        None: that of the architecture.
    validation_share : float
        Of the pictures, never trained on. Contrastive training uses all pictures.
    patience : int
        Stop after this many validations in a row without a smaller loss. Contrastive training
        never stops early: its learning rate has to fall to 0.
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
    """A finished training.

    Attributes
    ----------
    autoencoder : keras.Model
        With the weights of the validation with the smallest loss; contrastive: the last weights.
    history : list of dict
        One for each validation: epoch (passes so far), step, loss (mean of training since the
        last one), val_loss, pictures_per_s, seconds; and the parts of the loss, if it has any.
    n_steps : int
        `TrainingSettings(steps=n_steps)` repeats this run exactly. The exception is a contrastive
        training whose schedule was changed on the way, because the machine became slower.
    best_step : int
        The step that the weights of `autoencoder` are from.
    seconds : float
        Over all interruptions.
    stopped_by : str
        "minutes", "epochs", "steps" or "val_loss".
    n_training, n_validation : int
        Pictures.
    is_validation_shared : bool
        No pictures were set aside: `val_loss` is of training pictures.
    precision : str
        "bfloat16" if parts of the training were computed in it, else "float32".
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
        For the checkpoint, which is written after each validation, at least once a minute, and
        when interrupted. A checkpoint of other settings or pictures is replaced.
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
        If the architecture does not support the objective.
    TrainingDiverged
        If the loss is no longer finite. The checkpoint stays as it was before.
    EncodingCollapse
        If different pictures get (nearly) equal encodings.
    TrainingError
        If the checkpoint cannot be read.
    KeyboardInterrupt
        Raised again after a checkpoint was written.

    Notes
    -----
    Seeds the global generators of Python, NumPy and TensorFlow. What is minimised, and how, is
    described in models/learning/learner.py and models/learning/contrastive_learner.py.
    """
    if len(images) < 1:
        raise TooFewImages("there is no picture to train on: name a folder with pictures")
    run = _Run(images, settings, folder, progress, on_epoch)
    run.resume()
    if not run.state.is_finished:
        run.go()
    return run.result()


def objective_of(settings: TrainingSettings) -> str:
    """Return the objective that settings name or imply.

    Raises
    ------
    ObjectiveMismatch
        If the architecture does not support the objective.
    """
    can_contrast = ARCHITECTURES[settings.architecture].recipe is not None
    objective = settings.objective or (CONTRASTIVE if can_contrast else RECONSTRUCTION)
    if objective == CONTRASTIVE and not can_contrast:
        raise ObjectiveMismatch(
            f"the {settings.architecture} network does not support --objective contrastive: "
            "use --architecture deep or --objective reconstruction"
        )
    return objective


class _Run:
    """One training in this process."""

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
        self.budget = _budget(settings, self.learner)
        self.state = TrainingState(_identity(images, settings, precision))
        self.clock, self.pace = Stopwatch(), Pace()
        self.durations_s: list[float] = []  # of the steps since the last validation
        self.encode_s = 0.0  # of a batch

    # ---------------------------------------------------------------- from start to result

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one of the same training."""
        state = load_state(self.folder)
        if state is not None and state.identity == self.state.identity:
            self.state = state
            self.learner.restore(state.weights, state.optimizer)
        self.clock = Stopwatch(self.state.seconds)

    def go(self) -> None:
        """Train to the end. If interrupted, save the last whole step."""
        try:
            if self.state.schedule is None:
                self.plan()
            self.follow_schedule()
        except KeyboardInterrupt:
            self.save()
            raise

    def result(self) -> TrainingResult:
        """Return the finished training."""
        state, split = self.state, self.learner.split
        assert state.stopped_by is not None
        self.learner.autoencoder.set_weights(state.best_weights)
        return TrainingResult(
            autoencoder=self.learner.autoencoder,
            history=state.history,
            n_steps=state.step,
            best_step=state.best_step,
            seconds=state.seconds,
            stopped_by=state.stopped_by,
            n_training=len(split.training),
            n_validation=len(split.validation),
            is_validation_shared=split.is_shared,
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

    # ---------------------------------------------------------------- the number of steps

    def plan(self) -> None:
        """Settle the number of steps; if time is limited, by timing the first ones."""
        warm_up_steps, max_steps = self.learner.warm_up_steps, self.budget.max_steps
        if self.budget.seconds is None:
            self.state.schedule = Schedule.planned(max_steps, warm_up_steps)
            return
        n_steps = min(max_steps, self.affordable_steps())
        self.state.schedule = Schedule.planned(n_steps, warm_up_steps)
        self.save()

    def affordable_steps(self) -> int:
        """Do the first steps, and return how many there is time for, with these."""
        with self.progress(desc="training: timing the first steps", unit="step") as bar:
            for step in self.steps(self.budget.max_steps):
                bar.update(1)
                if self.budget.has_timed_enough(step, self.durations_s):
                    break
            validation_s, self.encode_s = _time_validation(self.learner, self.images)
        spent_s, finish_s = self.clock.seconds(), self.finish_s()
        n_more = self.budget.affordable_steps(self.durations_s, spent_s, validation_s, finish_s)
        return self.learner.step + n_more

    def finish_s(self) -> float:
        """Return the seconds that are needed after the last step."""
        schedule = self.state.schedule
        n_steps = self.budget.max_steps if schedule is None else schedule.n_steps
        return self.budget.finish_s(self.learner.batches_to_finish(n_steps), self.encode_s)

    def keep_to_budget(self, schedule: Schedule) -> Schedule:
        """Return the schedule, adjusted if the machine is much slower than it was."""
        step, spent_s = self.learner.step, self.clock.seconds()
        if self.learner.ends_by_loss:
            return schedule.cut(step) if self.budget.is_overrun(spent_s) else schedule
        step_s = self.pace.step_s(step, spent_s)
        if step_s is None:
            return schedule
        return self.budget.adjusted(schedule, step, spent_s, step_s, self.finish_s())

    # ---------------------------------------------------------------- steps

    def follow_schedule(self) -> None:
        """Train and validate until the training is finished."""
        assert self.state.schedule is not None
        n_steps = self.state.schedule.n_steps
        with self.progress(total=n_steps, desc="training", unit="step") as bar:
            bar.update(self.learner.step)
            self.validate_if_due(bar)  # an interrupt may have come just before it
            while not self.state.is_finished:  # the schedule may become longer on the way
                self.train_until(self.state.schedule.n_steps, bar)

    def train_until(self, n_steps: int, bar: Any) -> None:
        """Do the steps up to n_steps, unless the training is finished before."""
        for _ in self.steps(n_steps):
            bar.update(1)
            assert self.state.schedule is not None
            self.state.schedule = self.keep_to_budget(self.state.schedule)
            self.validate_if_due(bar)
            if self.state.is_finished:
                return
            if self.clock.is_checkpoint_due():
                self.save()

    def steps(self, n_steps: int) -> Iterator[int]:
        """Do the steps up to n_steps; yield the number of steps done after each."""
        rows = (self.learner.rows(step) for step in range(self.learner.step, n_steps))
        start = time.perf_counter()
        for pictures in read_ahead(self.images, rows, self.learner.side_px):
            self.learn(pictures)
            self.durations_s.append(time.perf_counter() - start)
            yield self.learner.step
            start = time.perf_counter()

    def learn(self, pictures: Pictures) -> None:
        """Do a step."""
        schedule = self.state.schedule
        share = 0.0 if schedule is None else schedule.share_done(self.learner.step)
        parts = self.learner.learn(pictures, share)
        loss = parts.pop("loss")
        if not np.isfinite(loss):
            raise TrainingDiverged(
                f"the loss is {loss} after {self.learner.step} steps: try another --seed, and "
                "check that the pictures are what you expect"
            )
        self.state.add_loss(loss, parts)

    # ---------------------------------------------------------------- validation

    def validate_if_due(self, bar: Any) -> None:
        """Validate between two rounds of steps and at the end; note whether training is over."""
        state, step = self.state, self.learner.step
        at_end = state.schedule is not None and step >= state.schedule.n_steps
        is_due = step % self.budget.steps_per_validation == 0 and step != state.validated_step
        if not (is_due or at_end):
            return
        if at_end:
            _finish(self.learner, self.images)
        entry = self.validate()
        bar.set_postfix_str(_summary(entry, self.learner.split.is_shared))
        self.judge(entry["val_loss"], at_end)
        self.save()
        if self.on_epoch is not None:
            self.on_epoch(entry)

    def validate(self) -> dict[str, Any]:
        """Return a new entry of the history."""
        state, learner = self.state, self.learner
        timed_s = self.durations_s[-max(state.n_losses, 1) :]
        pictures_per_s = len(timed_s) * learner.batch_size / max(sum(timed_s), 1e-9)
        self.durations_s.clear()
        loss, parts = state.mean_losses()
        val_loss, state.encoding_norm = _validation(learner, self.images)
        entry: dict[str, Any] = {
            "epoch": round(learner.step / learner.steps_per_epoch(), 2),
            "step": learner.step,
            "loss": loss,
            "val_loss": val_loss,
            "pictures_per_s": round(pictures_per_s, 1),
            "seconds": round(self.clock.seconds(), 1),
        }
        if parts:
            entry["parts"] = parts
        state.add_validation(entry)
        return entry

    def judge(self, val_loss: float, at_end: bool) -> None:
        """Keep the best weights; note whether and why training is over."""
        state, learner = self.state, self.learner
        is_best = val_loss < state.best_loss if learner.ends_by_loss else at_end
        if is_best:
            state.best_loss, state.best_step = val_loss, learner.step
            state.best_weights = learner.autoencoder.get_weights()
        if at_end:
            state.stopped_by = self.budget.limit_reached(learner.step)
        elif learner.ends_by_loss and state.validations_since_best >= self.settings.patience:
            state.stopped_by = "val_loss"


# -------------------------------------------------------------------- what settings make


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


def _budget(settings: TrainingSettings, learner: Learner) -> Budget:
    steps_per_epoch = learner.steps_per_epoch()
    max_steps = max(learner.max_epochs * steps_per_epoch, learner.max_steps_of_few)
    return Budget(settings.steps, settings.epochs, settings.minutes, steps_per_epoch, max_steps)


def _identity(images: ImageSource, settings: TrainingSettings, precision: str) -> dict[str, Any]:
    """Describe a training: its settings, the number of pictures, and some of their pixels.

    The precision is part of it: a checkpoint from a CPU of another precision is not resumed.
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


# -------------------------------------------------------------------- what validation does


def _validation(learner: Learner, images: ImageSource) -> tuple[float, float]:
    """Return the mean loss of the validation pictures, and the median length of encodings.

    Raises
    ------
    EncodingCollapse
        If the encodings of a sample no longer differ as the pictures do.
    """
    rows, size = learner.split.validation, learner.batch_size
    cuts = [rows[i : i + size] for i in range(0, len(rows), size)]
    losses: list[float] = []
    encodings: list[NDArray[np.float32]] = []
    pixels: list[NDArray[np.float32]] = []
    for pictures in read_ahead(images, cuts, learner.side_px):
        losses.append(learner.validate(pictures))
        if len(encodings) * size < N_COLLAPSE_SAMPLE:
            encodings.append(learner.encode(pictures))
            pixels.append(_small(pictures))
    sample = np.concatenate(encodings)
    _check_encodings(sample, np.concatenate(pixels), learner.step)
    mean_loss = np.average(losses, weights=[len(cut) for cut in cuts])
    return float(mean_loss), float(np.median(np.linalg.norm(sample, axis=1)))


def _check_encodings(
    encodings: NDArray[np.float32], pixels: NDArray[np.float32], step: int
) -> None:
    reason = collapse_reason(encodings, pixels)
    if reason is not None:
        raise EncodingCollapse(
            f"after {step} steps all pictures get nearly the same encoding ({reason}): "
            "try another --seed"
        )


def _time_validation(learner: Learner, images: ImageSource) -> tuple[float, float]:
    """Return the seconds of a validation, and those of encoding a batch."""
    rows = learner.split.validation[: learner.batch_size]
    for _ in range(2):  # the first batch builds the graphs, the second is timed
        start = time.perf_counter()
        pictures = read_scaled(images, rows, learner.side_px)
        learner.validate(pictures)
        middle = time.perf_counter()
        learner.encode(pictures)
        end = time.perf_counter()
    return (end - start) * len(learner.split.validation) / len(rows), end - middle


def _finish(learner: Learner, images: ImageSource) -> None:
    """Let the learner see the pictures that it turns its result into an autoencoder with."""
    rows, side_px = learner.rows_to_finish(), learner.finishing_side_px
    # As many pixels at a time as in a step.
    n = max(1, learner.batch_size * learner.side_px**2 // side_px**2)
    cuts = [rows[i : i + n] for i in range(0, len(rows), n)]
    learner.finish(read_ahead(images, cuts, side_px))


def _small(pictures: Pictures) -> NDArray[np.float32]:
    """Return pictures (b, side, side, 3) as rows of at most 16x16x3 block means."""
    n, side = pictures.shape[:2]
    block = max(1, side // SMALL_SIDE_PX)
    blocks = pictures.reshape(n, side // block, block, side // block, block, 3)
    return np.asarray(blocks.mean(axis=(2, 4)).reshape(n, -1))  # (b, 768)


def _summary(entry: dict[str, Any], is_shared: bool) -> str:
    of = " (of training pictures)" if is_shared else ""
    return (
        f"epoch {entry['epoch']:g}, loss {entry['loss']:.4f}, "
        f"val_loss {entry['val_loss']:.4f}{of}, {entry['pictures_per_s']:g} pictures/s"
    )
