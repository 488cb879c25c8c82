"""The class of an address, at both ends of each range."""

import pytest

from kubegate.model.address_class import address_class


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("169.254.169.254", "link-local (RFC 3927, 4291)"),
        ("fe80::1", "link-local (RFC 3927, 4291)"),
        ("10.0.0.0", "private (RFC 1918)"),
        ("172.16.0.1", "private (RFC 1918)"),
        ("172.31.255.255", "private (RFC 1918)"),
        ("172.32.0.0", "public"),
        ("192.168.1.1", "private (RFC 1918)"),
        ("192.169.0.0", "public"),
        ("fd00::1", "private (RFC 4193)"),
        ("100.64.0.1", "shared by providers (RFC 6598)"),
        ("100.128.0.0", "public"),
        ("198.18.0.10", "for measurements (RFC 2544)"),
        ("203.0.113.7", "for documentation (RFC 5737, 3849)"),
        ("2001:db8::1", "for documentation (RFC 5737, 3849)"),
        ("224.0.0.1", "multicast"),
        ("0.0.0.0", "reserved"),
        ("8.8.8.8", "public"),
        ("2606:4700::1", "public"),
    ],
)
def test_classes(text: str, expected: str) -> None:
    assert address_class(text) == expected
