"""The sockets that gunicorn listens on."""

from __future__ import annotations

import socket
from collections.abc import Sequence

_IPV4, _IPV6 = "0.0.0.0:", "[::]:"  # every address


def sockets(addresses: Sequence[str]) -> list[str]:
    """Return addresses without those that another one includes.

    ``0.0.0.0`` includes every IPv4 address of its port, and ``[::]`` every IPv6 address. On most
    systems the socket of ``[::]`` also accepts IPv4. A second socket for an included address would
    fail with "Address already in use".

    Parameters
    ----------
    addresses : sequence of str
        As in `Settings.addresses`.
    """
    different = dict.fromkeys(addresses)
    return [one for one in different if not any(_includes(other, one) for other in different)]


def _includes(wide: str, narrow: str) -> bool:
    if wide == narrow or wide.rpartition(":")[2] != narrow.rpartition(":")[2]:
        return False
    if narrow.startswith("["):
        return wide.startswith(_IPV6)
    is_ipv4 = not narrow.startswith("unix:")
    return is_ipv4 and (wide.startswith(_IPV4) or (wide.startswith(_IPV6) and _accepts_ipv4()))


def _accepts_ipv4() -> bool:
    """Return whether a new IPv6 socket also accepts IPv4 (net.ipv6.bindv6only on Linux)."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            return not probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except OSError:  # a system without IPv6
        return False
