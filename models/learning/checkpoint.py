"""The state of a training on disk: one file, replaced by a rename, so it is old or new, never half.

An .npz with the arrays, and everything else as JSON inside it.
"""

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

FILE_NAME = "checkpoint.npz"
SCHEMA_VERSION = 1
Arrays = list[NDArray[Any]]


@dataclass
class TrainingState:
    """How far a training is.

    Attributes
    ----------
    identity : dict
        What is trained on what; a state of another identity is not resumed.
    weights, optimizer, best_weights : list of ndarray
        Of the last step, with whatever else the next one depends on; what training gives.
    step : int
        Steps done.
    n_steps : int or None
        Steps to do; None until the first ones have been timed.
    validated_step, best_step : int
        Step of the last and of the best validation.
    best_loss : float
    loss_sum, part_sums, n_losses : float, dict of str to float, int
        Of the steps since the last validation.
    knots : list
        The schedule, as in `models.learning.schedule`; empty until the number of steps is known.
    is_replanned : bool
        It was changed since, because the machine became slow.
    history : list of dict
        One a validation.
    seconds : float
        Time spent, over all interruptions.
    stopped_by : str or None
        None while it is not finished.
    encoding_norm : float
        Median length of the encodings of the validation sample.
    """

    identity: dict[str, Any]
    weights: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    best_weights: Arrays = field(default_factory=list)
    step: int = 0
    n_steps: int | None = None
    validated_step: int = 0
    best_step: int = 0
    best_loss: float = float("inf")
    loss_sum: float = 0.0
    part_sums: dict[str, float] = field(default_factory=dict)
    n_losses: int = 0
    knots: list[list[float]] = field(default_factory=list)
    is_replanned: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    stopped_by: str | None = None
    encoding_norm: float = 1.0


_ARRAY_FIELDS = ("weights", "optimizer", "best_weights")


def save_state(state: TrainingState, folder: Path) -> None:
    """Write the state so that a crash at any moment leaves the old or the new file.

    Parameters
    ----------
    state : TrainingState
    folder : Path
        Made if it is missing.
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
    """Read what `save_state` wrote, or None if there is nothing.

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
            f"the checkpoint {path} cannot be read ({error}); delete it to train from the start"
        ) from error


def _to_bytes(state: TrainingState) -> bytes:
    arrays = {
        f"{name}_{i}": array
        for name in _ARRAY_FIELDS
        for i, array in enumerate(getattr(state, name))
    }
    rest = {key: value for key, value in asdict(state).items() if key not in _ARRAY_FIELDS}
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
    names = {item.name for item in fields(TrainingState)}
    return TrainingState(**{k: v for k, v in rest.items() if k in names}, **arrays)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
