"""Remove older snapshots that contain a removed picture."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field

from index.catalogue import Catalogue
from index.errors import CorruptSnapshot
from index.snapshot import DataFolder
from indexer.errors import NotPurged

WAIT_S = 10.0  # for a service that is about to swap to the new snapshot


@dataclass
class Purged:
    """Result of a purge.

    Attributes
    ----------
    removed : list of str
        Ids of the removed snapshots.
    still_open : list of str
        Ids of those that contain a picture and are in use.
    unreadable : list of str
        Ids of those that cannot be read, so that what they contain is unknown.
    """

    removed: list[str] = field(default_factory=list)
    still_open: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raise NotPurged if a snapshot is left that contains, or may contain, a picture."""
        left = [f"{one} is in use" for one in self.still_open]
        left += [f"{one} cannot be read" for one in self.unreadable]
        if left:
            raise NotPurged(
                f"The pictures are removed, but older snapshots are left: {', '.join(left)}. Once "
                "no program uses them, run `bin/lookalike snapshots prune --keep 1`."
            )

    def as_dict(self) -> dict[str, list[str]]:
        """Return the JSON value."""
        return {"purged": self.removed, "not_purged": self.still_open + self.unreadable}


def purge(data: DataFolder, sha256s: Collection[str]) -> Purged:
    """Remove all snapshots but the live one that contain a file digest. Requires the lock."""
    purged = Purged()
    live = data.current_id()
    deadline = time.monotonic() + WAIT_S
    for snapshot_id in data.ids():
        if snapshot_id == live:
            continue
        try:
            if not _contains(data, snapshot_id, sha256s):
                continue
        except CorruptSnapshot:
            purged.unreadable.append(snapshot_id)
            continue
        was_removed = _remove(data, snapshot_id, deadline)
        (purged.removed if was_removed else purged.still_open).append(snapshot_id)
    return purged


def _contains(data: DataFolder, snapshot_id: str, sha256s: Collection[str]) -> bool:
    catalogue = Catalogue.open(data.snapshots / snapshot_id)
    try:
        return any(catalogue.row_of_sha256(one) is not None for one in sha256s)
    finally:
        catalogue.close()


def _remove(data: DataFolder, snapshot_id: str, deadline: float) -> bool:
    """Remove a snapshot, and wait for readers until the deadline; return whether it is gone."""
    while not data.remove(snapshot_id):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.2)
    return True
