"""Schema 1: the names that differ from today's, and how its files are brought to today's schema.

Nothing else knows the old names. A snapshot of schema 1 stays as it is; a step that takes over one
of its files for a new snapshot writes the file anew where the two schemas differ.
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
# Today's name of a file, and that of schema 1.
OLD_FILES = {CROP_ENCODER_FILE: "framings.tflite"}
_NEW_FILES = {old: new for new, old in OLD_FILES.items()}
# Keys of schema 1, and today's.
NEW_SETTINGS = {"changed_since": "drift"}
NEW_ENCODER_KEYS = {"framings_sha256": "crops_sha256"}
NEW_CLUSTERS_KEYS = {"elbow_bend": "knee_strength"}
# Columns of the catalogue that schema 1 does not have; they are empty.
NEW_COLUMNS = {
    "full_digest": "TEXT",
    "single_colour": "TEXT",
    "ctime_ns": "INTEGER",
    "inode": "INTEGER",
}

Fields = dict[str, Any]


def upgraded_manifest(fields: Fields) -> Fields:
    """Return the manifest's fields with today's names; its `schema_version` still tells its own."""
    if fields["schema_version"] != VERSION:
        return fields
    settings = _renamed(fields.get("settings", {}), NEW_SETTINGS)
    return fields | {"settings": settings, "files": _renamed(fields["files"], _NEW_FILES)}


def upgraded_clusters(fields: Fields) -> Fields:
    """Return what clusters.json holds with today's keys; other schemas are returned as they are."""
    if fields["schema"] != VERSION:
        return fields
    return _renamed(fields, NEW_CLUSTERS_KEYS) | {"schema": 2}


def take_over(source: Path, target: Path) -> bool:
    """Write a file of schema 1 as today's, if the two schemas differ in it; return whether so."""
    write = _WRITERS.get(target.name)
    if write is not None:
        write(source, target)
    return write is not None


def _renamed(fields: Fields, new_names: dict[str, str]) -> Fields:
    return {new_names.get(name, name): value for name, value in fields.items()}


def _take_over_catalogue(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    connection = sqlite3.connect(target)
    try:
        with connection:
            for name, kind in NEW_COLUMNS.items():
                connection.execute(f"ALTER TABLE images ADD COLUMN {name} {kind}")
    finally:
        connection.close()


def _take_over_clusters(source: Path, target: Path) -> None:
    fields = upgraded_clusters(json.loads(source.read_bytes()))
    target.write_text(json.dumps(fields, separators=(",", ":")), encoding="utf-8")


def _take_over_encoder_info(source: Path, target: Path) -> None:
    fields = _renamed(json.loads(source.read_bytes()), NEW_ENCODER_KEYS) | {"schema_version": 2}
    target.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")


_WRITERS: dict[str, Callable[[Path, Path], None]] = {
    CATALOGUE_FILE: _take_over_catalogue,
    CLUSTERS_FILE: _take_over_clusters,
    ENCODER_INFO_FILE: _take_over_encoder_info,
}
