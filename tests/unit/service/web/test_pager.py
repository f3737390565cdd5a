from __future__ import annotations

import pytest

from service.web.pager import Pager


@pytest.mark.parametrize(
    ("pager", "expected"),
    [
        (Pager(0, 10, 0), (1, 1, None, None)),
        (Pager(0, 10, 10), (1, 1, None, None)),
        (Pager(0, 10, 11), (1, 2, None, 10)),
        (Pager(10, 10, 11), (2, 2, 0, None)),
        (Pager(5, 10, 100), (1, 10, 0, 15)),
        (Pager(500, 10, 11), (51, 2, 490, None)),
    ],
)
def test_pager(pager, expected):
    """A pager knows its number, the number of pages, and the offsets of its neighbours."""
    assert (pager.number, pager.n_pages, pager.previous, pager.next) == expected
