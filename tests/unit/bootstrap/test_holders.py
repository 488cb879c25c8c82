"""Who holds a name or an address."""

from typing import Any

from kubegate.bootstrap.holders import Holder, holders, plain

NODES: list[dict[str, Any]] = [
    {"metadata": {"name": "a"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}},
    {"metadata": {"name": "B.example"}, "status": {"addresses": [{"type": "InternalIP", "address": "2001:DB8::0:1"}]}},
    {"metadata": {"name": "new"}},
]
SERVICES: list[dict[str, Any]] = [
    {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"clusterIPs": ["10.1.0.9"], "externalIPs": ["192.0.2.1"]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}, {"hostname": "lb.example"}]}},
    },
    {"metadata": {"name": "headless", "namespace": "shop"}, "spec": {"clusterIPs": ["None"]}},
]
FOUND = holders(NODES, SERVICES, ["10.0.0.100"])
WEB, API = Holder("Service", "shop/web"), Holder("API server", "")


def test_nodes() -> None:
    assert FOUND.nodes == {"a", "B.example", "new"}
    assert FOUND.of("10.0.0.1") == FOUND.of("A.") == (Holder("Node", "a"),)
    assert FOUND.of("2001:db8::1") == FOUND.of("b.EXAMPLE") == (Holder("Node", "B.example"),)
    assert FOUND.of("::ffff:10.0.0.1") == (Holder("Node", "a"),)


def test_services_and_what_is_below_them() -> None:
    for name in ("10.1.0.9", "192.0.2.1", "192.0.2.2", "LB.example", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local"):
        assert FOUND.of(name) == (WEB,), name
    assert FOUND.of("pod-0.web.shop.svc") == (WEB,)
    assert FOUND.of("None") == FOUND.of("web") == FOUND.of("a.web.shop") == FOUND.of("b.a") == ()


def test_api_servers() -> None:
    for name in ("10.0.0.100", "kubernetes", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"):
        assert FOUND.of(name) == (API,), name


def test_one_form_compares() -> None:
    assert (plain("A.B."), plain("::FFFF:10.0.0.1"), plain("2001:DB8:0::1")) == ("a.b", "10.0.0.1", "2001:db8::1")
