"""Encoders from elsewhere through the whole way: build, search, verify, and the service."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from index.snapshot import DataFolder
from models.preprocess import decode, to_pixels
from service.settings import Settings
from tests.helpers.apps import running_app
from tests.helpers.commands import run
from tests.helpers.pictures import file_of, noise_picture, write_pictures
from tests.helpers.tiny_encoders import DIM, KERNEL, write_float, write_quantized

N = 20


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Give a folder of 20 pictures."""
    folder = tmp_path_factory.mktemp("own") / "images"
    write_pictures(folder, N)
    return folder


@pytest.fixture
def built(images, tmp_path):
    """Give a function (encoder, options) -> data folder of a build with it."""

    def make(encoder, *options):
        command = ("build", images, "--data", tmp_path / "data", "--clusters", 2)
        assert run(*command, "--encoder", encoder, *options) == 0
        return DataFolder(tmp_path / "data")

    return make


def ask_service(data, picture):
    """Upload a picture, ask for neighbours and groups; return the answers and the collection."""
    with running_app(Settings(data=data.root, poll_s=0.05), open_encoder=None) as app:
        client = app.test_client()
        form = {"image": (io.BytesIO(file_of(picture)), "query.png")}
        found = client.post("/api/v1/search", data=form)
        pages = [client.get(page).status_code for page in ("/", "/groups", "/collection")]
        return found.json, client.get("/api/v1/collection").json, pages


def check_whole_way(data, dim, capsys):
    """Let every reader of a snapshot use it; return its vectors and the service's collection."""
    capsys.readouterr()
    assert run("verify", "--all", "--data", data.root) == 0
    out = data.root.parent / "exported"
    assert run("export", out, "--data", data.root) == 0
    vectors = np.load(out / "encodings.npy")
    assert vectors.shape == (N, dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    query = noise_picture(3).resize((63, 47))
    query.save(data.root.parent / "query.png")
    assert run("search", data.root.parent / "query.png", "--data", data.root, "--json") == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    answer, collection, pages = ask_service(data, query)
    assert said["results"][0]["path"] == answer["results"][0]["path"] == "003.png"
    assert (answer["mode"], collection["dim"], pages) == ("encoded", dim, [200, 200, 200])
    assert collection["quality"]["pictures_altered"] == N
    with data.open_current() as snapshot:
        assert snapshot.file("decoder.tflite") is None
        assert len(snapshot.clusters) == 2
    return vectors, collection


@pytest.mark.parametrize("write", [write_float, write_quantized], ids=["float", "bytes"])
def test_any_tflite_file_goes_the_whole_way(built, images, tmp_path, capsys, write):
    """Seven numbers a picture: mean colour times a kernel, in index, export, search and service."""
    data = built(write(tmp_path / "tiny.tflite"))

    vectors, collection = check_whole_way(data, DIM, capsys)

    assert collection["encoder"]["architecture"] == "tiny.tflite"
    pixels = to_pixels(decode((images / "003.png").read_bytes()))
    wanted = pixels.mean(axis=(0, 1)) @ KERNEL
    cosine = vectors[3] @ (wanted / np.linalg.norm(wanted))
    assert cosine > (1 - 1e-6 if write is write_float else 0.998)


def test_a_network_of_keras_goes_the_whole_way(built, tmp_path, capsys):
    """MobileNetV3Small with weights from a file: what Keras gives, unit-long, in the snapshot."""
    from models.export import keras

    network = keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(224, 224, 3), pooling="avg"
    )
    network.save_weights(tmp_path / "mobile.weights.h5")

    data = built("keras:MobileNetV3Small", "--weights", tmp_path / "mobile.weights.h5")
    vectors, collection = check_whole_way(data, 576, capsys)

    assert collection["encoder"]["architecture"] == "keras:MobileNetV3Small"
    pixels = np.asarray(noise_picture(3).resize((256, 256), Image.Resampling.BILINEAR), np.float32)
    small = keras.ops.image.resize(pixels[None], (224, 224))
    wanted = np.asarray(network(small))[0]
    np.testing.assert_allclose(vectors[3], wanted / np.linalg.norm(wanted), atol=1e-5)


def test_a_later_build_and_reindexing_keep_the_encoder(built, images, tmp_path, capsys):
    """Nobody has to name it again, nor keep its file."""
    file = write_float(tmp_path / "tiny.tflite")
    data = built(file)
    file.unlink()

    assert run("build", images, "--data", data.root, "--clusters", 2) == 0

    assert "Using the collection's encoder" in capsys.readouterr().err
    with data.open_current() as snapshot:
        assert snapshot.store.dim == DIM
    assert run("reindex", "--data", data.root) == 0


def test_an_unscaled_encoder_is_told_of_its_range(built, tmp_path, capsys):
    """Who names no range hears which one was taken; who names one does not."""
    file = write_float(tmp_path / "tiny.tflite")

    built(file)
    assert "tiny.tflite receives pixels in the range 0..1" in capsys.readouterr().err
    built(file, "--encoder-range", "0..255")
    assert "receives pixels" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--encoder", "nowhere.tflite"], 1, "nowhere.tflite does not exist"),
        (["--encoder", "keras:Nothing"], 1, "keras.applications has no network Nothing"),
        (["--weights", "x.h5"], 2, "--weights requires --encoder keras:NAME"),
        (["--encoder-range", "0..1"], 2, "--encoder-range requires --encoder FILE.tflite"),
    ],
    ids=["missing", "unknown", "weights alone", "range alone"],
)
def test_a_wrong_encoder_is_refused_at_once(images, tmp_path, capsys, options, code, sentence):
    """Before a picture is read, and nothing is published."""
    assert run("build", images, "--data", tmp_path / "data", *options) == code

    assert sentence in capsys.readouterr().err
    assert DataFolder(tmp_path / "data").current_id() is None


def test_an_encoder_that_sees_nothing_is_refused(images, tmp_path, capsys):
    """One that gives every picture the same vector cannot make a collection."""
    from models.export import keras, write_tflite

    pictures = keras.Input((8, 8, 3))
    blind = keras.layers.Rescaling(0, 1)(keras.layers.GlobalAveragePooling2D()(pictures))
    write_tflite(keras.Model(pictures, blind), tmp_path / "blind.tflite")
    command = ("build", images, "--data", tmp_path / "data")

    assert run(*command, "--encoder", tmp_path / "blind.tflite") == 1

    assert "does not tell the pictures apart" in capsys.readouterr().err
    assert DataFolder(tmp_path / "data").current_id() is None
