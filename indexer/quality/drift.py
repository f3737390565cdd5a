"""How much of a collection has changed since its groups were made and its encoder was checked.

Few changes leave both as they are, which keeps a re-indexing short. But many short ones add up, so
the changes are counted in the manifest's settings until the groups or the check are made anew.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from index.snapshot import Snapshot

SETTING = "changed_since"
_REDO_SHARE = 0.1  # of the pictures; beyond it old medoids and figures stand for too little


@dataclass(frozen=True)
class Drift:
    """Pictures that came or went.

    Attributes
    ----------
    groups : int
        Since the groups were made.
    quality : int
        Since quality.json was.
    """

    groups: int = 0
    quality: int = 0

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """Return the drift that a snapshot knows of."""
        return cls(**snapshot.manifest.settings.get(SETTING, {}))

    @classmethod
    def after(cls, live: Snapshot, old_rows: NDArray[np.int64]) -> Self:
        """Return the drift of a changed collection.

        Parameters
        ----------
        live : Snapshot
            Before the change.
        old_rows : ndarray of shape (n,), int64
            For each row of the changed collection its row in the live snapshot, each named once,
            or -1.
        """
        n_kept = int((old_rows >= 0).sum())
        n_changed = (len(old_rows) - n_kept) + (len(live) - n_kept)
        before = cls.of(live)
        return cls(before.groups + n_changed, before.quality + n_changed)

    def as_setting(self) -> dict[str, Any]:
        """Return the entry of the manifest's settings."""
        return {SETTING: asdict(self)}


def is_much(n_changed: int, n_images: int) -> bool:
    """Say whether so much has changed, of so many pictures, that a thing is to be made anew."""
    return n_changed > _REDO_SHARE * n_images
