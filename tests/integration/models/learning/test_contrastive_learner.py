"""The deep architecture, in a size that trains in a moment."""

import hashlib
import itertools
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from index.snapshot import DataFolder
from indexer.encoding.named import named_encoder
from indexer.options import BuildOptions
from indexer.stages import Stages
from models import training
from models.autoencoder import (
    ARCHITECTURES,
    Architecture,
    build_deep,
    build_trunk,
    keras,
    reconstruction_loss,
    set_centre,
    uncentred_encodings,
    unwhitened_grids,
)
from models.decoder import Decoder
from models.encoder import Encoder, unit_rows
from models.errors import ModelMismatch, ObjectiveMismatch
from models.export import export_autoencoder
from models.learning import budget, contrastive_learner
from models.learning.batches import distinct_rows, read_scaled
from models.learning.budget import Budget
from models.learning.checkpoint import load_state
from models.learning.contrastive_learner import Bank, ContrastiveLearner
from models.learning.schedule import Schedule
from models.network.grid_layers import (
    Centre,
    EqualLength,
    Fold,
    Frame,
    Resize,
    SignedRoot,
    SignedSquare,
    Unfold,
    Whiten,
    Window,
    bell_curve,
    whitening,
)
from models.network.recipe import Recipe
from models.training import TrainingSettings, objective_of, train
from tests.integration.models.test_training import Breaking, assert_equal_weights, without_times
from tests.unit.models.golden.make import Pictures

# 128x128x3, trained on half that side -> 4x4x4 = 64; one kernel is large enough for Muon.
RECIPE = Recipe(
    stem=4,
    widths=(8, 64),
    code_channels=4,
    head=(8, 4),
    code_side=4,
    training_px=64,
    seen_px=80,
    framed_px=64,
    large_area=(0.2, 1.0),
    n_small=2,
    large_px=32,
    small_px=16,
    n_painted=4,
    batch_size=8,
    warm_up_steps=6,
    n_neighbours=3,
    min_images_a_neighbour=5,
)
SMALL = Architecture(
    partial(build_deep, RECIPE),
    reconstruction_loss,
    input_side_px=128,
    learning_rate=1e-2,
    recipe=RECIPE,
)
SETTINGS = TrainingSettings(architecture="small", steps=60)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test here name the small network, and compute alike on every machine."""
    monkeypatch.setitem(ARCHITECTURES, "small", SMALL)
    monkeypatch.setattr(training, "has_bfloat16", lambda: False)


@pytest.fixture(scope="module")
def images() -> Pictures:
    """Return 40 pictures: 5 steps a pass, validated after 50 steps and at the end."""
    return Pictures(40)


@pytest.fixture(scope="module")
def uninterrupted(images: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a training of 60 steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "small", SMALL)
        patch.setattr(training, "has_bfloat16", lambda: False)
        return train(images, SETTINGS, tmp_path_factory.mktemp("whole"))


# ---------------------------------------------------------------- networks


def grids() -> np.ndarray:
    """Return two grids, (2, 4, 4, 3)."""
    return np.random.default_rng(0).standard_normal((2, 4, 4, 3)).astype(np.float32)


def test_unfold_undoes_fold() -> None:
    """Nothing is lost."""
    folded = Fold(0.3)(grids())
    np.testing.assert_allclose(Unfold(0.3)(folded), grids(), atol=1e-6)


def test_fold_of_the_mirror_image_differs_in_sign_only() -> None:
    """The left half is equal, the right half the negative."""
    folded, mirrored = np.asarray(Fold(0.3)(grids())), np.asarray(Fold(0.3)(grids()[:, :, ::-1]))
    np.testing.assert_allclose(mirrored[:, :, :2], folded[:, :, :2], atol=1e-6)
    np.testing.assert_allclose(mirrored[:, :, 2:], -folded[:, :, 2:], atol=1e-6)


def test_fold_with_weight_one_keeps_lengths() -> None:
    """But for the weight, folding is orthogonal."""
    lengths = np.linalg.norm(np.asarray(Fold(1.0)(grids())).reshape(2, -1), axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(grids().reshape(2, -1), axis=1), rtol=1e-5)


def test_equal_length_makes_one_length_a_cell() -> None:
    """16 cells of length 1 on average: 4 in all, however long the grid was."""
    for scale in (0.1, 10.0):
        scaled = np.asarray(EqualLength()(scale * grids())).reshape(2, -1)
        np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 4, rtol=1e-4)


def test_window_by_hand() -> None:
    """Four cells, deviation 1/4: exp(-1/8) and exp(-9/8), that is 1 to 0.3679; and it is undone."""
    weights = bell_curve(4, 4, 0.25)[:, :, 0]
    np.testing.assert_allclose(weights[1] / weights[1, 1], [0.3679, 1, 1, 0.3679], atol=1e-4)
    assert weights[0, 0] / weights[1, 1] == pytest.approx(0.3679**2, abs=1e-4)
    assert (weights**2).mean() == pytest.approx(1)
    np.testing.assert_allclose(Window(0.3, undoes=True)(Window(0.3)(grids())), grids(), atol=1e-5)


def test_signed_root_by_hand_and_undone() -> None:
    """0.03 / sqrt(0.04) = 0.15, signs are kept, 0 stays 0, and squaring undoes it."""
    x = np.array([-99.99, -0.03, 0.0, 0.03, 0.99], np.float32)
    roots = np.asarray(SignedRoot()(x))
    np.testing.assert_allclose(roots, [-9.999, -0.15, 0, 0.15, 0.99], rtol=1e-5)
    np.testing.assert_allclose(np.asarray(SignedSquare()(roots)), x, rtol=1e-5)


def test_whitening_by_hand_and_undone() -> None:
    """Channels of variance 4 and 1: divided by 2 and 1; after it their covariance is the identity.

    With a floor of a tenth of the mean variance, 0.25: by the roots of 4.25 and 1.25.
    """
    cells = np.array([[5, 1], [5, -1], [1, 1], [1, -1]], np.float32)
    mean, matrix, inverse = whitening(cells, 0.0)
    np.testing.assert_allclose(mean, [3, 0])
    np.testing.assert_allclose(matrix, np.diag([0.5, 1]), atol=1e-6)
    np.testing.assert_allclose(matrix @ inverse, np.eye(2), atol=1e-6)
    _, matrix, _ = whitening(cells, 0.1)
    np.testing.assert_allclose(matrix, np.diag([4.25**-0.5, 1.25**-0.5]), rtol=1e-6)


def test_whitening_of_mixed_channels_makes_them_independent() -> None:
    """Whatever the mixture, the covariance becomes the identity, by a symmetric matrix."""
    rng = np.random.default_rng(0)
    cells = (rng.standard_normal((500, 3)) @ rng.standard_normal((3, 3)) + 7).astype(np.float32)
    mean, matrix, _ = whitening(cells, 0.0)
    np.testing.assert_allclose(np.cov((cells - mean) @ matrix, rowvar=False), np.eye(3), atol=0.01)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)


def test_whitening_what_never_varies_gives_numbers() -> None:
    """A collection of one colour, or a network that sees nothing."""
    for one in whitening(np.ones((4, 2), np.float32), 0.05):
        assert np.isfinite(one).all()


def test_whiten_is_the_identity_until_it_is_set_and_can_be_undone() -> None:
    """So a network that is trained to reconstruct has no use for it."""
    there, back = Whiten(), Whiten(undoes=True)
    np.testing.assert_array_equal(np.asarray(back(there(grids()))), grids())
    mean, matrix, inverse = whitening(grids().reshape(-1, 3), 0.05)
    for layer, product in ((there, matrix), (back, inverse)):
        layer.mean.assign(mean)
        layer.matrix.assign(product)
    white = np.asarray(there(grids()))
    assert np.abs(white - grids()).max() > 0.1
    np.testing.assert_allclose(np.asarray(back(white)), grids(), atol=1e-5)


def test_channels_of_a_trained_encoder_are_white(images: Pictures, uninterrupted: Any) -> None:
    """What is seen of the pictures is uncorrelated after whitening, but for the floor."""
    encoder = uninterrupted.autoencoder.get_layer("encoder")
    seen = unwhitened_grids(uninterrupted.autoencoder, read_scaled(images, np.arange(40), 128))
    white = np.asarray(encoder.get_layer("whiten")(seen)).reshape(-1, 4)
    covariance = np.cov(white, rowvar=False)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=0.1)
    assert 0.5 < np.diag(covariance).max() <= 1.01
    np.testing.assert_allclose(white.mean(0), 0, atol=1e-3)


def test_resize_by_hand() -> None:
    """Two cells of 0 and 4 become four of 0, 1, 3 and 4; and a mirror image stays one."""
    row = np.array([0, 4], np.float32).reshape(1, 1, 2, 1).repeat(2, 1)
    larger = np.asarray(Resize(4)(row))[0, :, :, 0]
    np.testing.assert_allclose(larger, [[0, 1, 3, 4]] * 4)
    np.testing.assert_allclose(np.asarray(Resize(4)(row[:, :, ::-1]))[0, :, :, 0], larger[:, ::-1])


def test_frame_by_hand() -> None:
    """Two by two cells at each of the four places of three by three, edges repeated."""
    framed = np.asarray(Frame(3)(np.array([[1, 2], [3, 4]], np.float32).reshape(1, 2, 2, 1)))
    assert framed.shape == (1, 4, 3, 3, 1)
    assert framed[0, :, :, :, 0].astype(int).tolist() == [
        [[1, 2, 2], [3, 4, 4], [3, 4, 4]],
        [[1, 1, 2], [3, 3, 4], [3, 3, 4]],
        [[1, 2, 2], [1, 2, 2], [3, 4, 4]],
        [[1, 1, 2], [1, 1, 2], [3, 3, 4]],
    ]


def test_frame_of_its_own_size_changes_nothing() -> None:
    """There is one place."""
    np.testing.assert_array_equal(Frame(4)(grids())[:, 0], grids())


def test_encoding_teaches_the_network_nothing() -> None:
    """Batch normalisation keeps what it learnt in training, whatever is encoded."""
    learner = ContrastiveLearner(SMALL, 40, None, 0, False)
    trunk = learner.autoencoder.get_layer("encoder").get_layer("trunk")
    learner.encode(np.ones((8, 64, 64, 3), np.float32))
    before = learner.weights()  # those of the trunk come first
    learner.autoencoder.get_layer("encoder")(np.ones((8, 64, 64, 3), np.float32))
    for value, old in zip(trunk.variables, before, strict=False):
        np.testing.assert_array_equal(value.numpy(), old)


def test_deep_has_the_shapes() -> None:
    """Any side to 8x8x64 = 4096 numbers, and a picture of 256x256x3 from them."""
    deep = ARCHITECTURES["deep"].build()
    assert deep.input_shape == (None, None, None, 3)
    assert deep.get_layer("encoder").output_shape == (None, 8, 8, 64)
    assert deep.output_shape == (None, 256, 256, 3)


def test_centre_is_taken_away_and_added_again(images: Pictures) -> None:
    """Encodings move by the mean, what is painted stays."""
    model = build_deep(RECIPE)
    shares = read_scaled(images, np.arange(4), 128)
    before, painted = model.get_layer("encoder")(shares), model(shares)
    mean = np.random.default_rng(0).standard_normal((4, 4, 4)).astype(np.float32)
    set_centre(model, mean)
    np.testing.assert_allclose(model.get_layer("encoder")(shares), before - mean, atol=1e-5)
    np.testing.assert_allclose(model(shares), painted, atol=1e-4)


@pytest.mark.parametrize(
    "layer", [Fold(0.3), Unfold(0.3), Window(0.3, True), Centre(1), EqualLength()], ids=str
)
def test_layers_are_made_again_from_their_configuration(layer: keras.layers.Layer) -> None:
    """As a .keras file needs it: same class, same values."""
    layer.build((None, 4, 4, 3))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    np.testing.assert_array_equal(again(grids()), layer(grids()))


# ---------------------------------------------------------------- what training gives


def test_training_lowers_every_part_of_the_loss(uninterrupted: Any) -> None:
    """The history has the parts; each is smaller in the last ten steps than in the first fifty."""
    first, last = uninterrupted.history
    assert set(first["parts"]) == {"code", "head", "mean", "small", "paint", "near"}
    assert first["loss"] == pytest.approx(sum(first["parts"].values()), rel=1e-5)
    falling = ("code", "head", "mean", "small", "paint")
    assert all(last["parts"][name] < first["parts"][name] for name in falling)
    assert last["val_loss"] < first["val_loss"]


def test_training_uses_all_pictures_to_the_end(uninterrupted: Any) -> None:
    """No picture is set aside, and the last weights are taken, not the best."""
    assert (uninterrupted.n_training, uninterrupted.n_validation) == (40, 8)
    assert uninterrupted.is_validation_shared
    assert (uninterrupted.best_step, uninterrupted.stopped_by) == (60, "steps")
    assert uninterrupted.precision == "float32"


def test_encodings_are_centred(images: Pictures, uninterrupted: Any) -> None:
    """The mean is taken away 40 / (40 + 32) times: 32/72 of it is left."""
    encoder = uninterrupted.autoencoder.get_layer("encoder")
    centred = np.asarray(encoder(read_scaled(images, np.arange(40), 128))).mean(0)
    centre = encoder.get_layer("centre").mean.numpy()
    np.testing.assert_allclose(centred, (centred + centre) * 32 / 72, atol=1e-4)
    assert np.linalg.norm(centre) > 0


def test_encodings_tell_pictures_apart_whatever_the_view(
    images: Pictures, uninterrupted: Any
) -> None:
    """After 60 steps three of four darkened pictures find their original first, by far."""
    encoder = uninterrupted.autoencoder.get_layer("encoder")
    shares = read_scaled(images, np.arange(40), 128)
    rows, queries = (np.asarray(encoder(x)).reshape(40, -1) for x in (shares, 0.8 * shares))
    rows, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rows, queries))
    found = (queries @ rows.T).argmax(axis=1)
    assert (found == np.arange(40)).mean() >= 0.75


def test_finishing_teaches_the_painter_whole_pictures(images: Pictures) -> None:
    """With finishing steps whole pictures are painted better than without; the trunk stays."""
    shares = read_scaled(images, np.arange(40), 128)
    errors, trunks = [], []
    for n_steps in (0, 30):
        recipe = replace(RECIPE, finishing_steps=n_steps)
        learner = ContrastiveLearner(replace(SMALL, recipe=recipe), 40, 40, 0, has_bfloat16=False)
        bank, _, *moments = learner.memory()
        learner.restore(learner.weights(), [bank, np.array(90), *moments])  # after 90 steps
        learner.finish([shares])
        painted = np.asarray(learner.autoencoder(shares)).reshape(40, 64, 2, 64, 2, 3)
        halves = read_scaled(images, np.arange(40), 64)
        errors.append(((painted.mean(axis=(2, 4)) - halves) ** 2).mean())
        trunks.append(learner.autoencoder.get_layer("encoder").get_weights()[0])
    assert errors[1] < 0.8 * errors[0]
    np.testing.assert_array_equal(*trunks)


def test_painter_is_finished_with_pictures_and_their_own_encodings(
    images: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each third of 40, however they come in batches, and each with what it was encoded to."""
    learner = ContrastiveLearner(
        replace(SMALL, recipe=replace(RECIPE, finishing_images=14)), 40, 40, 0, has_bfloat16=False
    )
    taught = []
    monkeypatch.setattr(learner, "_finish_painter", lambda *both: taught.append(both))
    shares = read_scaled(images, np.arange(40), 128)
    learner.finish([shares[:10], shares[10:11], shares[11:18], shares[18:]])
    ((encodings, pictures),) = taught
    wanted = uncentred_encodings(learner.autoencoder, unwhitened_grids(learner.autoencoder, shares))
    np.testing.assert_allclose(encodings, np.asarray(wanted)[::3], atol=1e-4)
    np.testing.assert_allclose(pictures, read_scaled(images, np.arange(0, 40, 3), 64), atol=2e-3)


def test_training_gives_equal_weights_when_repeated(
    images: Pictures, uninterrupted: Any, tmp_path: Path
) -> None:
    """Seed and steps determine the encoder to the bit, on one machine."""
    again = train(images, SETTINGS, tmp_path)
    assert_equal_weights(again.autoencoder, uninterrupted.autoencoder)
    assert without_times(again.history) == without_times(uninterrupted.history)


def test_training_resumes_exactly_when_interrupted(
    images: Pictures, uninterrupted: Any, tmp_path: Path
) -> None:
    """Weights, moments and bank come from the checkpoint, views from the step's number."""
    with pytest.raises(KeyboardInterrupt):
        train(Breaking(images, KeyboardInterrupt(), 40), SETTINGS, tmp_path)
    assert 0 < load_state(tmp_path).step < 60
    resumed = train(images, SETTINGS, tmp_path)
    assert_equal_weights(resumed.autoencoder, uninterrupted.autoencoder)
    assert without_times(resumed.history) == without_times(uninterrupted.history)


def test_minutes_become_steps_that_repeat_the_run(
    images: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schedule is known only after the timing, and yet the same number of steps repeats it.

    A schedule that is shortened on the way cannot be repeated by its number of steps. So this
    training may take as long as it likes, whatever else the machine does.
    """
    monkeypatch.setattr(budget, "OVERRUN", 10**6)
    timed = replace(SETTINGS, steps=None, minutes=0.03)
    first = train(images, timed, tmp_path / "timed")
    again = train(images, replace(timed, steps=first.n_steps), tmp_path / "again")
    assert again.n_steps == first.n_steps
    assert_equal_weights(again.autoencoder, first.autoencoder)
    assert without_times(again.history) == without_times(first.history)


def test_training_follows_a_schedule_that_changes(
    images: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shortened to 30 steps at step 20, and lengthened beyond the first plan at step 25."""

    def adjusted(self: Budget, schedule: Schedule, step: int, *measured: float) -> Schedule:
        n_steps = {20: 30, 25: 55}.get(step)
        return schedule if n_steps is None else schedule.replanned(step, n_steps)

    monkeypatch.setattr(budget, "N_PACED_STEPS", 1)
    monkeypatch.setattr(Budget, "affordable_steps", lambda self, durations_s, *_: 30)
    monkeypatch.setattr(Budget, "has_timed_enough", lambda self, step, durations_s: step == 8)
    monkeypatch.setattr(Budget, "adjusted", adjusted)
    result = train(images, replace(SETTINGS, steps=None, minutes=1), tmp_path)
    assert (result.n_steps, result.stopped_by) == (55, "minutes")
    assert load_state(tmp_path).schedule.knots[-1] == [55, 1.0]


# ---------------------------------------------------------------- few pictures, many pictures


@pytest.mark.parametrize("n", [1, 2, 5, 30])
def test_training_takes_few_pictures(n: int, tmp_path: Path) -> None:
    """However few they are, each gets an encoding, and different pictures different ones."""
    images = Pictures(n)
    result = train(images, replace(SETTINGS, steps=12), tmp_path)
    encoder = result.autoencoder.get_layer("encoder")
    encodings = np.asarray(encoder(read_scaled(images, np.arange(n), 128))).reshape(n, -1)
    lengths = np.linalg.norm(encodings, axis=1, keepdims=True)
    assert (lengths > 0.01).all()
    scores = (encodings / lengths) @ (encodings / lengths).T
    assert (scores[~np.eye(n, dtype=bool)] < 0.9999).all()


def test_training_does_not_call_equal_pictures_a_collapse(tmp_path: Path) -> None:
    """Copies of one picture must have equal encodings, which are not zero."""
    copies = Pictures(10)
    copies.pixels[:] = copies.pixels[0]
    result = train(copies, replace(SETTINGS, steps=8), tmp_path)
    encodings = result.autoencoder.get_layer("encoder")(read_scaled(copies, np.arange(2), 128))
    assert float(np.linalg.norm(encodings[0])) > 0.01


def test_no_neighbours_when_there_are_few_pictures() -> None:
    """One neighbour for every five pictures, three at most; the bank has a row for each."""
    for n, expected in ((1, 0), (9, 1), (14, 2), (100, 3)):
        bank = Bank(n, RECIPE, seed=0)
        assert (bank.n_neighbours, bank.encodings.shape[0]) == (expected, n)


def test_bank_is_bounded(images: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more pictures than rows the oldest make room, and training goes on as well."""
    few_rows = replace(SMALL, recipe=replace(RECIPE, bank_rows=20))
    monkeypatch.setitem(ARCHITECTURES, "small", few_rows)
    bank = Bank(40, few_rows.recipe, seed=0)
    assert bank.encodings.shape[0] == 20
    own, new = bank.places(2, np.arange(8))
    assert set(own) == {-1}
    assert new.tolist() == [16, 17, 18, 19, 0, 1, 2, 3]
    assert train(images, replace(SETTINGS, steps=12), tmp_path).n_steps == 12


@pytest.mark.parametrize(("n", "batch_size"), [(8, 8), (20, 6), (7, 1)])
def test_rows_of_a_step_are_distinct(n: int, batch_size: int) -> None:
    """No picture comes twice in a step or a pass, and each comes in some pass."""
    training_rows = 100 + np.arange(n)
    seen: set[int] = set()
    for number in range(12):
        steps = range(number * (n // batch_size), (number + 1) * (n // batch_size))
        rows = np.concatenate([distinct_rows(training_rows, batch_size, 0, s) for s in steps])
        assert len(set(rows.tolist())) == len(rows)
        seen |= set(rows.tolist())
    assert seen == set(training_rows.tolist())


# ---------------------------------------------------------------- objectives


def test_classic_cannot_contrast() -> None:
    """The sentence says what to do."""
    settings = TrainingSettings(architecture="classic", objective="contrastive")
    with pytest.raises(ObjectiveMismatch, match="use --architecture deep"):
        objective_of(settings)


def test_objective_follows_from_the_architecture() -> None:
    """Contrastive where that can be, else reconstruction."""
    assert objective_of(TrainingSettings()) == "contrastive"
    assert objective_of(TrainingSettings(architecture="classic")) == "reconstruction"


def test_deep_can_learn_to_paint_only(images: Pictures, tmp_path: Path) -> None:
    """With the reconstruction objective it is validated with pictures set aside."""
    settings = replace(SETTINGS, objective="reconstruction", batch_size=8, epochs=26, steps=None)
    result = train(images, settings, tmp_path)
    assert (result.n_training, result.n_validation) == (32, 8)
    assert result.history[-1]["val_loss"] < result.history[0]["val_loss"]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx512f avx512_bf16", True), ("fpu amx_bf16", True), ("fpu avx2", False)],
    ids=["avx512", "amx", "neither"],
)
def test_bfloat16_is_used_where_the_processor_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, expected: bool
) -> None:
    """As Linux says it of the processor."""
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(contrastive_learner, "CPUINFO", tmp_path / "cpuinfo")
    assert contrastive_learner.has_bfloat16() is expected


def test_bfloat16_is_not_used_where_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other systems than Linux have no such file."""
    monkeypatch.setattr(contrastive_learner, "CPUINFO", tmp_path / "missing")
    assert contrastive_learner.has_bfloat16() is False


def test_bfloat16_training_gives_a_float32_encoder(
    images: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays finite, says so, and nothing of it is left in what is exported."""
    monkeypatch.setattr(training, "has_bfloat16", lambda: True)
    result = train(images, replace(SETTINGS, steps=8), tmp_path)
    assert result.precision == "bfloat16"
    assert np.isfinite(result.history[-1]["val_loss"])
    policies = {layer.dtype_policy.name for layer in result.autoencoder._flatten_layers()}
    assert policies == {"float32"}


# ---------------------------------------------------------------- export


@pytest.fixture(scope="module")
def exported(uninterrupted: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the exported small network."""
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "small", SMALL)
        export_autoencoder(uninterrupted, SETTINGS, folder)
    return folder


def test_export_keeps_the_encodings(images: Pictures, uninterrupted: Any, exported: Path) -> None:
    """The tflite file gives what Keras gives, and the same bits in any batch."""
    shares = read_scaled(images, np.arange(20), 128)
    by_keras = np.asarray(uninterrupted.autoencoder.get_layer("encoder")(shares)).reshape(20, -1)
    encoder = Encoder.open(exported / "encoder.tflite")
    found = encoder.encodings(images.pixels[:20])
    assert (encoder.info.code_shape, encoder.info.input_side_px) == ((4, 4, 4), 128)
    np.testing.assert_allclose(found, by_keras, atol=1e-4)
    for size in (1, 3, 7):
        np.testing.assert_array_equal(encoder.encodings(images.pixels[:size]), found[:size])


def test_exported_crops_are_the_encodings_of_framed_grids(
    images: Pictures, uninterrupted: Any, exported: Path
) -> None:
    """Step by step: 64 px are 4x4 cells, at each of 2x2 places among 5x5, edges repeated."""
    encoder = uninterrupted.autoencoder.get_layer("encoder")
    trunk = build_trunk(RECIPE)
    trunk.set_weights(encoder.get_layer("trunk").get_weights())
    small = tf.image.resize(read_scaled(images, np.arange(5), 128), (64, 64))
    grid = np.asarray(trunk(small, training=False)[0])  # (5, 4, 4, 4)
    wanted = []
    for above, before in itertools.product(range(2), repeat=2):
        edges = ((0, 0), (above, 1 - above), (before, 1 - before), (0, 0))
        whole = tf.image.resize(np.pad(grid, edges, mode="edge"), (4, 4))
        encodings = encoder.get_layer("centre")(
            uncentred_encodings(uninterrupted.autoencoder, whole)
        )
        wanted.append(unit_rows(np.asarray(encodings).reshape(5, -1)))
    opened = Encoder.open(exported / "encoder.tflite")
    found = opened.encode_crops(images.pixels[:5])
    assert found.shape == (5, 4, 64)
    np.testing.assert_allclose(found, np.stack(wanted, 1), atol=1e-4)
    query = opened.encode_query(images.pixels[3])
    np.testing.assert_array_equal(query[0], opened.encode(images.pixels[3:4])[0])
    np.testing.assert_allclose(query[1:], found[3], atol=1e-5)


def test_encoder_of_before_there_were_crops_can_be_opened(
    images: Pictures, exported: Path, tmp_path: Path
) -> None:
    """It has none, and a query is one vector."""
    shutil.copy(exported / "encoder.tflite", tmp_path)
    fields = json.loads((exported / "encoder.json").read_text())
    del fields["crops_sha256"]
    (tmp_path / "encoder.json").write_text(json.dumps(fields))
    encoder = Encoder.open(tmp_path / "encoder.tflite")
    assert encoder.encode_crops(images.pixels[:2]).shape == (2, 0, 64)
    np.testing.assert_array_equal(
        encoder.encode_query(images.pixels[0]), encoder.encode(images.pixels[:1])
    )


def test_encoder_under_another_name_keeps_its_crops(
    images: Pictures, exported: Path, tmp_path: Path
) -> None:
    """Named by its file, it is taken over with all that lies beside it."""
    mine = tmp_path / "mine.tflite"
    shutil.copy(exported / "encoder.tflite", mine)
    shutil.copy(exported / "encoder.json", mine.with_suffix(".json"))
    shutil.copy(exported / "crops.tflite", tmp_path)
    options = BuildOptions(images=tmp_path, encoder=str(mine))
    folder = named_encoder(DataFolder(tmp_path / "data"), options, Stages())
    assert folder is not None
    found = Encoder.open(folder / "encoder.tflite").encode_crops(images.pixels[:1])
    assert found.shape == (1, 4, 64)


def test_crops_of_another_export_are_refused(exported: Path, tmp_path: Path) -> None:
    """As any file that is not what encoder.json expects, or is not there."""
    for name in ("encoder.tflite", "encoder.json"):
        shutil.copy(exported / name, tmp_path)
    with pytest.raises(ModelMismatch, match="crops.tflite is missing"):
        Encoder.open(tmp_path / "encoder.tflite")
    shutil.copy(exported / "decoder.tflite", tmp_path / "crops.tflite")
    with pytest.raises(ModelMismatch, match="crops.tflite has SHA-256"):
        Encoder.open(tmp_path / "encoder.tflite")
    digest = hashlib.sha256((tmp_path / "crops.tflite").read_bytes()).hexdigest()
    fields = json.loads((tmp_path / "encoder.json").read_text()) | {"crops_sha256": digest}
    (tmp_path / "encoder.json").write_text(json.dumps(fields))
    with pytest.raises(ModelMismatch, match="same export"):
        Encoder.open(tmp_path / "encoder.tflite")


def test_exported_decoder_paints_from_vectors(
    images: Pictures, uninterrupted: Any, exported: Path
) -> None:
    """From encodings it paints what Keras paints, 256 px; from unit vectors nearly the same."""
    shares = read_scaled(images, np.arange(4), 128)
    encoder = Encoder.open(exported / "encoder.tflite")
    decoder = Decoder.open(exported / "decoder.tflite")
    painted = decoder.decode(encoder.encodings(images.pixels[:4]))
    expected = 255 * np.asarray(uninterrupted.autoencoder(shares))
    assert painted.shape == (4, *expected.shape[1:])
    assert np.abs(painted - expected).max() < 0.6
    from_vectors = decoder.decode_vectors(encoder.encode(images.pixels[:4]))
    assert np.abs(from_vectors - expected).mean() < 10


def test_exported_keras_file_can_be_loaded(
    images: Pictures, uninterrupted: Any, exported: Path
) -> None:
    """With this package imported, Keras reads it, and it paints the same pictures."""
    shares = read_scaled(images, np.arange(4), 128)
    loaded = keras.models.load_model(exported / "autoencoder.keras")
    np.testing.assert_array_equal(loaded(shares), uninterrupted.autoencoder(shares))


def test_exported_history_tells_the_recipe(exported: Path) -> None:
    """All that it was trained by."""
    found = json.loads((exported / "history.json").read_text())
    assert found["settings"]["objective"] == "contrastive"
    assert found["recipe"]["large_px"] == 32
    assert found["precision"] == "float32"
