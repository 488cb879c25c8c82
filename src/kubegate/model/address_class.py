"""What kind of address an address is: who can reach it at all. Pure."""

import ipaddress

# The registries of special-purpose addresses (RFC 6890), as far as somebody may meet them here; the first that fits counts.
_CLASSES = (
    ("loopback", ("127.0.0.0/8", "::1/128")),
    ("link-local (RFC 3927, 4291)", ("169.254.0.0/16", "fe80::/10")),
    ("private (RFC 1918)", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")),
    ("private (RFC 4193)", ("fc00::/7",)),
    ("shared by providers (RFC 6598)", ("100.64.0.0/10",)),
    ("for measurements (RFC 2544)", ("198.18.0.0/15",)),
    ("for documentation (RFC 5737, 3849)", ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")),
    ("multicast", ("224.0.0.0/4", "ff00::/8")),
    ("reserved", ("0.0.0.0/8", "240.0.0.0/4", "::/128")),
)
_NETWORKS = tuple((name, ipaddress.ip_network(text)) for name, texts in _CLASSES for text in texts)


def address_class(text: str) -> str:
    """The class of an address, `public` if it has no special one; an IPv4 address in the form of IPv6 counts as what it is."""
    address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return next((name for name, network in _NETWORKS if address.version == network.version and address in network), "public")
