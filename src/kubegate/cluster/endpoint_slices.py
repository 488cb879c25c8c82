"""EndpointSlices (discovery.k8s.io/v1) of the Service `kubernetes`: which API servers a cluster says that it has. Pure.

What does not look like an API server's endpoint is passed over: the answer comes from a cluster, and goes into a configuration.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from kubegate.model.address import Endpoint, is_address

_PORT_NAME = "https"


def api_servers(slices: Mapping[str, object]) -> tuple[Endpoint, ...]:
    """The endpoints of an EndpointSliceList that take new connections, each once, in order.

    That are those which are ready; where none is, those which still serve while they end, as kube-proxy does it (KEP 1669).
    """
    ready: set[Endpoint] = set()
    ending: set[Endpoint] = set()
    for one in _mappings(slices.get("items")):
        port = _port(_mappings(one.get("ports")))
        for endpoint in _mappings(one.get("endpoints")) if port else []:
            found = {Endpoint(address, port) for address in _addresses(endpoint.get("addresses"))}
            said = endpoint.get("conditions")
            conditions = said if isinstance(said, dict) else {}
            # A condition that is not said counts as true, but for `terminating`.
            if conditions.get("ready") in (None, True):
                ready |= found
            elif conditions.get("serving") in (None, True) and conditions.get("terminating") is True:
                ending |= found
    return tuple(sorted(ready or ending))


def _port(ports: list[dict[str, Any]]) -> int:
    """The port of API servers: the one named `https`, else the only one; 0 if there is none."""
    found = {port.get("name"): port["port"] for port in ports if _is_tcp(port)}
    number: int = found.get(_PORT_NAME, next(iter(found.values())) if len(found) == 1 else 0)
    return number


def _is_tcp(port: Mapping[str, object]) -> bool:
    number, name = port.get("port"), port.get("name")
    return (
        type(number) is int
        and 0 < number < 65536
        and port.get("protocol") in (None, "TCP")
        and (name is None or isinstance(name, str))
    )


def _addresses(value: object) -> Iterator[str]:
    """Addresses that somebody can have, in normal form."""
    for text in value if isinstance(value, list) else []:
        if isinstance(text, str) and is_address(text):
            address = ipaddress.ip_address(text)
            if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
                address = address.ipv4_mapped
            if not (address.is_unspecified or address.is_multicast):
                yield str(address)


def _mappings(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
