from __future__ import annotations

import pytest

from service.errors import RateLimited
from service.guard.rate_limit import RateLimit, client_network
from service.guard.shared_counts import SharedCounts


@pytest.fixture
def counts():
    """Give counts in memory."""
    found = SharedCounts(None)
    yield found
    found.close()


def test_limit_refuses_the_next_and_says_when_to_come(counts):
    """Three a minute: the fourth of one client is refused, another's first is not."""
    limit = RateLimit("3/minute", counts)
    for _ in range(3):
        limit.charge("a")
    with pytest.raises(RateLimited, match="3 requests per minute") as caught:
        limit.charge("a")
    assert 1 <= caught.value.retry_after_s <= 61
    limit.charge("b")


def test_every_one_of_several_limits_holds(counts):
    """Five a day are five, though ten a second would be allowed."""
    limit = RateLimit("10/second;5/day", counts)
    limit.charge("a", 5)
    with pytest.raises(RateLimited, match="5 requests per day"):
        limit.charge("a")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("", "unknown", False),
        ("192.0.2.1:50001", "192.0.2.1:50002", True),
        ("192.0.2.1:50001", "192.0.2.2:50001", False),
        ("[2001:db8:1:2::1]:50001", "2001:db8:1:2::1", True),
        ("[2001:db8:1:2::1]", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_client_is_a_subscriber(one, other, same):
    """A whole IPv6 network is one client. The port that some proxies add tells nobody apart."""
    assert (client_network(one) == client_network(other)) == same
