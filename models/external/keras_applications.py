"""External encoders from keras.applications."""

import contextlib
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from models.encoder import FINGERPRINT_LENGTH, EncoderInfo
from models.errors import ExternalEncoderUnavailable
from models.export import write_tflite
from models.external.tflite_encoder import KERAS_PREFIX
from models.files import ENCODER_FILE, ENCODER_INFO_FILE
from models.preprocess import SIDE_PX
from models.runtime.quiet import quiet_stderr

with quiet_stderr():
    import keras

_USUAL_SIDE_PX = 224
_SIDES_PX = {"EfficientNetB1": 240, "EfficientNetV2B1": 240}
_LARGE = (  # trained on at least 260 px: they get the 256 px that there are
    "EfficientNetB2", "EfficientNetB3", "EfficientNetB4", "EfficientNetB5", "EfficientNetB6",
    "EfficientNetB7", "EfficientNetV2B2", "EfficientNetV2B3", "EfficientNetV2S",
    "EfficientNetV2M", "EfficientNetV2L", "InceptionResNetV2", "InceptionV3", "NASNetLarge",
    "Xception",
)  # fmt: skip


def network_names() -> list[str]:
    """Return the names of the networks in keras.applications."""
    return [name for name in dir(keras.applications) if name[0].isupper()]


def import_keras_encoder(name: str, weights: Path | None, out: Path) -> EncoderInfo:
    """Convert a network of keras.applications to encoder.tflite and encoder.json.

    Parameters
    ----------
    name : str
        Class in keras.applications, such as "MobileNetV3Small".
    weights : Path, optional
        File of weights without the classification layers. Default: the ImageNet weights, which
        Keras downloads once and keeps in its own folder.
    out : Path
        Existing folder; gets the two files.

    Returns
    -------
    EncoderInfo
        As written to encoder.json.

    Raises
    ------
    ExternalEncoderUnavailable
        If there is no such network, or its weights cannot be downloaded or do not fit.

    Notes
    -----
    The file resizes the 256 px to the size that the network was trained on, if that is smaller
    (bilinear), applies the network's own `preprocess_input` and the network, and takes the mean
    over its last feature map.
    """
    if name not in network_names():
        raise ExternalEncoderUnavailable(
            f"keras.applications has no network {name}: choose one of {', '.join(network_names())}"
        )
    model = _whole(name, _network(name, weights))
    sha256 = write_tflite(model, out / ENCODER_FILE)
    dim = int(model.output.shape[-1])
    info = EncoderInfo(
        architecture=KERAS_PREFIX + name,
        input_side_px=SIDE_PX,
        input_scale=1.0,
        dim=dim,
        code_shape=(dim,),
        fingerprint=sha256[:FINGERPRINT_LENGTH],
        sha256=sha256,
        n_steps=0,
        seed=0,
        created_by={library: version(library) for library in ("tensorflow", "keras")},
    )
    info.save(out / ENCODER_INFO_FILE)
    return info


def side_px(name: str) -> int:
    """Return the input size of a network: the one it was trained on, at most 256."""
    return SIDE_PX if name in _LARGE else _SIDES_PX.get(name, _USUAL_SIDE_PX)


def _network(name: str, weights: Path | None) -> keras.Model:
    if weights is not None and not weights.is_file():
        raise ExternalEncoderUnavailable(f"{weights} does not exist: name a file of weights")
    side = side_px(name)
    make = getattr(keras.applications, name)
    source = "imagenet" if weights is None else str(weights)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras prints its progress
            return make(
                include_top=False, weights=source, input_shape=(side, side, 3), pooling="avg"
            )
    except Exception as error:  # Keras raises bare Exception if a download fails
        raise ExternalEncoderUnavailable(_message(name, weights, error)) from error


def _message(name: str, weights: Path | None, error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    if weights is None:
        return (
            f"the weights of {name} cannot be downloaded ({lines[0]}): name a weights file with "
            "--weights FILE"
        )
    return (
        f"{weights} does not fit {name} ({lines[0]}): use the weights file without the "
        "classification layers (with `no_top` or `notop` in its name)"
    )


def _whole(name: str, network: keras.Model) -> keras.Model:
    """Put resizing and the network's own scaling before the network."""
    module: Any = sys.modules[getattr(keras.applications, name).__module__]
    pictures = keras.Input((SIDE_PX, SIDE_PX, 3), name="pictures")  # 0..255
    x: Any = pictures
    if side_px(name) < SIDE_PX:
        x = keras.layers.Resizing(side_px(name), side_px(name))(x)  # (b, side, side, 3)
    x = module.preprocess_input(x)
    return keras.Model(pictures, network(x))  # (b, dim)
