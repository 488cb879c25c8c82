"""Objects of Kubernetes itself that several targets need: Secrets, ConfigMaps, Services that lead to API servers."""

import base64
import ipaddress
from collections.abc import Mapping, Sequence
from datetime import timedelta

from kubegate.model.address import Endpoint
from kubegate.pki.pem import blocks
from kubegate.render.yaml_text import Object

PART_OF = "kubegate"
PORT_NAME = "https"
# Some implementations read longer lists of one EndpointSlice only in part (discovery.k8s.io/v1, `endpoints`: at most 1000).
_MOST_ENDPOINTS = 100


def metadata(
    name: str, namespace: str = "", labels: Mapping[str, str] | None = None, annotations: Mapping[str, str] | None = None
) -> Object:
    """The metadata of an object, with the labels of everything that kubegate renders."""
    common = {"app.kubernetes.io/part-of": PART_OF, "app.kubernetes.io/managed-by": PART_OF}
    found: Object = {"name": name}
    if namespace:
        found["namespace"] = namespace
    found["labels"] = common | dict(labels or {})
    if annotations:
        found["annotations"] = dict(annotations)
    return found


def namespace(name: str, labels: Mapping[str, str] | None = None) -> Object:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata(name, labels=labels)}


def tls_secret(meta: Object, pem: bytes) -> Object:
    """A certificate with its key as TLS Secrets have them: the chain, leaf first, and the key beside it."""
    chain, key = chain_and_key(pem)
    data = {"tls.crt": encoded(chain), "tls.key": encoded(key)}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "kubernetes.io/tls", "data": data}


def ca_secret(meta: Object, ca_pem: bytes) -> Object:
    """A CA bundle as a Secret, where a target takes it from none but Secrets."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": {"ca.crt": encoded(ca_pem)}}


def ca_config_map(meta: Object, ca_pem: bytes) -> Object:
    """A CA bundle as a ConfigMap: it is no secret."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"ca.crt": ca_pem.decode()}}


def chain_and_key(pem: bytes) -> tuple[bytes, bytes]:
    """The certificates of a PEM bundle, and its private key."""
    found = list(blocks(pem))
    return b"".join(one.text for one in found if not one.is_key), b"".join(one.text for one in found if one.is_key)


def encoded(content: bytes) -> str:
    """Bytes as objects of Kubernetes carry them."""
    return base64.b64encode(content).decode()


def upstream_service(
    name: str,
    namespace: str,
    servers: Sequence[Endpoint],
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
    *,
    opened: bool,
) -> list[Object]:
    """A Service without selector and the EndpointSlices that lead from it to API servers, wherever these are.

    A slice holds addresses of one family with one port (discovery.k8s.io/v1), so there may be several. The API server refuses
    loopback and link-local addresses in them. `opened` says that whoever uses it speaks HTTPS to the API servers.
    """
    families = sorted({_family(server) for server in servers})
    spec: Object = {"ports": [_port(443, opened=opened)]}
    if len(families) > 1:
        spec["ipFamilyPolicy"] = "PreferDualStack"
    elif families == ["IPv6"]:
        spec |= {"ipFamilyPolicy": "SingleStack", "ipFamilies": families}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata(name, namespace, labels, annotations), "spec": spec}
    groups: dict[tuple[str, int], list[str]] = {}
    for server in sorted(servers, key=_order):
        groups.setdefault((_family(server), server.port), []).append(server.host)
    bound = {
        "kubernetes.io/service-name": name,
        # Who keeps it: without this label the cluster's own mirroring takes it for abandoned (EndpointSlice, Management).
        "endpointslice.kubernetes.io/managed-by": PART_OF,
    }
    slices: list[Object] = []
    for (family, number), addresses in sorted(groups.items()):
        for start in range(0, len(addresses), _MOST_ENDPOINTS):
            meta = metadata(f"{name}-{len(slices)}", namespace, {**labels, **bound})
            part = addresses[start : start + _MOST_ENDPOINTS]
            slices.append(_slice(meta, family, _port(number, opened=opened), part))
    return [service, *slices]


def _slice(meta: Object, family: str, port: Object, addresses: Sequence[str]) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": family,
        "ports": [port],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    }


def _port(number: int, *, opened: bool) -> Object:
    # What is passed through is TLS already, and some implementations would wrap it into TLS once more.
    protocol = {"appProtocol": "https"} if opened else {}
    return {"name": PORT_NAME, "port": number, "protocol": "TCP", **protocol}


def _family(server: Endpoint) -> str:
    return "IPv6" if ":" in server.host else "IPv4"


def _order(server: Endpoint) -> tuple[int, int, int]:
    address = ipaddress.ip_address(server.host)
    return address.version, int(address), server.port


def duration(span: timedelta) -> str:
    """A time span as Go and Gateway API read it: `168h`, `1m30s`, `500ms` (GEP-2257: no days, five digits a unit)."""
    left = round(span.total_seconds() * 1000)
    found = ""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        found += f"{count}{unit}" if count else ""
    return found or "0s"
