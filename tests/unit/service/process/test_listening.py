from __future__ import annotations

import pytest

from service.process import listening


@pytest.mark.parametrize(
    ("addresses", "accepts_ipv4", "kept"),
    [
        (["127.0.0.1:8000"], True, ["127.0.0.1:8000"]),
        (["[::]:8000", "0.0.0.0:8000"], True, ["[::]:8000"]),
        (["[::]:8000", "0.0.0.0:8000"], False, ["[::]:8000", "0.0.0.0:8000"]),
        (["127.0.0.1:8000", "[::]:8000"], True, ["[::]:8000"]),
        (["127.0.0.1:8000", "[::]:8000"], False, ["127.0.0.1:8000", "[::]:8000"]),
        (["[::1]:8000", "[::]:8000"], False, ["[::]:8000"]),
        (["0.0.0.0:8000", "127.0.0.1:8000"], True, ["0.0.0.0:8000"]),
        (["0.0.0.0:8000", "[::1]:8000"], True, ["0.0.0.0:8000", "[::1]:8000"]),
        (["[::]:8000", "0.0.0.0:8001"], True, ["[::]:8000", "0.0.0.0:8001"]),
        (["[::]:8000", "unix:/run/a:8000"], True, ["[::]:8000", "unix:/run/a:8000"]),
        (["[::]:8000", "[::]:8000"], True, ["[::]:8000"]),
    ],
)
def test_address_that_another_includes_is_left_out(monkeypatch, addresses, accepts_ipv4, kept):
    """A second socket for the same address and port would not open."""
    monkeypatch.setattr(listening, "_accepts_ipv4", lambda: accepts_ipv4)
    assert listening.sockets(addresses) == kept
