"""Rate limits: how many requests one client may send, over all workers together.

A client is known by its key, or else by its address. The route table says which requests are not
counted: health checks, metrics, and the files of a page, such as thumbnails. A batch counts once
for each of its searches.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import sqlite3
import time

from flask import Flask, g, request
from limits import RateLimitItem, parse_many
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from service.errors import Overloaded, RateLimited
from service.guard.access import Keys
from service.route_table import route_of

# Some proxies write the port of the connection too, which changes all the time.
_WITH_PORT = re.compile(r"(?P<v4>[\d.]+):\d+|\[(?P<v6>[^\]]+)\](:\d+)?")


class RateLimit:
    """Count the requests of clients; safe for any number of threads.

    Parameters
    ----------
    text : str
        "60/minute", or several limits separated by semicolons; each of them applies.
    counts : Storage
    """

    def __init__(self, text: str, counts: Storage) -> None:
        self._limits: list[RateLimitItem] = parse_many(text)
        self._limiter = FixedWindowRateLimiter(counts)

    def charge(self, client: str, n_requests: int = 1) -> None:
        """Count some requests of a client.

        Raises
        ------
        RateLimited
            If the client has reached its limit.
        Overloaded
            If the machine is too busy to count them.
        """
        try:
            for limit in self._limits:
                if not self._limiter.hit(limit, client, cost=n_requests):
                    raise self._refusal(limit, client)
        except sqlite3.OperationalError as error:
            raise Overloaded(
                "the service is busy (counting): try again later", "counting"
            ) from error

    def _refusal(self, limit: RateLimitItem, client: str) -> RateLimited:
        end = self._limiter.get_window_stats(limit, client).reset_time
        after_s = max(1, int(end - time.time()) + 1)
        return RateLimited(
            f"the limit is {limit.amount} requests per {_span(limit)}: try again in {after_s} s",
            after_s,
        )


def install(app: Flask, limit: RateLimit, keys: Keys) -> None:
    """Count every request of an application; call before `access.install`.

    Otherwise guesses at a key would not count.
    """

    @app.before_request
    def count() -> None:
        if route_of(request.endpoint).is_rate_limited:
            g.rate_limit, g.client = limit, _client(keys)
            limit.charge(g.client)


def charge_more(n_requests: int) -> None:
    """Count this request as that many more; does nothing without a limit."""
    if n_requests > 0 and "rate_limit" in g:
        g.rate_limit.charge(g.client, n_requests)


def _client(keys: Keys) -> str:
    """Return the name of the client: the number of its key, or a digest of its address."""
    number = keys.number(request)
    if number is not None:
        return f"key {number}"
    return hashlib.sha256(client_network(request.remote_addr or "").encode()).hexdigest()


def client_network(address: str) -> str:
    """Return an address without its port; for IPv6, the network of a subscriber (RFC 6177)."""
    with_port = _WITH_PORT.fullmatch(address)
    try:
        found = ipaddress.ip_address(with_port["v4"] or with_port["v6"] if with_port else address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


def _span(limit: RateLimitItem) -> str:
    n, name = limit.multiples, limit.GRANULARITY.name
    return name if n == 1 else f"{n} {name}s"
