"""Drift: pictures that came or went since the groups were computed or the encoder was checked.

After a few changes both are still valid, which keeps a re-index short. Small changes add up, so the
settings in the manifest count them until the groups or the check are repeated.
"""

from __future__ import annotations

from dataclasses import replace

from index.arrays import Rows
from index.build_settings import Drift
from index.snapshot import Snapshot

_MAX_SHARE = 0.1  # of the pictures; after more changes, old medoids and measurements are stale


def drift_after(old: Snapshot, old_rows: Rows) -> Drift:
    """Return the drift of a changed collection.

    Parameters
    ----------
    old : Snapshot
        Snapshot before the change.
    old_rows : ndarray of shape (n,), int64
        For each row of the changed collection, its row in the old snapshot, or -1 for a new
        picture. No row occurs twice.
    """
    n_kept = int((old_rows >= 0).sum())
    n_changed = (len(old_rows) - n_kept) + (len(old) - n_kept)
    before = old.manifest.settings.drift
    return replace(before, groups=before.groups + n_changed, quality=before.quality + n_changed)


def has_drifted(n_changed: int, n_images: int) -> bool:
    """Return whether so many pictures changed that groups or measurements must be repeated."""
    return n_changed > _MAX_SHARE * n_images
