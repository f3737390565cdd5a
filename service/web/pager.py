"""Which page of a list is shown, and where its neighbours start."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pager:
    """The position of a page in a list.

    Attributes
    ----------
    offset : int
        Items before the page.
    limit : int
        Items on a full page.
    total : int
        Items in the list.
    """

    offset: int
    limit: int
    total: int

    @property
    def number(self) -> int:
        """Number of the page, from 1."""
        return self.offset // self.limit + 1

    @property
    def n_pages(self) -> int:
        """Number of pages, at least 1."""
        return max(1, -(-self.total // self.limit))

    @property
    def previous(self) -> int | None:
        """Offset of the previous page, or None on the first page."""
        return max(0, self.offset - self.limit) if self.offset > 0 else None

    @property
    def next(self) -> int | None:
        """Offset of the next page, or None on the last page."""
        after = self.offset + self.limit
        return after if after < self.total else None
