"""External encoders from tflite files, with an optional JSON file that describes the input."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from models.encoder import FINGERPRINT_LENGTH, EncoderInfo, Levels
from models.errors import ModelMismatch
from models.files import ENCODER_FILE, ENCODER_INFO_FILE
from models.runtime.litert import LiteModel

KERAS_PREFIX = "keras:"  # of the architecture's name, for a network of keras.applications
# Scale and offset that turn a pixel (0..255) into the range that a float input expects.
PIXEL_RANGES: dict[str, tuple[float, float]] = {
    "0..1": (1 / 255, 0.0),
    "-1..1": (2 / 255, -1.0),
    "0..255": (1.0, 0.0),
}
DEFAULT_PIXEL_RANGE = "0..1"
SCALING_FIELDS = ("input_scale", "input_offset")


def is_lookalike_encoder(tflite_path: Path) -> bool:
    """Return whether Lookalike wrote the .json file beside a tflite file."""
    return "schema_version" in _fields_beside(tflite_path)


def import_tflite_encoder(
    tflite_path: Path, out: Path, value_range: str | None = None
) -> EncoderInfo:
    """Copy a tflite file to encoder.tflite, and write its encoder.json.

    Parameters
    ----------
    tflite_path : Path
        One input of shape (1 or any number, side, side, 3), float32 or uint8, red first. One
        output of any shape. A uint8 input gets the pixels as they are. A .json file of the same
        name may hold `input_scale` and `input_offset`, each one number or three (red, green,
        blue): the input is pixel (0..255) * input_scale + input_offset.
    out : Path
        Existing folder; gets the two files.
    value_range : str, optional
        One of `PIXEL_RANGES`, which overrides the .json. Default: "0..1".

    Returns
    -------
    EncoderInfo
        As written to encoder.json. Its `dim` is the length of the flattened output.

    Raises
    ------
    ModelMismatch
        If the file cannot be used. The message says what to change.
    """
    content = _read(tflite_path)
    model = LiteModel(content)
    scale, offset = _scaling(tflite_path, model, value_range)
    sha256 = hashlib.sha256(content).hexdigest()
    dim = math.prod(model.output_shape)
    info = EncoderInfo(
        architecture=tflite_path.name,
        input_side_px=_side(tflite_path, model),
        input_scale=scale,
        dim=dim,
        code_shape=_code_shape(model.output_shape, dim),
        fingerprint=_fingerprint(sha256, scale, offset),
        sha256=sha256,
        n_steps=0,
        seed=0,
        created_by={},
        input_offset=offset,
    )
    (out / ENCODER_FILE).write_bytes(content)
    info.save(out / ENCODER_INFO_FILE)
    return info


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelMismatch(f"{path} does not exist: name a tflite file") from error


def _side(path: Path, model: LiteModel) -> int:
    shape = model.input_shape
    if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 3 or shape[0] < 2:
        raise ModelMismatch(
            f"{path} expects pictures of shape {shape}, not squares of shape (side, side, 3): "
            "convert it again with a fixed square input, channels last"
        )
    return shape[0]


def _code_shape(shape: tuple[int, ...], dim: int) -> tuple[int, ...]:
    """Return height, width and channels if the output has a spatial grid, else (dim,)."""
    has_grid = len(shape) == 3 and shape[0] * shape[1] > 1
    return tuple(int(side) for side in shape) if has_grid else (dim,)


def _scaling(path: Path, model: LiteModel, value_range: str | None) -> tuple[Levels, Levels]:
    """Return scale and offset of the input."""
    fields = _fields_beside(path)
    unknown = sorted(set(fields) - set(SCALING_FIELDS))
    if unknown:
        raise ModelMismatch(
            f"{path.with_suffix('.json')} has unknown fields {unknown}: "
            f"use only {list(SCALING_FIELDS)}"
        )
    if model.input_dtype == np.uint8:
        if fields or value_range:
            raise ModelMismatch(
                f"{path} has a byte input, which needs no range: remove the .json file and the "
                "--encoder-range option"
            )
        return 1.0, 0.0
    if fields and value_range is None:
        return _levels(path, fields, "input_scale", 1.0), _levels(path, fields, "input_offset", 0.0)
    return PIXEL_RANGES[value_range or DEFAULT_PIXEL_RANGE]


def _fields_beside(path: Path) -> dict[str, Any]:
    beside = path.with_suffix(".json")
    if not beside.exists():
        return {}
    try:
        fields = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelMismatch(f"{beside} is not JSON ({error}): correct or remove it") from error
    if not isinstance(fields, dict):
        raise ModelMismatch(f"{beside} is not a JSON object: write {{{SCALING_FIELDS[0]!r}: ...}}")
    return fields


def _levels(path: Path, fields: dict[str, Any], name: str, default: float) -> Levels:
    value = fields.get(name, default)
    values = value if isinstance(value, list) else [value]
    are_numbers = all(isinstance(v, int | float) and math.isfinite(v) for v in values)
    if not are_numbers or len(values) not in (1, 3):
        raise ModelMismatch(
            f"{name} in {path.with_suffix('.json')} is {value}: it must be one number, or three "
            "for red, green and blue"
        )
    return float(values[0]) if len(values) == 1 else (values[0], values[1], values[2])


def _fingerprint(sha256: str, scale: Levels, offset: Levels) -> str:
    """Identify file and scaling together: with another scaling a file gives other vectors."""
    named = json.dumps([sha256, scale, offset])
    return hashlib.sha256(named.encode()).hexdigest()[:FINGERPRINT_LENGTH]
