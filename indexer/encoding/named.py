"""An encoder that the user names: a folder of Lookalike, a tflite file, or keras:NAME."""

from __future__ import annotations

import shutil
from pathlib import Path

from index.layout import CROP_ENCODER_FILE, ENCODER_FILE, ENCODER_INFO_FILE
from index.snapshot import DataFolder
from indexer.encoding.choice import move_into_place, new_encoder_folder
from indexer.options import BuildOptions
from indexer.stages import Stages
from models.encoder import Encoder, EncoderInfo
from models.external.tflite_encoder import (
    DEFAULT_PIXEL_RANGE,
    KERAS_PREFIX,
    import_tflite_encoder,
    is_lookalike_encoder,
)
from models.schema1 import crop_encoder_in


def named_encoder(data: DataFolder, options: BuildOptions, stages: Stages) -> Path | None:
    """Return the folder of the encoder that the options name, or None if they name none.

    Raises
    ------
    ModelsError
        If the encoder cannot be used.
    """
    if options.encoder is None:
        return None
    with stages.stage("encoder"):
        if options.encoder.startswith(KERAS_PREFIX):
            return _keras_encoder(data, options)
        path = Path(options.encoder)
        path = path / ENCODER_FILE if path.is_dir() else path
        if path.name == ENCODER_FILE and is_lookalike_encoder(path):
            Encoder.open(path)  # opening is the check
            return path.parent
        return _tflite_encoder(data, path, options.encoder_range, stages)


def _keras_encoder(data: DataFolder, options: BuildOptions) -> Path:
    assert options.encoder is not None
    # TensorFlow takes seconds to import, and no other encoder needs it.
    from models.external.keras_applications import import_keras_encoder

    name = options.encoder.removeprefix(KERAS_PREFIX)
    with new_encoder_folder(data) as new:
        return _stored(data, new, import_keras_encoder(name, options.weights, new))


def _tflite_encoder(data: DataFolder, path: Path, value_range: str | None, stages: Stages) -> Path:
    with new_encoder_folder(data) as new:
        if is_lookalike_encoder(path):
            info = Encoder.open(path).info
            shutil.copyfile(path, new / ENCODER_FILE)
            info.save(new / ENCODER_INFO_FILE)
            if info.crops_sha256 is not None:
                shutil.copyfile(crop_encoder_in(path.parent), new / CROP_ENCODER_FILE)
            return _stored(data, new, info)
        info = import_tflite_encoder(path, new, value_range)
        if value_range is None and info.input_scale == 1 / 255 and not _has_json(path):
            stages.say(
                f"{path.name} receives pixels in the range {DEFAULT_PIXEL_RANGE}. If it was "
                "trained on another range, set --encoder-range."
            )
        return _stored(data, new, info)


def _has_json(path: Path) -> bool:
    return path.with_suffix(".json").exists()


def _stored(data: DataFolder, new: Path, info: EncoderInfo) -> Path:
    return move_into_place(new, data.encoders / info.fingerprint)
