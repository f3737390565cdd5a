"""The objects that all views share; a view gets them from `context()`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from flask import current_app

from service.images.decoding import Decoding
from service.schemas import DEFAULT_BOUNDS, Bounds
from service.snapshots import Live, SnapshotHolder

KEY = "lookalike"  # in `Flask.extensions`


@dataclass(frozen=True)
class Context:
    """The shared objects of one application.

    Attributes
    ----------
    holder : SnapshotHolder
        Lends the live snapshot to a request.
    decoding : Decoding
        Decodes uploaded pictures.
    images : Path or None
        The image root; None for the folder that was indexed.
    bounds : Bounds
        The operator's limits on one request.
    """

    holder: SnapshotHolder
    decoding: Decoding
    images: Path | None
    bounds: Bounds = DEFAULT_BOUNDS

    def image_root(self, live: Live) -> Path:
        """Return the folder that the catalogue's paths are relative to."""
        return self.images or live.snapshot.image_root


def context() -> Context:
    """Return the shared objects of the application that handles this request."""
    return cast(Context, current_app.extensions[KEY])
