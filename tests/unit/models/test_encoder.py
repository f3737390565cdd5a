import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.decoder import Decoder
from models.encoder import (
    Encoder,
    EncoderInfo,
    constant_vector,
    count_zero_encodings,
    unit_rows,
)
from models.errors import EncoderError, ModelMismatch
from tests.helpers import paths
from tests.helpers.files import flip_bit
from tests.unit.models.golden.make import N_SAMPLE, pictures

GOLDEN = Path(__file__).parent / "golden"
ROOT = paths.ROOT


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """Return the golden encoder."""
    return Encoder.open(GOLDEN / "encoder.tflite")


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    """Return the golden decoder."""
    return Decoder.open(GOLDEN / "decoder.tflite")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """37 pictures of noise, of which the last is the first again."""
    pictures = np.random.default_rng(0).integers(0, 256, (37, 256, 256, 3), dtype=np.uint8)
    pictures[36] = pictures[0]
    return pictures


@pytest.fixture(scope="module")
def vectors(encoder: Encoder, images: np.ndarray) -> np.ndarray:
    """Return the vectors of the 37 pictures."""
    return encoder.encode(images)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return the path of an encoder.tflite that may be spoilt, with its .json."""
    for name in ("encoder.tflite", "encoder.json"):
        shutil.copy(GOLDEN / name, tmp_path / name)
    return tmp_path / "encoder.tflite"


@pytest.fixture(scope="module")
def by_keras() -> dict[str, np.ndarray]:
    """Return what Keras gave for the golden pictures when the golden files were made."""
    with np.load(GOLDEN / "by_keras.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def golden_pictures() -> np.ndarray:
    """Return what Keras was shown when the golden files were made."""
    return pictures(N_SAMPLE)


# ---------------------------------------------------------------- vectors


def test_encode_gives_unit_rows(vectors: np.ndarray) -> None:
    """Rows are float32, of length 1, one after the other in memory."""
    assert vectors.shape == (37, 4096)
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1, atol=1e-6)


def test_encode_tells_pictures_apart(vectors: np.ndarray) -> None:
    """Different pictures get different vectors, equal ones the same."""
    assert (vectors[36] == vectors[0]).all()
    assert len(np.unique(vectors, axis=0)) == 36


@pytest.mark.parametrize("batch_size", [1, 8, 37])
def test_encode_is_equal_to_the_bit_in_any_batch(
    encoder: Encoder, images: np.ndarray, vectors: np.ndarray, batch_size: int
) -> None:
    """A picture's vector does not depend on the pictures that it came with."""
    order = np.random.default_rng(batch_size).permutation(37)
    for start in range(0, 37, batch_size):
        rows = order[start : start + batch_size]
        assert (encoder.encode(images[rows]) == vectors[rows]).all()


def test_encode_is_equal_to_the_bit_with_more_threads(
    images: np.ndarray, vectors: np.ndarray
) -> None:
    """Nor does it depend on how many threads compute it."""
    assert (Encoder.open(GOLDEN / "encoder.tflite", n_threads=2).encode(images) == vectors).all()


def test_encode_may_be_called_by_many_threads(
    encoder: Encoder, images: np.ndarray, vectors: np.ndarray
) -> None:
    """Four threads that encode at once get what one gets."""
    with ThreadPoolExecutor(4) as pool:
        for row, found in enumerate(
            pool.map(lambda i: encoder.encode(images[i : i + 1]), range(37))
        ):
            assert (found[0] == vectors[row]).all()


def test_encode_gives_no_rows_when_there_are_no_pictures(encoder: Encoder) -> None:
    """An empty batch is a batch."""
    assert encoder.encode(np.empty((0, 256, 256, 3), np.uint8)).shape == (0, 4096)


def test_encode_leaves_its_input_alone(encoder: Encoder, images: np.ndarray) -> None:
    """Pictures are not modified, and need not be writable or contiguous."""
    mirrored = images[:2, :, ::-1]
    mirrored.flags.writeable = False
    assert (encoder.encode(mirrored) == encoder.encode(mirrored.copy())).all()


def test_encodings_are_those_of_keras(
    encoder: Encoder, golden_pictures: np.ndarray, by_keras: dict[str, np.ndarray]
) -> None:
    """LiteRT gives within 1e-5 what Keras gave when the file was made."""
    np.testing.assert_allclose(encoder.encodings(golden_pictures), by_keras["encodings"], atol=1e-5)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 256, 256, 3), np.float32),
        np.zeros((1, 128, 128, 3), np.uint8),
        np.zeros((256, 256, 3), np.uint8),
    ],
    ids=["floats", "small", "no batch"],
)
def test_encode_refuses_other_arrays(encoder: Encoder, images: np.ndarray) -> None:
    """What is no batch of pixels is refused with the cure."""
    with pytest.raises(ValueError, match="to_pixels"):
        encoder.encode(images)


class MeanModel:
    """Gives the mean colour of what it is fed."""

    input_dtype = np.dtype(np.float32)
    output_shape = (3,)

    def run(self, rows: np.ndarray) -> np.ndarray:
        """Return (n, 3) means, and remember the shape."""
        self.fed = rows.shape
        return rows.mean(axis=(1, 2))


def test_encode_shrinks_for_smaller_networks(encoder: Encoder) -> None:
    """A network that takes 128 pixels gets block means, scaled as encoder.json says."""
    info = replace(encoder.info, input_side_px=128, dim=3, input_scale=0.5)
    model = MeanModel()
    images = np.zeros((2, 256, 256, 3), np.uint8)
    images[:, ::2] = [8, 16, 24]  # every second row, so half of it in the mean
    found = Encoder(model, info).encodings(images)
    assert model.fed == (2, 128, 128, 3)
    assert found.tolist() == [[2, 4, 6], [2, 4, 6]]


def test_encode_scales_each_channel_as_it_is_told(encoder: Encoder) -> None:
    """Mean 100, 100, 100 times 0.5, 1, 2 and less 1, 2, 3, at a side that does not divide 256."""
    info = replace(
        encoder.info, input_side_px=224, dim=3, input_scale=(0.5, 1, 2), input_offset=(-1, -2, -3)
    )
    model = MeanModel()
    found = Encoder(model, info).encodings(np.full((2, 256, 256, 3), 100, np.uint8))
    assert model.fed == (2, 224, 224, 3)
    np.testing.assert_allclose(found, [[49, 98, 197]] * 2, rtol=1e-5)


# ---------------------------------------------------------------- unit rows


def test_unit_rows_by_hand() -> None:
    """(3, 4) becomes (0.6, 0.8), however small its numbers."""
    rows = unit_rows(np.array([[3, 4], [3e-30, 4e-30], [-3e30, 4e30]], np.float32))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0.6, 0.8], [-0.6, 0.8]], rtol=1e-6)


def test_unit_rows_gives_the_constant_vector_when_zero() -> None:
    """A zero encoding becomes the vector of equal numbers, and is counted."""
    rows = unit_rows(np.array([[0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]], np.float32))
    assert rows.tolist() == [[0.5] * 4, [0, 1, 0, 0], [0.5] * 4]
    assert count_zero_encodings(rows) == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_unit_rows_refuses_what_is_no_number(bad: float) -> None:
    """NaN and infinity are errors that name the row, not vectors."""
    rows = np.ones((5, 4), np.float32)
    rows[3, 1] = bad
    with pytest.raises(EncoderError, match="1 of 5 encodings are not finite .first: row 3"):
        unit_rows(rows)


@pytest.mark.parametrize("dim", [1, 3, 4096])
def test_constant_vector_has_length_one(dim: int) -> None:
    """All numbers are equal and the length is 1."""
    vector = constant_vector(dim)
    assert vector.shape == (dim,)
    assert len(set(vector.tolist())) == 1
    assert np.linalg.norm(vector.astype(np.float64)) == pytest.approx(1, abs=1e-6)


# ---------------------------------------------------------------- files


def test_open_says_what_the_encoder_is(encoder: Encoder) -> None:
    """Dim, fingerprint and shape of the code come from encoder.json."""
    assert (encoder.dim, encoder.info.code_shape) == (4096, (32, 32, 4))
    assert encoder.fingerprint == encoder.info.sha256[:16]


def test_info_is_the_same_after_saving(encoder: Encoder, tmp_path: Path) -> None:
    """What is saved is loaded again, types included."""
    encoder.info.save(tmp_path / "encoder.json")
    assert EncoderInfo.load(tmp_path / "encoder.json") == encoder.info


def test_encode_works_when_the_file_is_gone(
    copied: Path, vectors: np.ndarray, images: np.ndarray
) -> None:
    """An open encoder does not need its file, in a new thread neither: snapshots are pruned."""
    opened = Encoder.open(copied)
    copied.unlink()
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(opened.encode, images[:1]).result()
    assert (found == vectors[:1]).all()


def test_open_refuses_a_flipped_byte(copied: Path) -> None:
    """The checksum guards the file."""
    flip_bit(copied)
    with pytest.raises(ModelMismatch, match="copy both files from the same export"):
        Encoder.open(copied)


@pytest.mark.parametrize("name", ["encoder.tflite", "encoder.json"])
def test_open_refuses_when_a_file_is_missing(copied: Path, name: str) -> None:
    """Both files are needed, and the sentence names the one that is missing."""
    copied.with_name(name).unlink()
    with pytest.raises(ModelMismatch, match=f"{name} is missing"):
        Encoder.open(copied)


def test_open_refuses_what_is_no_model(copied: Path) -> None:
    """A file with the right checksum that is not a tflite model is a mismatch, not a crash."""
    import hashlib

    copied.write_bytes(b"no model at all")
    info = EncoderInfo.load(copied.with_suffix(".json"))
    digest = hashlib.sha256(b"no model at all").hexdigest()
    replace(info, sha256=digest).save(copied.with_suffix(".json"))
    with pytest.raises(ModelMismatch, match="not a tflite model"):
        Encoder.open(copied)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"schema_version": 3}, "schema version 3, this version reads 2"),
        ({"dim": 4095}, "4095"),
        ({"input_side_px": 128}, "128"),
        ({"colour": "red"}, "missing or unknown fields .'colour'"),
    ],
    ids=["schema", "dim", "side", "unknown field"],
)
def test_open_refuses_another_json(copied: Path, change: dict[str, object], match: str) -> None:
    """The .json must be of this schema and fit the model."""
    path = copied.with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelMismatch, match=match):
        Encoder.open(copied)


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_open_refuses_when_json_is_broken(copied: Path, text: str) -> None:
    """A broken .json is a mismatch with the path in the sentence."""
    copied.with_suffix(".json").write_text(text)
    with pytest.raises(ModelMismatch, match=r"encoder\.json"):
        Encoder.open(copied)


def test_encoding_needs_no_tensorflow() -> None:
    """Importing and running encoder and decoder loads neither TensorFlow nor Keras, silently."""
    code = """
import sys, numpy as np
from pathlib import Path
from models.encoder import Encoder
from models.decoder import Decoder
golden = Path(sys.argv[1])
vectors = Encoder.open(golden / "encoder.tflite").encode(np.zeros((1, 256, 256, 3), np.uint8))
Decoder.open(golden / "decoder.tflite").decode(vectors)
print(sorted({"tensorflow", "keras", "faiss", "flask"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(GOLDEN)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


# ---------------------------------------------------------------- decoder


def test_decode_paints_what_keras_painted(
    decoder: Decoder, encoder: Encoder, golden_pictures: np.ndarray, by_keras: dict[str, np.ndarray]
) -> None:
    """Pixels are within one level of what Keras painted when the file was made."""
    painted = decoder.decode(encoder.encodings(golden_pictures))
    assert painted.shape == (3, 256, 256, 3)
    assert painted.dtype == np.uint8
    assert np.abs(painted[:, :8, :8] - 255 * by_keras["corner"]).max() <= 1


def test_decode_vectors_gives_back_the_usual_length(
    decoder: Decoder, encoder: Encoder, golden_pictures: np.ndarray
) -> None:
    """A unit vector is painted as the encoding of its direction and of the usual length."""
    vectors = encoder.encode(golden_pictures)
    expected = decoder.decode(vectors * np.float32(decoder.info.encoding_norm))
    assert (decoder.decode_vectors(vectors) == expected).all()
    assert decoder.info.encoding_norm > 1


def test_decode_refuses_rows_of_another_encoder(decoder: Decoder) -> None:
    """The length of rows is checked."""
    with pytest.raises(ModelMismatch, match="expects .n, 4096."):
        decoder.decode(np.zeros((2, 128), np.float32))


def test_decoder_belongs_to_its_encoder(decoder: Decoder, encoder: Encoder) -> None:
    """decoder.json names the encoder that it was trained with."""
    assert decoder.info.encoder_fingerprint == encoder.fingerprint


def test_decoder_open_refuses_the_encoder_file(tmp_path: Path) -> None:
    """An encoder under the decoder's name is found out by its checksum."""
    shutil.copy(GOLDEN / "encoder.tflite", tmp_path / "decoder.tflite")
    shutil.copy(GOLDEN / "decoder.json", tmp_path / "decoder.json")
    with pytest.raises(ModelMismatch, match="SHA-256"):
        Decoder.open(tmp_path / "decoder.tflite")


def test_encoder_keeps_as_many_interpreters_as_run_at_a_time(images: np.ndarray) -> None:
    """A server with many threads, few of which encode at a time, does not pay for all of them."""
    fresh = Encoder.open(GOLDEN / "encoder.tflite")
    expected = fresh.encode(images)
    for _ in range(12):  # one after the other, each in a thread of its own
        with ThreadPoolExecutor(1) as pool:
            np.testing.assert_array_equal(pool.submit(fresh.encode, images).result(), expected)
    assert len(fresh._model._idle) == 1
