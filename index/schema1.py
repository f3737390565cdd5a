"""Schema 1: its names that differ from the current schema, and the conversion of its files.

Only this module knows the old names. A snapshot of schema 1 is never changed. If a new snapshot
reuses a file that differs in the current schema, the file is converted instead of linked.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from index.layout import CATALOGUE_FILE, CLUSTERS_FILE, CROP_ENCODER_FILE, ENCODER_INFO_FILE

VERSION = 1
# Current name of a file: its name in schema 1.
OLD_FILES = {CROP_ENCODER_FILE: "framings.tflite"}
_NEW_FILES = {old: new for new, old in OLD_FILES.items()}
# Key in schema 1: its current name.
NEW_SETTINGS = {"changed_since": "drift"}
NEW_ENCODER_KEYS = {"framings_sha256": "crops_sha256"}
NEW_CLUSTERS_KEYS = {"elbow_bend": "knee_strength"}
# Columns of the catalogue that schema 1 does not have, with their types. They read as NULL.
NEW_COLUMNS = {
    "full_digest": "TEXT",
    "single_colour": "TEXT",
    "ctime_ns": "INTEGER",
    "inode": "INTEGER",
}

Fields = dict[str, Any]


def upgraded_manifest(fields: Fields) -> Fields:
    """Return the fields of a manifest with current names. `schema_version` is not changed."""
    if fields["schema_version"] != VERSION:
        return fields
    settings = _renamed(fields.get("settings", {}), NEW_SETTINGS)
    return fields | {"settings": settings, "files": _renamed(fields["files"], _NEW_FILES)}


def upgraded_clusters(fields: Fields) -> Fields:
    """Return the content of clusters.json with current keys. Other schemas are not changed."""
    if fields["schema"] != VERSION:
        return fields
    return _renamed(fields, NEW_CLUSTERS_KEYS) | {"schema": 2}


def convert(source: Path, target: Path) -> bool:
    """Convert a file of schema 1 if the current schema differs. Return whether it does.

    Parameters
    ----------
    source : Path
        File of a snapshot of schema 1.
    target : Path
        New file, with its current name.
    """
    converter = _CONVERTERS.get(target.name)
    if converter is not None:
        converter(source, target)
    return converter is not None


def _renamed(fields: Fields, new_names: dict[str, str]) -> Fields:
    return {new_names.get(name, name): value for name, value in fields.items()}


def _convert_catalogue(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    connection = sqlite3.connect(target)
    try:
        with connection:
            for name, kind in NEW_COLUMNS.items():
                connection.execute(f"ALTER TABLE images ADD COLUMN {name} {kind}")
    finally:
        connection.close()


def _convert_clusters(source: Path, target: Path) -> None:
    fields = upgraded_clusters(json.loads(source.read_bytes()))
    target.write_text(json.dumps(fields, separators=(",", ":")), encoding="utf-8")


def _convert_encoder_info(source: Path, target: Path) -> None:
    fields = _renamed(json.loads(source.read_bytes()), NEW_ENCODER_KEYS) | {"schema_version": 2}
    target.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")


_CONVERTERS: dict[str, Callable[[Path, Path], None]] = {
    CATALOGUE_FILE: _convert_catalogue,
    CLUSTERS_FILE: _convert_clusters,
    ENCODER_INFO_FILE: _convert_encoder_info,
}
