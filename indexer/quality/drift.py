"""How much of a collection has changed since its groups were made and its encoder was checked.

Few changes leave both as they are, which keeps a re-indexing short. But many short ones add up, so
the changes are counted in the manifest's settings until the groups or the check are made anew.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from index.build_settings import Drift
from index.snapshot import Snapshot

_REDO_SHARE = 0.1  # of the pictures; beyond it old medoids and figures stand for too little


def drift_after(live: Snapshot, old_rows: NDArray[np.int64]) -> Drift:
    """Return the drift of a changed collection.

    Parameters
    ----------
    live : Snapshot
        Before the change.
    old_rows : ndarray of shape (n,), int64
        For each row of the changed collection its row in the live snapshot, each named once, or -1.
    """
    n_kept = int((old_rows >= 0).sum())
    n_changed = (len(old_rows) - n_kept) + (len(live) - n_kept)
    before = live.manifest.settings.changed_since
    return replace(before, groups=before.groups + n_changed, quality=before.quality + n_changed)


def is_much(n_changed: int, n_images: int) -> bool:
    """Say whether so much has changed, of so many pictures, that a thing is to be made anew."""
    return n_changed > _REDO_SHARE * n_images
