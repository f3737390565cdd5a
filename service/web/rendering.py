"""Templates, filled with what every page shows."""

from __future__ import annotations

from typing import Any

from flask import render_template, url_for

from index.snapshot import Snapshot
from models.image_files.formats import formats_in_words
from service.api import responses
from service.context import context
from service.snapshots import Live


def render(live: Live, template: str, **values: Any) -> str:
    """Return a page about the live snapshot.

    Parameters
    ----------
    live : Live
    template : str
        File name.
    **values
        What only this template shows. Every template also gets `snapshot`, `formats`, `max_mb`
        and `picture_url`, a function from a record or image info to an address.
    """
    return render_template(
        template,
        snapshot=live.snapshot,
        formats=formats_in_words(),
        max_mb=max_mb(),
        picture_url=lambda image: picture_url(live.snapshot, image.id),
        **values,
    )


def max_mb() -> float:
    """Return the size limit of a picture file, in MiB."""
    return context().decoding.limits.max_bytes / 2**20


def picture_url(snapshot: Snapshot, image_id: str) -> str:
    """Return the address of a picture's thumbnail, or of its original if it has none."""
    thumbnail = responses.thumbnail_url(snapshot, image_id)
    return thumbnail or url_for("api.get_file", image_id=image_id)
