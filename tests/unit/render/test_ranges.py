"""Source ranges as HAProxy is given them: exactly the addresses that were meant, in whichever family they come."""

import ipaddress

import pytest

from kubegate.render.haproxy.ranges import written


def holds(ranges: tuple[str, ...] | None, address: str) -> bool:
    """Whether HAProxy would find an address in them: it compares an IPv4 address as `::ffff:a.b.c.d` where all are IPv6."""
    networks = [ipaddress.ip_network(one) for one in written(ranges)]
    assert all(network.version == 6 for network in networks)
    found = ipaddress.ip_address(address)
    if found.version == 4:
        found = ipaddress.ip_address(f"::ffff:{found}")
    return any(found in network for network in networks)


@pytest.mark.parametrize(
    ("allowed", "inside", "outside"),
    [
        ("10.0.0.0/8", ["10.1.2.3", "::ffff:10.1.2.3"], ["11.0.0.1", "::10.1.2.3", "2002:a01:203::1", "64:ff9b::a01:203", "::1"]),
        ("192.0.2.7/32", ["192.0.2.7"], ["192.0.2.6", "192.0.2.8", "::c000:207"]),
        ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"], ["::1", "::", "2001:db8::1", "::fffe:ffff:ffff"]),
        ("::/0", ["::1", "2001:db8::1", "::1.2.3.4", "ffff:ffff::"], ["1.2.3.4", "::ffff:1.2.3.4", "0.0.0.0", "255.255.255.255"]),
        ("::/64", ["::1", "::1.2.3.4"], ["1.2.3.4", "::1:0:0:0:1"]),
        ("2001:db8::/32", ["2001:db8::1"], ["2001:db9::1", "1.2.3.4"]),
    ],
)
def test_a_range_is_what_it_says(allowed: str, inside: list[str], outside: list[str]) -> None:
    assert [address for address in inside if not holds((allowed,), address)] == []
    assert [address for address in outside if holds((allowed,), address)] == []


def test_nobody_is_nobody_and_no_limit_is_everybody() -> None:
    for address in ("0.0.0.0", "10.1.2.3", "::1", "ffff::"):
        assert holds(None, address)
        assert not holds((), address)
