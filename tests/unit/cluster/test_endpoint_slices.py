from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubegate.cluster.endpoint_slices import api_servers
from kubegate.model.address import Endpoint, is_address

HTTPS = {"name": "https", "port": 6443, "protocol": "TCP"}


def endpoint(*addresses: str, **conditions: object) -> dict[str, Any]:
    """An endpoint as an API server writes it."""
    return {"addresses": list(addresses), "conditions": conditions}


def slices(*endpoints: object, ports: object = (HTTPS,)) -> dict[str, Any]:
    """One EndpointSlice in a list."""
    listed = list(ports) if isinstance(ports, tuple) else ports
    return {"kind": "EndpointSliceList", "items": [{"addressType": "IPv4", "endpoints": list(endpoints), "ports": listed}]}


def found(body: object) -> list[str]:
    """The API servers as text."""
    assert isinstance(body, dict)
    return [str(one) for one in api_servers(body)]


def test_as_kubernetes_writes_them() -> None:
    body = slices(endpoint("10.0.0.2", ready=True), endpoint("10.0.0.1", ready=True))
    assert api_servers(body) == (Endpoint("10.0.0.1", 6443), Endpoint("10.0.0.2", 6443))


def test_several_slices_name_each_server_once_with_the_port_of_its_slice() -> None:
    one, two = slices(endpoint("10.0.0.1"), endpoint("10.0.0.1")), slices(endpoint("10.0.0.1"), endpoint("10.0.0.2"))
    three = slices(endpoint("10.0.0.3"), ports=({"name": "https", "port": 443},))
    assert found({"items": one["items"] + two["items"] + three["items"]}) == ["10.0.0.1:6443", "10.0.0.2:6443", "10.0.0.3:443"]


@pytest.mark.parametrize(
    ("conditions", "counts"),
    [
        ({}, True),
        ({"ready": True}, True),
        ({"ready": None, "serving": None}, True),
        ({"ready": True, "terminating": True}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": False, "terminating": True}, False),
        # One that ends counts only where there is no other.
        ({"ready": False, "serving": True, "terminating": True}, False),
        ({"ready": "yes"}, False),
        ({"ready": 0}, False),
    ],
)
def test_conditions(conditions: dict[str, object], counts: bool) -> None:
    body = slices(endpoint("10.0.0.1", ready=True), endpoint("10.0.0.2", **conditions))
    assert found(body) == ["10.0.0.1:6443", *(["10.0.0.2:6443"] if counts else [])]


def test_where_none_is_ready_those_that_still_serve_while_they_end_count() -> None:
    ending, gone = {"ready": False, "serving": True, "terminating": True}, {"ready": False, "serving": False, "terminating": True}
    assert found(slices(endpoint("10.0.0.1", **ending), endpoint("10.0.0.2", **gone))) == ["10.0.0.1:6443"]
    assert found(slices(endpoint("10.0.0.1", ready=False), endpoint("10.0.0.2", ready=False, serving=True))) == []


def test_missing_or_strange_conditions_are_no_conditions() -> None:
    without = {"addresses": ["10.0.0.1"]}
    strange = {"addresses": ["10.0.0.2"], "conditions": ["ready"]}
    assert found(slices(without, strange)) == ["10.0.0.1:6443", "10.0.0.2:6443"]


def test_ipv6() -> None:
    body = slices(endpoint("FD00:0::1"), endpoint("fd00::2", "fd00::0:2"), endpoint("::ffff:10.0.0.1"))
    assert found(body) == ["10.0.0.1:6443", "[fd00::1]:6443", "[fd00::2]:6443"]


@pytest.mark.parametrize(
    ("ports", "port"),
    [
        (({"port": 443},), 443),
        (({"name": "", "port": 443, "protocol": "TCP", "appProtocol": "https"},), 443),
        (({"name": "kubernetes", "port": 443},), 443),
        (({"name": "metrics", "port": 9000}, HTTPS, {"name": "konnectivity", "port": 8132}), 6443),
        (({"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "api", "port": 443}), 443),
        (({"name": "a", "port": 1}, {"name": "b", "port": 2}), None),
        (({"name": "https", "port": 443, "protocol": "UDP"},), None),
        ((), None),
        (None, None),
        ("6443", None),
    ],
)
def test_ports(ports: object, port: int | None) -> None:
    assert found(slices(endpoint("10.0.0.1"), ports=ports)) == ([f"10.0.0.1:{port}"] if port else [])


@pytest.mark.parametrize("port", [True, 0, -1, 65536, 10**30, 443.0, "443", "443 ssl", None, [443]])
def test_what_is_no_port(port: object) -> None:
    assert found(slices(endpoint("10.0.0.1"), ports=({"name": "https", "port": port},))) == []


@pytest.mark.parametrize(
    "address",
    [
        "api.example.com",
        "10.0.0.1 check",
        "10.0.0.1\n  server evil 10.0.0.9:1",
        "10.0.0.1:443",
        "10.0.0.0/8",
        "fe80::1%eth0",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "",
        "unix@/run/docker.sock",
        "\u0661\u0660.0.0.1",
        10,
        None,
        ["10.0.0.1"],
    ],
)
def test_what_is_no_address_of_a_server(address: Any) -> None:
    assert found(slices(endpoint(address), endpoint("10.0.0.1"))) == ["10.0.0.1:6443"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"items": None},
        {"items": {}},
        {"items": "x"},
        {"items": [None, 1, "x", []]},
        {"items": [{}]},
        {"items": [{"ports": [HTTPS], "endpoints": None}]},
        {"items": [{"ports": [HTTPS], "endpoints": [None, {}, {"addresses": None}, {"addresses": "10.0.0.1"}]}]},
        {"items": [{"ports": [None, {}], "endpoints": [{"addresses": ["10.0.0.1"]}]}]},
        {"items": [{"ports": [{"name": ["https"], "port": 1}], "endpoints": [{"addresses": ["10.0.0.1"]}]}]},
    ],
)
def test_what_is_no_list_of_slices_names_nobody(body: dict[str, object]) -> None:
    assert api_servers(body) == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.ip_addresses().map(str),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["addresses", "conditions", "ready", "name", "port"]), inner),
    max_leaves=8,
)


@given(endpoints=json_values, ports=json_values, more=json_values)
def test_whatever_a_cluster_says_nothing_but_addresses_and_ports_comes_of_it(endpoints: Any, ports: Any, more: Any) -> None:
    body = {"items": [more, {"endpoints": endpoints, "ports": [HTTPS]}, {"endpoints": [endpoint("10.0.0.1")], "ports": ports}]}
    for one in api_servers(body):
        assert is_address(one.host)
        assert 0 < one.port < 65536
