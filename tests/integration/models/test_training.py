import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from models.autoencoder import ARCHITECTURES, Architecture, keras, layers, reconstruction_loss
from models.encoder import Encoder
from models.errors import EncodingCollapse, TooFewImages, TrainingDiverged
from models.export import export_autoencoder
from models.learning.batches import read_scaled, split_rows
from models.learning.budget import Budget
from models.learning.checkpoint import load_state
from models.training import TrainingSettings, train
from tests.helpers import paths
from tests.unit.models.golden.make import Pictures

ROOT = paths.ROOT


def build_tiny(activation: str | None = None, bias: float = 0.0) -> keras.Model:
    """Make 32x32x3 -> 8x8x2 = 128 -> 32x32x3; ReLU after a low bias gives zeros only."""
    pictures = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(pictures)
    x = layers.MaxPooling2D(4)(x)
    biases = keras.initializers.Constant(bias)
    x = layers.Conv2D(2, 1, activation=activation, bias_initializer=biases)(x)
    encoder = keras.Model(pictures, x, name="encoder")
    encoding = keras.Input((8, 8, 2))
    y = layers.UpSampling2D(4)(encoding)
    y = layers.Conv2D(3, 3, padding="same", activation="sigmoid")(y)
    decoder = keras.Model(encoding, y, name="decoder")
    return keras.Model(pictures, decoder(encoder(pictures)))


TINY = Architecture(build_tiny, reconstruction_loss, input_side_px=32, learning_rate=1e-2)
SETTINGS = TrainingSettings(architecture="tiny", steps=70, batch_size=8)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test here name the tiny network."""
    monkeypatch.setitem(ARCHITECTURES, "tiny", TINY)


@pytest.fixture(scope="module")
def images() -> Pictures:
    """Return 40 pictures: 32 to train on (4 steps a pass), 8 to validate with."""
    return Pictures(40)


@pytest.fixture(scope="module")
def uninterrupted(images: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a training of 70 steps: validated after 52 and at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "tiny", TINY)
        return train(images, SETTINGS, tmp_path_factory.mktemp("whole"))


class Breaking(Pictures):
    """Pictures that raise at the n-th reading."""

    def __init__(self, images: Pictures, error: BaseException, at: int) -> None:
        self.pixels, self.error, self.n_left = images.pixels, error, at

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return pictures or raise."""
        self.n_left -= 1
        if self.n_left == 0:
            raise self.error
        return super().read(rows)


def assert_equal_weights(one: keras.Model, other: keras.Model) -> None:
    """Compare to the bit."""
    for got, expected in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def without_times(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drop what differs from run to run."""
    return [{k: v for k, v in e.items() if k not in ("seconds", "pictures_per_s")} for e in history]


# ---------------------------------------------------------------- what training gives


def test_train_lowers_the_loss(uninterrupted: Any) -> None:
    """The history has an entry for each validation, and the loss falls."""
    history = uninterrupted.history
    assert [(entry["step"], entry["epoch"]) for entry in history] == [(52, 13), (70, 17.5)]
    assert history[1]["val_loss"] < history[0]["val_loss"] < 0.6931
    assert history[1]["loss"] < history[0]["loss"]
    assert (uninterrupted.n_steps, uninterrupted.best_step) == (70, 70)
    assert uninterrupted.stopped_by == "steps"
    assert (uninterrupted.n_training, uninterrupted.n_validation) == (32, 8)
    assert not uninterrupted.is_validation_shared


def test_val_loss_is_that_of_the_weights_returned(images: Pictures, uninterrupted: Any) -> None:
    """The last val_loss is the mean cross-entropy over the pictures set aside, by NumPy."""
    rows = split_rows(40, 0.2, seed=0).validation
    shares = read_scaled(images, rows, 32).astype(np.float64)
    painted = uninterrupted.autoencoder.predict(shares, verbose=0).astype(np.float64)
    entropy = -(shares * np.log(painted) + (1 - shares) * np.log(1 - painted)).mean()
    assert uninterrupted.history[-1]["val_loss"] == pytest.approx(entropy, rel=1e-5)


def test_encoding_norm_is_the_median(images: Pictures, uninterrupted: Any) -> None:
    """The usual length is the median over the pictures set aside."""
    rows = split_rows(40, 0.2, seed=0).validation
    encoder = uninterrupted.autoencoder.get_layer("encoder")
    encodings = encoder.predict(read_scaled(images, rows, 32), verbose=0)
    norms = np.linalg.norm(encodings.reshape(8, -1), axis=1)
    assert uninterrupted.encoding_norm == pytest.approx(np.median(norms), rel=1e-4)


def test_train_gives_equal_weights_when_repeated(
    images: Pictures, uninterrupted: Any, tmp_path: Path
) -> None:
    """Seed and steps determine the weights to the bit, on one machine."""
    again = train(images, SETTINGS, tmp_path)
    assert_equal_weights(again.autoencoder, uninterrupted.autoencoder)
    assert without_times(again.history) == without_times(uninterrupted.history)


def test_train_gives_other_weights_with_another_seed(
    images: Pictures, uninterrupted: Any, tmp_path: Path
) -> None:
    """The seed matters."""
    other = train(images, replace(SETTINGS, seed=1), tmp_path)
    assert (other.autoencoder.get_weights()[0] != uninterrupted.autoencoder.get_weights()[0]).any()


class Bar:
    """Remembers what a progress bar is told."""

    made: ClassVar[list["Bar"]] = []

    def __init__(self, **options: Any) -> None:
        self.options, self.n, self.postfix = options, 0, ""
        self.made.append(self)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, n: int) -> None:
        """Count."""
        self.n += n

    def set_postfix_str(self, text: str) -> None:
        """Keep the text."""
        self.postfix = text


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    """Return the bars that are made."""
    monkeypatch.setattr(Bar, "made", [])
    return Bar.made


def test_train_tells_progress_and_epochs(images: Pictures, tmp_path: Path, bars: list[Bar]) -> None:
    """The bar counts every step; on_epoch gets each entry."""
    told: list[dict[str, Any]] = []
    result = train(images, SETTINGS, tmp_path, progress=Bar, on_epoch=told.append)
    assert [(bar.options["total"], bar.n) for bar in bars] == [(70, 70)]
    assert "val_loss" in bars[0].postfix
    assert "pictures/s" in bars[0].postfix
    assert told == result.history


def test_train_tells_when_validation_is_shared(tmp_path: Path, bars: list[Bar]) -> None:
    """The bar says that val_loss is of training pictures."""
    train(Pictures(1), replace(SETTINGS, steps=3), tmp_path, progress=Bar)
    assert "(of training pictures)" in bars[0].postfix


# ---------------------------------------------------------------- how long


def test_epochs_are_passes(images: Pictures, tmp_path: Path) -> None:
    """Three epochs of 32 pictures in batches of 8 are 12 steps."""
    result = train(images, replace(SETTINGS, steps=None, epochs=3), tmp_path)
    assert (result.n_steps, result.stopped_by) == (12, "epochs")
    assert [entry["epoch"] for entry in result.history] == [3]


def test_minutes_become_steps_that_repeat_the_run(images: Pictures, tmp_path: Path) -> None:
    """A run of minutes says how many steps it was; so many steps give the same weights."""
    timed = replace(SETTINGS, steps=None, minutes=0.02, patience=10**6)
    first = train(images, timed, tmp_path / "timed")
    assert first.stopped_by in ("minutes", "epochs")  # 2,500 steps are the most, on any machine
    again = train(images, replace(timed, steps=first.n_steps), tmp_path / "again")
    assert again.n_steps == first.n_steps
    assert_equal_weights(again.autoencoder, first.autoencoder)
    assert without_times(again.history) == without_times(first.history)


def test_train_stops_when_the_machine_became_slow(
    images: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the steps take much longer than timed, the minutes count, and n_steps says where."""
    monkeypatch.setattr(Budget, "affordable_steps", lambda *measured: 10**6)
    result = train(images, replace(SETTINGS, steps=None, minutes=0.01, epochs=10**6), tmp_path)
    assert result.stopped_by == "minutes"
    assert result.n_steps == result.history[-1]["step"] < 10**5


def test_train_stops_when_val_loss_no_longer_falls(
    images: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Climbing the loss, the first validation stays the best: its weights are given back."""
    uphill = replace(TINY, learning_rate=-1e-3)
    monkeypatch.setitem(ARCHITECTURES, "tiny", uphill)
    result = train(images, replace(SETTINGS, steps=1000, patience=2), tmp_path / "a")
    assert (result.stopped_by, result.best_step, result.n_steps) == ("val_loss", 52, 156)
    first = train(images, replace(SETTINGS, steps=52), tmp_path / "b")
    assert_equal_weights(result.autoencoder, first.autoencoder)


def test_train_takes_one_picture(tmp_path: Path) -> None:
    """A single picture is trained on and validated with, and the result says so."""
    result = train(Pictures(1), replace(SETTINGS, steps=3), tmp_path)
    assert (result.n_training, result.n_validation) == (1, 1)
    assert result.is_validation_shared


def test_train_refuses_when_there_is_no_picture(tmp_path: Path) -> None:
    """No pictures: one sentence."""
    with pytest.raises(TooFewImages, match="no picture to train on"):
        train(Pictures(0), SETTINGS, tmp_path)


# ---------------------------------------------------------------- interrupted and resumed


@pytest.mark.parametrize("at", [2, 30, 58, 60], ids=["first step", "early", "validating", "late"])
def test_train_resumes_exactly_when_interrupted(
    images: Pictures, uninterrupted: Any, tmp_path: Path, at: int
) -> None:
    """Ctrl-C writes a checkpoint and goes up; the resumed run ends with equal weights."""
    with pytest.raises(KeyboardInterrupt):
        train(Breaking(images, KeyboardInterrupt(), at), SETTINGS, tmp_path)
    assert load_state(tmp_path).stopped_by is None
    resumed = train(images, SETTINGS, tmp_path)
    assert_equal_weights(resumed.autoencoder, uninterrupted.autoencoder)
    assert without_times(resumed.history) == without_times(uninterrupted.history)


def test_train_resumes_exactly_when_interrupted_while_timing(
    images: Pictures, tmp_path: Path
) -> None:
    """Steps done before the minutes were turned into steps count too."""
    timed = replace(SETTINGS, steps=None, minutes=0.015, patience=10**6)
    with pytest.raises(KeyboardInterrupt):
        train(Breaking(images, KeyboardInterrupt(), 6), timed, tmp_path / "a")
    assert load_state(tmp_path / "a").schedule is None
    resumed = train(images, timed, tmp_path / "a")
    whole = train(images, replace(timed, steps=resumed.n_steps), tmp_path / "b")
    assert_equal_weights(resumed.autoencoder, whole.autoencoder)


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, "")
from models.learning import budget
from models.training import train
from tests.integration.models.test_training import ARCHITECTURES, SETTINGS, TINY, Pictures
budget.CHECKPOINT_S = 0  # one after each step
ARCHITECTURES["tiny"] = TINY
train(Pictures(40), SETTINGS, Path(sys.argv[1]))
"""


def test_train_resumes_exactly_when_killed(
    images: Pictures, uninterrupted: Any, tmp_path: Path
) -> None:
    """After kill -9 in the middle the checkpoint is whole, and the weights come out equal."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT)
    while process.poll() is None:
        state = load_state(tmp_path)
        if state is not None and state.step >= 5:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            break
        time.sleep(0.005)
    assert process.returncode == -signal.SIGKILL
    assert 5 <= load_state(tmp_path).step < 70
    resumed = train(images, SETTINGS, tmp_path)
    assert_equal_weights(resumed.autoencoder, uninterrupted.autoencoder)


def test_train_returns_at_once_when_finished(images: Pictures, tmp_path: Path) -> None:
    """A finished training is given back without another step, and without reading batches."""
    settings = replace(SETTINGS, steps=4)
    first = train(images, settings, tmp_path)
    again = train(Breaking(images, AssertionError("trained again"), 2), settings, tmp_path)
    assert_equal_weights(again.autoencoder, first.autoencoder)
    assert (again.history, again.seconds) == (first.history, first.seconds)


@pytest.mark.parametrize("change", [{"seed": 5}, {"steps": 6}, {"batch_size": 4}], ids=str)
def test_train_starts_anew_when_settings_differ(
    images: Pictures, tmp_path: Path, change: dict[str, int]
) -> None:
    """A checkpoint of other settings is not gone on with."""
    train(images, replace(SETTINGS, steps=4), tmp_path / "a")
    other = replace(SETTINGS, **{"steps": 4, **change})
    assert_equal_weights(
        train(images, other, tmp_path / "a").autoencoder,
        train(images, other, tmp_path / "b").autoencoder,
    )


def test_train_starts_anew_when_pictures_differ(images: Pictures, tmp_path: Path) -> None:
    """Nor is one of other pictures."""
    train(images, replace(SETTINGS, steps=4), tmp_path)
    inverted = Pictures(40)
    inverted.pixels = 255 - inverted.pixels
    result = train(inverted, replace(SETTINGS, steps=2), tmp_path)
    assert result.n_steps == 2


def test_errors_of_the_source_go_up(images: Pictures, tmp_path: Path) -> None:
    """What the pictures' source raises is not hidden."""
    with pytest.raises(OSError, match="gone"):
        train(Breaking(images, OSError("gone"), 9), SETTINGS, tmp_path)


# ---------------------------------------------------------------- what goes wrong


def test_train_stops_when_the_loss_is_nan(
    images: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN ends the training, and no checkpoint of NaN is written."""
    broken = replace(
        TINY, loss=lambda model, pictures: np.nan * reconstruction_loss(model, pictures)
    )
    monkeypatch.setitem(ARCHITECTURES, "tiny", broken)
    with pytest.raises(TrainingDiverged, match="nan after 1 steps: try another --seed"):
        train(images, SETTINGS, tmp_path)
    assert load_state(tmp_path) is None


def test_train_stops_when_encodings_collapse(
    images: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead ReLU gives every picture the same encoding: that is said, not exported."""
    dead = replace(TINY, build=lambda: build_tiny("relu", bias=-100.0))
    monkeypatch.setitem(ARCHITECTURES, "tiny", dead)
    with pytest.raises(EncodingCollapse, match="after 8 steps all pictures get nearly the same"):
        train(images, replace(SETTINGS, steps=8), tmp_path)


def test_train_does_not_call_equal_pictures_a_collapse(tmp_path: Path) -> None:
    """Forty copies of one picture must have equal encodings."""
    copies = Pictures(40)
    copies.pixels[:] = copies.pixels[0]
    assert train(copies, replace(SETTINGS, steps=8), tmp_path).n_steps == 8


# ---------------------------------------------------------------- export


@pytest.fixture
def exported(images: Pictures, uninterrupted: Any, tmp_path: Path) -> Path:
    """Return a folder with the exported tiny network."""
    export_autoencoder(uninterrupted, SETTINGS, tmp_path)
    return tmp_path


def test_export_keeps_the_encodings(images: Pictures, uninterrupted: Any, exported: Path) -> None:
    """The tflite file gives what Keras gives, within 1e-5, for any number of pictures."""
    encoder = uninterrupted.autoencoder.get_layer("encoder")
    shares = read_scaled(images, np.arange(40), 32)
    by_keras = encoder.predict(shares, verbose=0).reshape(40, -1)
    found = Encoder.open(exported / "encoder.tflite").encodings(images.pixels)
    np.testing.assert_allclose(found, by_keras, atol=1e-5)


def test_export_writes_all_files_and_nothing_on_stdout(
    uninterrupted: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Six files; stdout is for results."""
    info = export_autoencoder(uninterrupted, SETTINGS, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "autoencoder.keras",
        "decoder.json",
        "decoder.tflite",
        "encoder.json",
        "encoder.tflite",
        "history.json",
    ]
    assert (info.dim, info.code_shape, info.input_side_px) == (128, (8, 8, 2), 32)
    assert (info.n_steps, info.seed, info.architecture) == (70, 0, "tiny")
    assert capfd.readouterr().out == ""


def test_exported_keras_file_is_the_whole_network(
    images: Pictures, uninterrupted: Any, exported: Path
) -> None:
    """Loaded with plain Keras it paints the same pictures."""
    shares = read_scaled(images, np.arange(4), 32)
    loaded = keras.models.load_model(exported / "autoencoder.keras")
    np.testing.assert_array_equal(
        loaded.predict(shares, verbose=0), uninterrupted.autoencoder.predict(shares, verbose=0)
    )


def test_exported_decoder_paints_what_keras_paints(
    images: Pictures, uninterrupted: Any, exported: Path
) -> None:
    """Encoder and decoder files in a row are the autoencoder."""
    from models.decoder import Decoder

    shares = read_scaled(images, np.arange(4), 32)
    encodings = Encoder.open(exported / "encoder.tflite").encodings(images.pixels[:4])
    painted = Decoder.open(exported / "decoder.tflite").decode(encodings)
    expected = 255 * uninterrupted.autoencoder.predict(shares, verbose=0)
    assert np.abs(painted - expected).max() < 0.51


def test_exported_history_says_how_it_was_trained(uninterrupted: Any, exported: Path) -> None:
    """history.json holds settings, the number of steps, and every entry."""
    import json

    found = json.loads((exported / "history.json").read_text())
    assert found["epochs"] == uninterrupted.history
    assert (found["n_steps"], found["stopped_by"]) == (70, "steps")
    assert found["settings"]["architecture"] == "tiny"
