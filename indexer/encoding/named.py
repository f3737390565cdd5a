"""An encoder that the user names: a folder of ours, any tflite file, or keras:NAME."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from index.snapshot import DataFolder
from indexer.encoding.choice import move_into_place
from indexer.options import BuildOptions
from indexer.stages import Stages
from models.encoder import CROPS_FILE, Encoder, EncoderInfo
from models.external.tflite_encoder import DEFAULT_RANGE, KERAS_PREFIX, adopt_encoder, is_ours

_OURS = "encoder.tflite"


def named_encoder(data: DataFolder, options: BuildOptions, stages: Stages) -> Path | None:
    """Return the folder of the encoder that the options name, or None if they name none.

    Raises
    ------
    ModelsError
        If it cannot be used; the sentence says what to change.
    """
    if options.encoder is None:
        return None
    with stages.stage("encoder"):
        if options.encoder.startswith(KERAS_PREFIX):
            return _of_keras(data, options)
        path = Path(options.encoder)
        path = path / _OURS if path.is_dir() else path
        if path.name == _OURS and is_ours(path):
            Encoder.open(path)  # opening is the check
            return path.parent
        return _of_file(data, path, options.encoder_range, stages)


def _of_keras(data: DataFolder, options: BuildOptions) -> Path:
    assert options.encoder is not None
    # TensorFlow takes seconds to import, and no other encoder needs it.
    from models.external.keras_applications import export_pretrained

    name = options.encoder.removeprefix(KERAS_PREFIX)
    with _new_folder(data) as new:
        return _placed(data, new, export_pretrained(name, options.weights, new))


def _of_file(data: DataFolder, path: Path, value_range: str | None, stages: Stages) -> Path:
    with _new_folder(data) as new:
        if is_ours(path):
            info = Encoder.open(path).info
            shutil.copyfile(path, new / _OURS)
            shutil.copyfile(path.with_suffix(".json"), new / "encoder.json")
            if info.framings_sha256 is not None:
                shutil.copyfile(path.with_name(CROPS_FILE), new / CROPS_FILE)
            return _placed(data, new, info)
        info = adopt_encoder(path, new, value_range)
        if value_range is None and info.input_scale == 1 / 255 and not _is_described(path):
            stages.say(
                f"{path.name} is given pixels as {DEFAULT_RANGE}: if it was trained on others, "
                "say so with --encoder-range"
            )
        return _placed(data, new, info)


def _is_described(path: Path) -> bool:
    return path.with_suffix(".json").exists()


@contextmanager
def _new_folder(data: DataFolder) -> Iterator[Path]:
    """Give an empty folder for encoder files; hold the lock meanwhile."""
    new = data.root / "encoders" / ".new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _placed(data: DataFolder, new: Path, info: EncoderInfo) -> Path:
    return move_into_place(new, data.root / "encoders" / info.fingerprint)
