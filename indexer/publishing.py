"""What every publication writes beside the vectors, and the room that it needs."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from index.catalogue import write_catalogue
from index.errors import DiskFull
from index.layout import CATALOGUE_FILE, SKIPPED_FILE
from index.snapshot import DataFolder
from indexer.collection.records import Collected

_BYTES_PER_PICTURE = 48 << 10  # vector 16 KiB, thumbnail about 20, table and catalogue the rest
_SPARE_BYTES = 256 << 20  # network, plots, and room for others
_LIBRARIES = ("tensorflow", "ai-edge-litert", "faiss-cpu", "numpy", "pillow")


def write_records(folder: Path, collected: Collected) -> None:
    """Write catalogue.sqlite and skipped.json."""
    write_catalogue(folder / CATALOGUE_FILE, collected.records)
    skipped = json.dumps([one.as_dict() for one in collected.skipped], indent=1)
    (folder / SKIPPED_FILE).write_text(skipped + "\n", encoding="utf-8")


def check_disk(data: DataFolder, n_files: int, cache_bytes: int) -> None:
    """Refuse to start what cannot be finished."""
    cache = min(cache_bytes, n_files * 256 * 256 * 3)
    needed = n_files * _BYTES_PER_PICTURE + cache + _SPARE_BYTES
    free = shutil.disk_usage(data.root).free
    if free < needed:
        raise DiskFull(
            f"{n_files:,} files may need {needed / 1e9:.1f} GB in {data.root}, {free / 1e9:.1f} GB "
            "are free: make room, or put the data folder elsewhere with --data DIR"
        )


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that decide what vectors and neighbours come out."""
    return {name: found for name in _LIBRARIES if (found := _version(name)) is not None}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
