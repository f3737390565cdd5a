"""External encoders: what they get, what they return, and what is refused."""

import json
import math
import sys
import urllib.error

import numpy as np
import pytest

from models.encoder import Encoder
from models.errors import ExternalEncoderUnavailable, ModelMismatch
from models.external.tflite_encoder import import_tflite_encoder
from tests.helpers.tiny_encoders import DIM, KERNEL, write_float, write_quantized

COLOURS = np.array([[200, 100, 0], [0, 50, 255], [30, 30, 30]], np.uint8)


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    """Give a tflite file: float32, 32 px, 7 numbers."""
    return write_float(tmp_path_factory.mktemp("floats") / "tiny.tflite")


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    """Give the same with bytes in and out."""
    return write_quantized(tmp_path_factory.mktemp("bytes") / "tiny8.tflite")


@pytest.fixture
def out(tmp_path):
    """Give an empty folder to take encoders over into."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def copied(floats, tmp_path):
    """Give a function fields -> path of the float model with a .json of these beside it."""

    def make(fields):
        path = tmp_path / "tiny.tflite"
        path.write_bytes(floats.read_bytes())
        path.with_suffix(".json").write_text(json.dumps(fields))
        return path

    return make


def plain(colours=COLOURS):
    """Return pictures of one colour each, (n, 256, 256, 3) uint8."""
    return np.broadcast_to(colours[:, None, None], (len(colours), 256, 256, 3)).copy()


def encodings(folder):
    """Return what the encoder in a folder gives for `COLOURS`, not normalised."""
    return Encoder.open(folder / "encoder.tflite").encodings(plain())


@pytest.mark.parametrize(
    ("value_range", "scale", "offset"),
    [(None, 1 / 255, 0), ("0..1", 1 / 255, 0), ("-1..1", 2 / 255, -1), ("0..255", 1, 0)],
)
def test_a_float_file_gets_pixels_in_the_range_that_is_named(
    floats, out, value_range, scale, offset
):
    """Its 7 numbers are the scaled mean colour times the kernel, worked out here in NumPy."""
    info = import_tflite_encoder(floats, out, value_range)

    assert (info.dim, info.input_side_px, info.code_shape) == (DIM, 32, (DIM,))
    assert info.architecture == "tiny.tflite"
    wanted = (COLOURS * scale + offset) @ KERNEL
    np.testing.assert_allclose(encodings(out), wanted, rtol=1e-5, atol=1e-5)


def test_the_json_beside_it_tells_the_scaling(copied, out):
    """One number, or three for red, green and blue, as networks of other makers want them."""
    import_tflite_encoder(copied({"input_scale": 0.5, "input_offset": [-1, -2, -3]}), out)

    wanted = (COLOURS * 0.5 - [1, 2, 3]) @ KERNEL
    np.testing.assert_allclose(encodings(out), wanted, rtol=1e-5, atol=1e-4)


def test_a_range_that_is_named_goes_before_the_json(copied, out):
    """What is said on the command line holds."""
    info = import_tflite_encoder(copied({"input_scale": 0.5}), out, "0..255")

    assert (info.input_scale, info.input_offset) == (1.0, 0.0)


def test_the_fingerprint_names_file_and_scaling(floats, out):
    """The same file otherwise scaled gives other vectors, so it is another encoder."""
    found = {import_tflite_encoder(floats, out, r).fingerprint for r in ("0..1", "-1..1", "0..255")}
    again = import_tflite_encoder(floats, out, None).fingerprint

    assert len(found) == 3
    assert again in found


def test_a_byte_file_gets_the_pixels_as_they_are(quantized, out):
    """Its bytes are turned back into numbers; quantization costs some steps of the output."""
    info = import_tflite_encoder(quantized, out)

    found = encodings(out)
    wanted = COLOURS.astype(np.float32) @ KERNEL
    assert info.dim == DIM
    assert np.abs(found - wanted).max() < 0.03 * np.abs(wanted).max()


def test_a_byte_input_needs_no_range(quantized, out):
    """A range for it is refused, since it would be ignored."""
    with pytest.raises(ModelMismatch, match="has a byte input, which needs no range"):
        import_tflite_encoder(quantized, out, "0..1")


def test_a_side_that_does_not_divide_256_is_interpolated(tmp_path, out):
    """At 100 px a plain picture keeps its colour, and a half black one its mean."""
    import_tflite_encoder(write_float(tmp_path / "t.tflite", side=100), out, "0..255")
    encoder = Encoder.open(out / "encoder.tflite")
    halves = plain(np.array([[200, 100, 50]], np.uint8))
    halves[:, :128] = 0

    np.testing.assert_allclose(encoder.encodings(plain()), COLOURS @ KERNEL, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(
        encoder.encodings(halves), [[100, 50, 25] @ KERNEL], rtol=0.01, atol=0.5
    )


def test_a_file_that_takes_one_picture_at_a_time_does(tmp_path, out):
    """Many files found in public have a fixed first dimension of 1; vectors are the same."""
    import_tflite_encoder(write_float(tmp_path / "one.tflite", n_rows=1), out, "0..255")

    np.testing.assert_allclose(encodings(out), COLOURS @ KERNEL, rtol=1e-5, atol=1e-3)


def test_a_fixed_number_of_rows_is_refused(tmp_path, out):
    """Only 1 or any number can be fed."""
    with pytest.raises(ModelMismatch, match=r"shape \[4, 32, 32, 3\].*convert it again"):
        import_tflite_encoder(write_float(tmp_path / "four.tflite", n_rows=4), out)


def test_pictures_of_another_shape_are_refused(tmp_path, out):
    """A grid with five channels takes no RGB."""
    from models.export import keras, write_tflite

    grid = keras.Input((8, 8, 5))
    write_tflite(keras.Model(grid, keras.layers.Flatten()(grid)), tmp_path / "grid.tflite")

    with pytest.raises(ModelMismatch, match=r"not squares of shape \(side, side, 3\)"):
        import_tflite_encoder(tmp_path / "grid.tflite", out)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"scale": 1}, r"unknown fields \['scale'\]: use only \['input_scale', 'input_offset'\]"),
        ({"input_scale": "1/255"}, "input_scale in .* is 1/255: it must be one number"),
        ({"input_scale": [1, 2]}, r"is \[1, 2\]: it must be one number, or three"),
        ({"input_offset": math.inf}, "input_offset in .* is inf: it must be one number"),
        ([1, 2], "is not a JSON object"),
    ],
)
def test_a_json_with_a_mistake_is_explained(copied, out, fields, sentence):
    """Nothing is guessed, nothing is passed over."""
    with pytest.raises(ModelMismatch, match=sentence):
        import_tflite_encoder(copied(fields), out)


def test_what_is_no_tflite_file_is_said(tmp_path, out):
    """Missing, or something else."""
    (tmp_path / "x.tflite").write_bytes(b"not a model")

    with pytest.raises(ModelMismatch, match="not a tflite model"):
        import_tflite_encoder(tmp_path / "x.tflite", out)
    with pytest.raises(ModelMismatch, match="nowhere.tflite does not exist"):
        import_tflite_encoder(tmp_path / "nowhere.tflite", out)


def test_unknown_networks_are_told_with_the_known_ones(out):
    """The list holds the name that was meant."""
    from models.external.keras_applications import import_keras_encoder

    with pytest.raises(ExternalEncoderUnavailable, match="no network MobileNet3.*MobileNetV3Small"):
        import_keras_encoder("MobileNet3", None, out)


def test_weights_that_cannot_be_fetched_name_the_option(out, monkeypatch, tmp_path):
    """Without a network: one sentence with the reason and --weights."""
    from models.external.keras_applications import import_keras_encoder

    def refuse(*_, **__):
        raise urllib.error.URLError("no route to host")

    file_utils = sys.modules["keras.src.utils.file_utils"]
    monkeypatch.setattr(file_utils, "urlretrieve", refuse)
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path / "keras"))

    with pytest.raises(ExternalEncoderUnavailable, match=r"no route to host.*--weights FILE"):
        import_keras_encoder("MobileNetV3Small", None, out)


def test_weights_that_do_not_fit_are_told(tmp_path, out):
    """A missing file, and one that is no file of weights."""
    from models.external.keras_applications import import_keras_encoder

    (tmp_path / "odd.weights.h5").write_bytes(b"nothing")

    with pytest.raises(ExternalEncoderUnavailable, match="gone.h5 does not exist"):
        import_keras_encoder("MobileNetV3Small", tmp_path / "gone.h5", out)
    with pytest.raises(ExternalEncoderUnavailable, match="does not fit MobileNetV3Small.*notop"):
        import_keras_encoder("MobileNetV3Small", tmp_path / "odd.weights.h5", out)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("MobileNetV3Small", 224),
        ("EfficientNetB0", 224),
        ("EfficientNetB1", 240),
        ("Xception", 256),
    ],
)
def test_networks_see_their_own_size_or_what_there_is(name, side):
    """Nothing is enlarged: 256 pixels hold no more."""
    from models.external.keras_applications import network_names, side_px

    assert name in network_names()
    assert side_px(name) == side
