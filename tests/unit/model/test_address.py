"""Addresses and names as people type them."""

import ipaddress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kubegate.model.address import Endpoint, is_address, normal_name, parse_listen


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:6443", Endpoint("127.0.0.1", 6443)),
        ("0.0.0.0:443", Endpoint("0.0.0.0", 443)),
        ("[::1]:6443", Endpoint("::1", 6443)),
        ("[0:0::1]:6443", Endpoint("::1", 6443)),
        (" 10.0.0.1:0 ", Endpoint("10.0.0.1", 0)),
    ],
)
def test_listeners(text: str, endpoint: Endpoint) -> None:
    assert parse_listen(text) == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "6443",
        ":6443",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "::1:6443",
        "gate.example:6443",
        "127.0.0.1:-1",
        "[::1",
        "[::ffff:1.2.3.4]:1",
    ],
)
def test_no_listeners(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_listen(text)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_what_is_printed_is_read_again(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    assume(address.version == 4 or address.ipv4_mapped is None)
    endpoint = Endpoint(str(address), port)
    assert parse_listen(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("text", "name"),
    [("API.Example.", "api.example"), ("[::1]", "::1"), ("0:0::1", "::1"), ("127.0.0.1", "127.0.0.1"), ("a-b.c1", "a-b.c1")],
)
def test_names_compare_without_case_and_dot(text: str, name: str) -> None:
    assert normal_name(text) == name


@pytest.mark.parametrize(
    "text", ["", ".", "*", "*.example", "a..b", "-a", "a-", "a b", "a/b", "1.2.3", "999.1.1.1", "a" * 64, "ä.example"]
)
def test_no_names(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        normal_name(text)


def test_which_listeners_others_reach() -> None:
    assert Endpoint("127.0.0.2", 1).is_loopback
    assert Endpoint("::1", 1).is_loopback
    assert not Endpoint("10.0.0.1", 1).is_loopback
    assert Endpoint("0.0.0.0", 1).is_wildcard
    assert Endpoint("::", 1).is_wildcard
    assert not Endpoint("127.0.0.1", 1).is_wildcard
    assert not is_address("fe80::1%eth0")
