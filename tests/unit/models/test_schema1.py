"""An encoder's folder of schema 1 opens as before; two names in it were others."""

import json
from pathlib import Path

import pytest

from models.encoder import EncoderInfo
from models.schema1 import crop_encoder_in

FIELDS = {
    "architecture": "deep",
    "code_shape": [8, 8, 64],
    "created_by": {},
    "dim": 4096,
    "fingerprint": "0123456789abcdef",
    "input_offset": 0.0,
    "input_scale": 1 / 255,
    "input_side_px": 128,
    "n_steps": 700,
    "seed": 3,
    "sha256": "a" * 64,
}


def write(folder: Path, **fields: object) -> Path:
    """Write an encoder.json and return its path."""
    path = folder / "encoder.json"
    path.write_text(json.dumps(FIELDS | fields))
    return path


def test_old_key_is_read_and_written_as_today(tmp_path: Path) -> None:
    """The crop encoder's checksum had another key."""
    info = EncoderInfo.load(write(tmp_path, schema_version=1, framings_sha256="b" * 64))
    assert (info.crops_sha256, info.schema_version) == ("b" * 64, 2)
    info.save(tmp_path / "encoder.json")
    written = json.loads((tmp_path / "encoder.json").read_text())
    assert written == FIELDS | {"schema_version": 2, "crops_sha256": "b" * 64}
    assert EncoderInfo.load(tmp_path / "encoder.json") == info


def test_encoder_without_crops(tmp_path: Path) -> None:
    """The first files of schema 1 had neither key."""
    assert EncoderInfo.load(write(tmp_path, schema_version=1)).crops_sha256 is None


@pytest.mark.parametrize("name", ["framings.tflite", "crops.tflite"])
def test_crop_encoder_is_found_by_either_name(tmp_path: Path, name: str) -> None:
    """The file that is there is the one; if none is, the message names today's."""
    assert crop_encoder_in(tmp_path).name == "crops.tflite"
    (tmp_path / name).write_bytes(b"")
    assert crop_encoder_in(tmp_path).name == name
