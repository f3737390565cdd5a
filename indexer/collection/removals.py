"""Pictures that the user removed from the collection, so that a re-index does not add them."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from index.layout import REMOVED_FILE
from index.snapshot import Snapshot
from indexer.collection.changes import FolderChanges


def removed_pictures(old: Snapshot) -> set[tuple[str, str]]:
    """Return the path and SHA-256 of every picture that the user removed from a collection."""
    path = old.file(REMOVED_FILE)
    if path is None:
        return set()
    return {(one["path"], one["sha256"]) for one in json.loads(path.read_bytes())}


def write_removed(old: Snapshot, rows: Collection[int], folder: FolderChanges, out: Path) -> None:
    """Write removed.json: the pictures removed earlier and now, except those added again."""
    removed = removed_pictures(old)
    removed |= {(one.path, one.sha256) for one in old.catalogue.records(sorted(rows))}
    added = {*folder.changes.added, *folder.changes.changed}
    kept = [{"path": path, "sha256": sha} for path, sha in sorted(removed) if path not in added]
    if kept:
        (out / REMOVED_FILE).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
