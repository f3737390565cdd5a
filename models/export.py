"""Export a trained autoencoder as the files of a snapshot."""

import hashlib
import io
import json
from contextlib import redirect_stdout
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from models.autoencoder import ARCHITECTURES, build_crop_encoder
from models.decoder import DecoderInfo
from models.encoder import FINGERPRINT_LENGTH, EncoderInfo
from models.files import (
    AUTOENCODER_FILE,
    CROP_ENCODER_FILE,
    DECODER_FILE,
    DECODER_INFO_FILE,
    ENCODER_FILE,
    ENCODER_INFO_FILE,
    HISTORY_FILE,
)
from models.runtime.quiet import quiet_stderr
from models.training import TrainingResult, TrainingSettings, objective_of

with quiet_stderr():
    import keras
    import tensorflow as tf

_LIBRARIES = ("tensorflow", "keras", "numpy")


def export_autoencoder(
    result: TrainingResult, settings: TrainingSettings, out: Path
) -> EncoderInfo:
    """Write encoder and decoder (tflite and json), the autoencoder (keras) and the history.

    Parameters
    ----------
    result : TrainingResult
    settings : TrainingSettings
        Those that `result` was trained with.
    out : Path
        Existing folder; gets encoder.tflite, encoder.json, decoder.tflite, decoder.json,
        autoencoder.keras and history.json; of a deep network also crops.tflite.

    Returns
    -------
    EncoderInfo
        As written to encoder.json.
    """
    encoder_info = _export_encoder(result, settings, out)
    _export_decoder(result, encoder_info, out)
    result.autoencoder.save(out / AUTOENCODER_FILE)
    (out / HISTORY_FILE).write_text(
        json.dumps(_history(result, settings), indent=1) + "\n", encoding="utf-8"
    )
    return encoder_info


def _export_encoder(result: TrainingResult, settings: TrainingSettings, out: Path) -> EncoderInfo:
    side = ARCHITECTURES[settings.architecture].input_side_px
    pictures = keras.Input((side, side, 3), name="pictures")
    encodings = result.autoencoder.get_layer("encoder")(pictures)  # (b, height, width, channels)
    code_shape = tuple(int(side) for side in encodings.shape[1:])
    dim = int(np.prod(code_shape))
    flat = keras.layers.Reshape((dim,))(encodings)  # (b, dim)
    sha256 = write_tflite(keras.Model(pictures, flat), out / ENCODER_FILE)
    info = EncoderInfo(
        architecture=settings.architecture,
        input_side_px=side,
        input_scale=1 / 255,
        dim=dim,
        code_shape=code_shape,
        fingerprint=sha256[:FINGERPRINT_LENGTH],
        sha256=sha256,
        n_steps=result.n_steps,
        seed=settings.seed,
        created_by={name: version(name) for name in _LIBRARIES},
        crops_sha256=_export_crop_encoder(result, settings, dim, out),
    )
    info.save(out / ENCODER_INFO_FILE)
    return info


def _export_crop_encoder(
    result: TrainingResult, settings: TrainingSettings, dim: int, out: Path
) -> str | None:
    """Write crops.tflite if the network supports crop search; return its SHA-256."""
    architecture = ARCHITECTURES[settings.architecture]
    if architecture.recipe is None:
        return None
    side = architecture.input_side_px
    crops = build_crop_encoder(result.autoencoder, architecture.recipe, side)
    n_crops = crops.output.shape[1]
    flat = keras.layers.Reshape((n_crops, dim))(crops.output)  # (b, 9, dim)
    return write_tflite(keras.Model(crops.input, flat), out / CROP_ENCODER_FILE)


def _export_decoder(result: TrainingResult, encoder: EncoderInfo, out: Path) -> None:
    decoder = result.autoencoder.get_layer("decoder")
    encodings = keras.Input((encoder.dim,), name="encodings")
    reconstructed = decoder(
        keras.layers.Reshape(encoder.code_shape)(encodings)
    )  # (b, side, side, 3)
    sha256 = write_tflite(keras.Model(encodings, reconstructed), out / DECODER_FILE)
    DecoderInfo(
        encoder_fingerprint=encoder.fingerprint,
        dim=encoder.dim,
        output_side_px=int(reconstructed.shape[1]),
        encoding_norm=result.encoding_norm,
        sha256=sha256,
    ).save(out / DECODER_INFO_FILE)


def write_tflite(model: keras.Model, path: Path) -> str:
    """Convert a model that takes any number of rows, and return the file's SHA-256.

    Parameters
    ----------
    model : keras.Model
        One input, one output, both with the rows first.
    path : Path
        Replaced if it exists.

    Returns
    -------
    str
        64 hex digits.
    """
    # The converter lists every endpoint on stdout, which is for results.
    with quiet_stderr(), redirect_stdout(io.StringIO()):
        content: bytes = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _history(result: TrainingResult, settings: TrainingSettings) -> dict[str, Any]:
    names = ("n_steps", "best_step", "seconds", "stopped_by", "n_training", "n_validation")
    facts = {name: getattr(result, name) for name in (*names, "is_validation_shared", "precision")}
    recipe = ARCHITECTURES[settings.architecture].recipe
    return {
        "settings": asdict(settings) | {"objective": objective_of(settings)},
        "recipe": recipe and asdict(recipe),
        **facts,
        "epochs": result.history,
    }
