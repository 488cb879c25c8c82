"""How values are written in Envoy's configuration (proto3 in JSON)."""

from typing import Any

from kubegate.model.address import Endpoint

_TYPES = "type.googleapis.com/envoy.extensions"


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    """A message whose type is named: `kind` is what comes after `envoy.extensions.`."""
    return {"@type": f"{_TYPES}.{kind}", **fields}


def extension(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    """An extension by its name, with its configuration."""
    return {"name": name, "typed_config": typed(kind, **fields)}


def seconds(milliseconds: int) -> str:
    """A `Duration`."""
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole}.{rest:03}s" if rest else f"{whole}s"


def address(at: Endpoint, *, ipv4_too: bool = False) -> dict[str, Any]:
    """An `Address`; `ipv4_too`: the IPv6 wildcard means IPv4 as well."""
    found: dict[str, Any] = {"address": at.host, "port_value": at.port}
    if ipv4_too:
        found["ipv4_compat"] = True
    return {"socket_address": found}


def ranges(networks: tuple[str, ...]) -> list[dict[str, Any]]:
    """`CidrRange`s of source ranges; one address alone is a range of one."""
    found = []
    for network in networks:
        host, _, length = network.partition("/")
        found.append({"address_prefix": host, "prefix_len": int(length or (128 if ":" in host else 32))})
    return found


def allowed(networks: tuple[str, ...]) -> dict[str, Any]:
    """Rules of the RBAC filters: these sources, by the address of the connection, and nobody else."""
    sources = [{"remote_ip": one} for one in ranges(networks)]
    return {"action": "ALLOW", "policies": {"allow": {"permissions": [{"any": True}], "principals": sources}}}
