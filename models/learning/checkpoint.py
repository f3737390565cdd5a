"""The state of a training on disk, in one file that a rename replaces, so it is never half written.

The file is an .npz with the arrays, and with everything else as JSON.
"""

import errno
import io
import json
import os
import zipfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import TrainingError
from models.learning.schedule import Schedule

FILE_NAME = "checkpoint.npz"
SCHEMA_VERSION = 1
_NO_FOLDER_SYNC = (errno.EINVAL, errno.EOPNOTSUPP)  # of file systems that can sync files only
Arrays = list[NDArray[Any]]


@dataclass
class TrainingState:
    """How far a training is.

    Attributes
    ----------
    identity : dict
        What is trained, and on what; a state of another identity is not resumed.
    weights, optimizer, best_weights : list of ndarray
        Those of the last step, what else the next step depends on, and the result of training.
    step : int
        Steps done.
    schedule : Schedule or None
        None until the first steps have been timed.
    validated_step, best_step : int
        Step of the last and of the best validation.
    best_loss : float
    loss_sum, part_sums, n_losses : float, dict of str to float, int
        Of the steps since the last validation.
    history : list of dict
        One for each validation.
    seconds : float
        Time spent, over all interruptions.
    stopped_by : str or None
        None until training is finished.
    encoding_norm : float
        Median length of the encodings of the validation sample.
    """

    identity: dict[str, Any]
    weights: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    best_weights: Arrays = field(default_factory=list)
    step: int = 0
    schedule: Schedule | None = None
    validated_step: int = 0
    best_step: int = 0
    best_loss: float = float("inf")
    loss_sum: float = 0.0
    part_sums: dict[str, float] = field(default_factory=dict)
    n_losses: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    stopped_by: str | None = None
    encoding_norm: float = 1.0

    @property
    def is_finished(self) -> bool:
        """Say whether there is nothing left to train."""
        return self.stopped_by is not None

    @property
    def validations_since_best(self) -> int:
        """Return how many validations in a row had no smaller loss than the best one."""
        return sum(entry["step"] > self.best_step for entry in self.history)

    def add_loss(self, loss: float, parts: dict[str, float]) -> None:
        """Count the loss of a step, and its parts."""
        self.loss_sum += loss
        self.n_losses += 1
        self.part_sums = {k: self.part_sums.get(k, 0.0) + v for k, v in parts.items()}

    def mean_losses(self) -> tuple[float, dict[str, float]]:
        """Return the mean loss since the last validation, and that of its parts."""
        n = max(self.n_losses, 1)
        return self.loss_sum / n, {name: total / n for name, total in self.part_sums.items()}

    def add_validation(self, entry: dict[str, Any]) -> None:
        """Add to the history, and start again to sum up losses."""
        self.history.append(entry)
        self.validated_step = entry["step"]
        self.loss_sum, self.part_sums, self.n_losses = 0.0, {}, 0


_ARRAY_FIELDS = ("weights", "optimizer", "best_weights")
_NO_SCHEDULE: dict[str, Any] = {"n_steps": None, "knots": [], "is_replanned": False}


def save_state(state: TrainingState, folder: Path) -> None:
    """Write the state. A crash at any moment leaves the old or the new file.

    Parameters
    ----------
    state : TrainingState
    folder : Path
        Created if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / (FILE_NAME + ".new")
    with new.open("wb") as file:
        file.write(_to_bytes(state))
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / FILE_NAME)
    _sync_folder(folder)


def load_state(folder: Path) -> TrainingState | None:
    """Return what `save_state` wrote, or None if there is no file.

    Raises
    ------
    TrainingError
        If the file cannot be read.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    try:
        return _from_bytes(path.read_bytes())
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError, OSError) as error:
        raise TrainingError(
            f"the checkpoint {path} cannot be read ({error}): delete it to train from the start"
        ) from error


def _to_bytes(state: TrainingState) -> bytes:
    arrays = {
        f"{name}_{i}": array
        for name in _ARRAY_FIELDS
        for i, array in enumerate(getattr(state, name))
    }
    rest = {key: value for key, value in asdict(state).items() if key not in _ARRAY_FIELDS}
    rest |= rest.pop("schedule") or _NO_SCHEDULE
    rest |= {"schema_version": SCHEMA_VERSION}
    rest |= {f"n_{name}": len(getattr(state, name)) for name in _ARRAY_FIELDS}
    buffer = io.BytesIO()
    np.savez(buffer, json=np.array(json.dumps(rest)), **arrays)
    return buffer.getvalue()


def _from_bytes(data: bytes) -> TrainingState:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        rest = json.loads(str(file["json"]))
        if rest["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {rest['schema_version']}, not {SCHEMA_VERSION}")
        arrays: dict[str, Any] = {
            name: [file[f"{name}_{i}"] for i in range(rest[f"n_{name}"])] for name in _ARRAY_FIELDS
        }
    planned = {name: rest[name] for name in _NO_SCHEDULE}
    rest["schedule"] = None if planned["n_steps"] is None else Schedule(**planned)
    names = {item.name for item in fields(TrainingState)}
    return TrainingState(**{k: v for k, v in rest.items() if k in names}, **arrays)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)
