"""tflite files as others make them: tiny networks whose vectors can be worked out by hand."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.files import CROP_ENCODER_FILE, ENCODER_INFO_FILE

DIM = 7
# (red, green, blue) to 7 numbers: the three, their sum, and three differences.
KERNEL = np.array(
    [[1, 0, 0, 1, 1, 0, -1], [0, 1, 0, 1, -1, 1, 0], [0, 0, 1, 1, 0, -1, 1]], np.float32
)


def tiny_model(side=32, dtype="float32", n_rows=None):
    """Return a Keras model: the mean colour of a square, times `KERNEL`."""
    from models.export import keras

    pictures = keras.Input((side, side, 3), batch_size=n_rows, dtype=dtype)
    means = keras.layers.GlobalAveragePooling2D()(pictures)
    dense = keras.layers.Dense(DIM, use_bias=False)
    model = keras.Model(pictures, dense(means))
    dense.set_weights([KERNEL])
    return model


def write_float(path: Path, **form) -> Path:
    """Write a tflite file with float32 input and output."""
    from models.export import write_tflite

    write_tflite(tiny_model(**form), path)
    return path


def write_float_with_crops(folder: Path) -> Path:
    """Write an encoder's folder as an export has it; both crop vectors are the picture's own."""
    from models.export import keras, write_tflite
    from models.external.tflite_encoder import import_tflite_encoder

    folder.mkdir()
    info = import_tflite_encoder(write_float(folder / "tiny.tflite"), folder)
    model = tiny_model()
    crops = keras.layers.Reshape((2, DIM))(keras.layers.Concatenate()([model.output] * 2))
    digest = write_tflite(keras.Model(model.input, crops), folder / CROP_ENCODER_FILE)
    replace(info, crops_sha256=digest).save(folder / ENCODER_INFO_FILE)
    return folder


def write_quantized(path: Path, side=32) -> Path:
    """Write one that takes and gives bytes, quantized for pixels of 0..255."""
    from models.export import tf
    from models.runtime.quiet import quiet_stderr

    rng = np.random.default_rng(0)
    samples = [rng.uniform(0, 255, (1, 1, 1, 3)) * np.ones((1, side, side, 1)) for _ in range(50)]
    samples += [np.full((1, side, side, 3), level) for level in (0.0, 255.0)]
    converter = tf.lite.TFLiteConverter.from_keras_model(tiny_model(side))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([one.astype(np.float32)] for one in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter warns that it will estimate the range
        path.write_bytes(converter.convert())
    return path
