"""Pictures that the user has taken out of the collection: the decision outlives re-indexing."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from index.layout import REMOVED_FILE
from index.snapshot import Snapshot
from indexer.collection.changes import FolderChanges


def removed_before(live: Snapshot) -> set[tuple[str, str]]:
    """Return path and SHA-256 of every picture that has been taken out of a snapshot."""
    path = live.file(REMOVED_FILE)
    if path is None:
        return set()
    return {(one["path"], one["sha256"]) for one in json.loads(path.read_bytes())}


def write_removed(live: Snapshot, rows: Collection[int], folder: FolderChanges, out: Path) -> None:
    """Write removed.json: all that was taken out, but for what has been added again."""
    removed = removed_before(live)
    removed |= {(one.path, one.sha256) for one in live.catalogue.records(sorted(rows))}
    back = {*folder.changes.added, *folder.changes.changed}
    kept = [{"path": path, "sha256": sha} for path, sha in sorted(removed) if path not in back]
    if kept:
        (out / REMOVED_FILE).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
