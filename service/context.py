"""What the views share: kept in the application, reached through `context()`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from flask import current_app

from service.api.schemas import DEFAULT_BOUNDS, Bounds
from service.images.decoding import Decoding
from service.snapshots import Live, SnapshotHolder

KEY = "lookalike"


@dataclass(frozen=True)
class Context:
    """What an application is made of.

    Attributes
    ----------
    holder : SnapshotHolder
    decoding : Decoding
        Of uploaded pictures.
    images : Path or None
        Where the originals lie, if not where they were indexed.
    bounds : Bounds
        Of what one request may ask for.
    """

    holder: SnapshotHolder
    decoding: Decoding
    images: Path | None
    bounds: Bounds = DEFAULT_BOUNDS

    def image_root(self, live: Live) -> Path:
        """Return the folder that the catalogue's paths are relative to."""
        return self.images or live.snapshot.image_root


def context() -> Context:
    """Return the parts of the application that answers this request."""
    return cast(Context, current_app.extensions[KEY])
