"""Networks of keras.applications as encoders: pictures of 256 px in, one vector out."""

import contextlib
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from models.encoder import EncoderInfo
from models.errors import PretrainedUnavailable
from models.export import FINGERPRINT_LENGTH, write_tflite
from models.external.tflite_encoder import KERAS_PREFIX
from models.files import ENCODER_FILE, ENCODER_INFO_FILE
from models.preprocess import SIDE_PX
from models.runtime.quiet import quiet_stderr

with quiet_stderr():
    import keras

_USUAL_SIDE_PX = 224
_SIDES_PX = {"EfficientNetB1": 240, "EfficientNetV2B1": 240}  # of the others below 256
_LARGE = (  # trained on 260 px and more: shown the 256 that there are
    "EfficientNetB2", "EfficientNetB3", "EfficientNetB4", "EfficientNetB5", "EfficientNetB6",
    "EfficientNetB7", "EfficientNetV2B2", "EfficientNetV2B3", "EfficientNetV2S",
    "EfficientNetV2M", "EfficientNetV2L", "InceptionResNetV2", "InceptionV3", "NASNetLarge",
    "Xception",
)  # fmt: skip


def network_names() -> list[str]:
    """Return the names that keras.applications knows."""
    return [name for name in dir(keras.applications) if name[0].isupper()]


def export_pretrained(name: str, weights: Path | None, out: Path) -> EncoderInfo:
    """Write a network of keras.applications as encoder.tflite with its encoder.json.

    Parameters
    ----------
    name : str
        As in keras.applications, such as "MobileNetV3Small".
    weights : Path, optional
        File of weights without the classification layers; default: the usual ones (ImageNet),
        which Keras fetches once and keeps in its own folder.
    out : Path
        Existing folder; gets the two files.

    Returns
    -------
    EncoderInfo
        As written to encoder.json.

    Raises
    ------
    PretrainedUnavailable
        If there is no such network, or its weights cannot be fetched or do not fit.

    Notes
    -----
    In the graph: 256 px are made smaller where the network was trained on less (bilinear), then
    the network's own `preprocess_input`, the network, and the mean over its last map.
    """
    if name not in network_names():
        raise PretrainedUnavailable(
            f"keras.applications has no network {name}: it has {', '.join(network_names())}"
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
    """Return the side of the square that a network is shown: its own, at most 256."""
    return SIDE_PX if name in _LARGE else _SIDES_PX.get(name, _USUAL_SIDE_PX)


def _network(name: str, weights: Path | None) -> keras.Model:
    if weights is not None and not weights.is_file():
        raise PretrainedUnavailable(f"{weights} does not exist: name a file of weights")
    side = side_px(name)
    make = getattr(keras.applications, name)
    source = "imagenet" if weights is None else str(weights)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras tells there how much it has fetched
            return make(
                include_top=False, weights=source, input_shape=(side, side, 3), pooling="avg"
            )
    except Exception as error:  # Keras raises the bare class where it cannot fetch
        raise PretrainedUnavailable(_cure(name, weights, error)) from error


def _cure(name: str, weights: Path | None, error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    if weights is None:
        return (
            f"the weights of {name} cannot be fetched ({lines[0]}): name a file of them with "
            "--weights FILE"
        )
    return (
        f"{weights} does not fit {name} ({lines[0]}): --weights takes the file without the "
        "classification layers (its name has `no_top` or `notop`)"
    )


def _whole(name: str, network: keras.Model) -> keras.Model:
    """Put resizing and the network's own scaling in front."""
    module: Any = sys.modules[getattr(keras.applications, name).__module__]
    pictures = keras.Input((SIDE_PX, SIDE_PX, 3), name="pictures")  # 0..255
    x: Any = pictures
    if side_px(name) < SIDE_PX:
        x = keras.layers.Resizing(side_px(name), side_px(name))(x)  # (b, side, side, 3)
    x = module.preprocess_input(x)
    return keras.Model(pictures, network(x))  # (b, dim)
