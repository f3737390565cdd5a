"""How much of a collection changed since its groups were made and its encoder was checked.

After a few changes both still hold, which keeps a re-index short. Small changes add up, so the
manifest's settings count them until the groups or the check are made anew.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from index.build_settings import Drift
from index.snapshot import Snapshot

_REDO_SHARE = 0.1  # of the pictures; after more changes, old medoids and figures say too little


def drift_after(old: Snapshot, old_rows: NDArray[np.int64]) -> Drift:
    """Return the drift of a changed collection.

    Parameters
    ----------
    old : Snapshot
        Before the change.
    old_rows : ndarray of shape (n,), int64
        For each row of the changed collection its row in the old snapshot, each at most once,
        or -1.
    """
    n_kept = int((old_rows >= 0).sum())
    n_changed = (len(old_rows) - n_kept) + (len(old) - n_kept)
    before = old.manifest.settings.changed_since
    return replace(before, groups=before.groups + n_changed, quality=before.quality + n_changed)


def is_much(n_changed: int, n_images: int) -> bool:
    """Return whether `n_changed` of `n_images` pictures require making a part anew."""
    return n_changed > _REDO_SHARE * n_images
