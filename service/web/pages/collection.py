"""Facts about the collection and its index."""

from __future__ import annotations

from service.api import responses
from service.context import context
from service.web.rendering import render


def collection() -> str:
    """Show the size, age, groups and quality of the collection."""
    with context().holder.use() as live:
        about = responses.collection_response(live.snapshot)
        return render(live, "collection.html", about=about)
