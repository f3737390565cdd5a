"""The pages of the service, as HTML."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

ADDRESSES = ["/", "/browse", "/groups", "/groups/0", "/duplicates", "/collection", "/docs"]
RED = "later/red & <b>.png"  # the path of a picture whose name must be escaped


class Page(HTMLParser):
    """The tags of a page.

    Attributes
    ----------
    tags : list of (str, dict)
        Name and attributes.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        """Store a tag."""
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str, attribute: str) -> list[str | None]:
        """Return the values of an attribute of all tags with this name."""
        return [attrs[attribute] for name, attrs in self.tags if name == tag and attribute in attrs]


def upload(client, data: bytes, **fields):
    """Return the response to an upload from the form of a page."""
    form = {"image": (io.BytesIO(data), "C:\\me\\<x>.png"), **fields}
    return client.post("/search", data=form)


def result_ids(html: str) -> list[str]:
    """Return the ids on a results page, best first."""
    results = html.split('<section class="found"')[1]
    return re.findall(r'class="frame" href="/similar/([0-9a-f-]+)"', results)
