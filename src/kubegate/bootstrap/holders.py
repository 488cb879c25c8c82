"""Who holds a name or an address in a cluster: its nodes, its Services, its API servers."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_DEFAULT_DOMAIN = "cluster.local"
# Names that every API server's certificate has (kubeadm, KEP-2433), whatever the cluster's domain.
_API_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")


@dataclass(frozen=True, slots=True, order=True)
class Holder:
    """`kind` is Node, Service or API server; `name` is that of the object, with its namespace where it has one."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else self.kind


@dataclass(frozen=True, slots=True)
class Holders:
    """Names and addresses, in the one form that compares, with all who hold each."""

    held: Mapping[str, frozenset[Holder]]
    nodes: frozenset[str]

    def of(self, name: str) -> tuple[Holder, ...]:
        """Who holds a DNS name or an address, in order; a name below `SERVICE.NAMESPACE.svc` is that Service's."""
        wanted = plain(name)
        _, dot, parent = wanted.partition(".")
        below = self.held.get(parent, frozenset()) if dot and ".svc" in parent else frozenset()
        return tuple(sorted(self.held.get(wanted, frozenset()) | {one for one in below if one.kind == "Service"}))


def plain(name: str) -> str:
    """A name or address as it compares: in small letters, without a last dot, an address in its canonical form."""
    text = name.lower().removesuffix(".")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def holders(
    nodes: Iterable[Mapping[str, Any]],
    services: Iterable[Mapping[str, Any]],
    api_servers: Iterable[str],
    domain: str = _DEFAULT_DOMAIN,
) -> Holders:
    """From the objects Node and Service as JSON, and the addresses of the EndpointSlices of the Service `kubernetes`.

    What a node says of itself is told, too: it shows whom a claim would hurt, and proves nothing for the one who claims.
    """
    held: dict[str, set[Holder]] = {}
    names = set()
    for node in nodes:
        name = str(node["metadata"]["name"])
        names.add(name)
        for claimed in (name, *_node_addresses(node)):
            held.setdefault(plain(claimed), set()).add(Holder("Node", name))
    for service in services:
        holder = Holder("Service", f"{service['metadata']['namespace']}/{service['metadata']['name']}")
        for claimed in _service_names(service, domain):
            held.setdefault(plain(claimed), set()).add(holder)
    for claimed in (*api_servers, *_API_NAMES, f"{_API_NAMES[-1]}.{domain}"):
        held.setdefault(plain(claimed), set()).add(Holder("API server", ""))
    return Holders({name: frozenset(found) for name, found in held.items()}, frozenset(names))


def _node_addresses(node: Mapping[str, Any]) -> Iterator[str]:
    for one in (node.get("status") or {}).get("addresses") or ():
        yield str(one["address"])


def _service_names(service: Mapping[str, Any], domain: str) -> Iterator[str]:
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    for end in ("", ".svc", f".svc.{domain}"):
        yield f"{name}.{namespace}{end}"
    spec = service.get("spec") or {}
    yield from (one for one in _texts(spec, "clusterIPs") if one != "None")
    yield from _texts(spec, "externalIPs")
    for one in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
        yield from (one[key] for key in ("ip", "hostname") if one.get(key))


def _texts(spec: Mapping[str, Any], key: str) -> Sequence[str]:
    return tuple(map(str, spec.get(key) or ()))
