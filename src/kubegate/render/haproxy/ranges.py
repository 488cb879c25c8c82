"""Source ranges as HAProxy reads them.

Against an IPv4 range it would also hold IPv6 addresses that contain one of that range, 6to4 (2002::/16) and `::a.b.c.d`, which are
not those of the same machine. So all are written as IPv6, those of IPv4 as `::ffff:a.b.c.d`, which is how IPv4 callers compare.
"""

import ipaddress
from collections.abc import Iterator

_IPV4 = ipaddress.IPv6Network("::ffff:0:0/96")
_EVERYBODY = ("::/0",)


def written(ranges: tuple[str, ...] | None) -> tuple[str, ...]:
    """The lines of a file of ranges; None means everybody."""
    return _EVERYBODY if ranges is None else tuple(line for one in ranges for line in _written(one))


def _written(network: str) -> Iterator[str]:
    address, _, length = network.partition("/")
    if ":" not in address:
        yield f"::ffff:{address}/{_IPV4.prefixlen + int(length or 32)}"
    elif (declared := ipaddress.IPv6Network(network)).supernet_of(_IPV4):
        # All of IPv6 is not IPv4 as well.
        yield from map(str, declared.address_exclude(_IPV4))
    else:
        yield network
