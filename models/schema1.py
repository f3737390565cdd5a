"""Schema 1 of an encoder's folder: two names were others. Such folders stay readable."""

from pathlib import Path
from typing import Any

from models.files import CROP_ENCODER_FILE

OLD_CROP_ENCODER_FILE = "framings.tflite"
NEW_KEYS = {"framings_sha256": "crops_sha256"}  # of encoder.json


def upgraded(fields: Any) -> Any:
    """Return the fields of encoder.json as schema 2 names them; others are returned as they are."""
    if not isinstance(fields, dict) or fields.get("schema_version") != 1:
        return fields
    renamed = {NEW_KEYS.get(key, key): value for key, value in fields.items()}
    return renamed | {"schema_version": 2}


def crop_encoder_in(folder: Path) -> Path:
    """Return the path of the crop encoder in an encoder's folder, by whichever name it has."""
    old = folder / OLD_CROP_ENCODER_FILE
    return old if old.exists() else folder / CROP_ENCODER_FILE
