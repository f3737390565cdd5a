import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from models.errors import TrainingError
from models.learning import checkpoint
from models.learning.checkpoint import TrainingState, load_state, save_state
from models.learning.schedule import Schedule


def state(step: int = 3) -> TrainingState:
    """Return a state with something in every field."""
    return TrainingState(
        identity={"seed": 1},
        weights=[np.ones((2, 3), np.float32), np.zeros(4, np.float32)],
        optimizer=[np.array(step, np.int64)],
        best_weights=[np.full((2, 3), 2, np.float32), np.zeros(4, np.float32)],
        step=step,
        schedule=Schedule(10, [[4, 0.0], [10, 1.0]], is_replanned=True),
        best_loss=0.5,
        history=[{"epoch": 1, "loss": 0.25}],
    )


def test_load_state_gives_what_was_saved(tmp_path: Path) -> None:
    """Arrays keep values, shapes and types; the rest is equal."""
    save_state(state(), tmp_path / "new folder")
    found = load_state(tmp_path / "new folder")
    for name in ("weights", "optimizer", "best_weights"):
        for got, expected in zip(getattr(found, name), getattr(state(), name), strict=True):
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got, expected)
    assert (found.identity, found.step) == ({"seed": 1}, 3)
    assert found.schedule == Schedule(10, [[4, 0.0], [10, 1.0]], is_replanned=True)
    assert (found.best_loss, found.history) == (0.5, [{"epoch": 1, "loss": 0.25}])


def test_load_state_keeps_what_is_not_known_yet(tmp_path: Path) -> None:
    """Before the first validation the best loss is infinite, and there is no schedule."""
    save_state(TrainingState({}), tmp_path)
    found = load_state(tmp_path)
    assert (found.best_loss, found.schedule) == (float("inf"), None)


def test_mean_losses_are_those_since_the_last_validation() -> None:
    """Means of the loss and of its parts; after a validation they start again."""
    training = TrainingState({})
    training.add_loss(3.0, {"code": 1.0})
    training.add_loss(5.0, {"code": 2.0})
    assert training.mean_losses() == (4.0, {"code": 1.5})
    training.add_validation({"step": 2, "val_loss": 0.5})
    assert (training.mean_losses(), training.validated_step) == ((0.0, {}), 2)


def test_validations_since_the_best_are_counted() -> None:
    """Those after the best step, so none while the last one is the best."""
    training = TrainingState({}, history=[{"step": step} for step in (52, 104, 156)])
    training.best_step = 52
    assert training.validations_since_best == 2
    training.best_step = 156
    assert training.validations_since_best == 0


def test_load_state_gives_none_when_there_is_nothing(tmp_path: Path) -> None:
    """No checkpoint is no error."""
    assert load_state(tmp_path) is None
    assert load_state(tmp_path / "missing") is None


def test_save_state_leaves_the_old_one_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash before the rename leaves the old checkpoint whole."""

    def crash(handle: int) -> None:
        raise OSError("no space left")

    save_state(state(3), tmp_path)
    monkeypatch.setattr(checkpoint.os, "fsync", crash)
    with pytest.raises(OSError, match="no space"):
        save_state(state(4), tmp_path)
    assert load_state(tmp_path).step == 3


def test_save_state_where_folders_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shared folders of virtual machines can sync files only; the checkpoint is saved."""
    fsync = os.fsync

    def files_only(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", files_only)
    save_state(state(4), tmp_path)
    assert load_state(tmp_path).step == 4


def test_save_state_leaves_one_file(tmp_path: Path) -> None:
    """Nothing is left over."""
    save_state(state(3), tmp_path)
    save_state(state(4), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]
    assert load_state(tmp_path).step == 4


@pytest.mark.parametrize("keep", [0, 10, 600, -1])
def test_load_state_says_which_file_is_broken(tmp_path: Path, keep: int) -> None:
    """A file that is cut off is named, with the cure."""
    save_state(state(), tmp_path)
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TrainingError, match=r"checkpoint\.npz cannot be read .*delete it"):
        load_state(tmp_path)


def test_load_state_refuses_another_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of a later program is not guessed at."""
    monkeypatch.setattr(checkpoint, "SCHEMA_VERSION", 2)
    save_state(state(), tmp_path)
    monkeypatch.setattr(checkpoint, "SCHEMA_VERSION", 1)
    with pytest.raises(TrainingError, match="schema version 2, not 1"):
        load_state(tmp_path)
