"""What a cluster itself says about the way to its API: the Service `kubernetes`, cluster-info, and `GET /api`.

What it says is data of the cluster: parts that are not what they should be are passed over.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from kubegate.cluster.client import Answer, ApiClient
from kubegate.cluster.document import yaml_documents
from kubegate.cluster.errors import Refused
from kubegate.cluster.server import parse_server
from kubegate.model.address import Endpoint, is_address
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput

SERVICE = "/api/v1/namespaces/default/services/kubernetes"
CLUSTER_INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
_MOST_SHOWN = 300
_MOST = 20


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """The Service `kubernetes`: its addresses inside the cluster, and its port named `https`."""

    addresses: tuple[Endpoint, ...]


async def service(client: ApiClient) -> ServiceAddress:
    """The Service `kubernetes` in `default`. Raises Refused, or another ClusterError."""
    needed = "get services in the namespace default"
    answer = _granted(await client.call("GET", SERVICE), "to show the Service kubernetes", needed)
    spec = answer.body.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    ports = spec.get("ports")
    found = [one for one in ports if isinstance(one, dict) and type(one.get("port")) is int] if isinstance(ports, list) else []
    port = next((one["port"] for one in found if one.get("name") == "https"), found[0]["port"] if len(found) == 1 else 0)
    listed = spec.get("clusterIPs") or [spec.get("clusterIP")]
    addresses = [one for one in listed if isinstance(one, str) and is_address(one)] if isinstance(listed, list) else []
    return ServiceAddress(tuple(Endpoint(one, port) for one in addresses[:_MOST] if 0 < port < 65536))


async def cluster_info(client: ApiClient) -> str:
    """The server in `kube-public/cluster-info`, which kubeadm publishes; empty if it names none. Raises Refused and others.

    Its signature is not checked: it is looked at as one more address, and nothing is trusted for it.
    """
    answer = _granted(
        await client.call("GET", CLUSTER_INFO), "to show cluster-info", "get configmaps in the namespace kube-public"
    )
    data = answer.body.get("data")
    text = data.get("kubeconfig") if isinstance(data, dict) else None
    if not isinstance(text, str):
        return ""
    try:
        document = next(yaml_documents(text.encode(), "cluster-info"), None)
        clusters = document.get("clusters") if isinstance(document, dict) else None
        server = str(clusters[0]["cluster"]["server"]) if isinstance(clusters, list) else ""
        return parse_server(server, "cluster-info").url if server else ""
    except (InvalidInput, yaml.YAMLError, LookupError, TypeError, UnicodeError):
        return ""


async def by_client_range(client: ApiClient) -> tuple[tuple[str, str], ...]:
    """`serverAddressByClientCIDRs` of `GET /api`: for clients in which range which HOST:PORT. Raises Refused and others."""
    answer = _granted(await client.call("GET", "/api"), "GET /api", "get /api (system:discovery)")
    return tuple(_pairs(answer.body))[:_MOST]


def _pairs(body: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    listed = body.get("serverAddressByClientCIDRs")
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and isinstance(one.get("clientCIDR"), str) and isinstance(one.get("serverAddress"), str):
            yield one["clientCIDR"], one["serverAddress"]


def _granted(answer: Answer, what: str, right: str) -> Answer:
    if answer.status == 200:
        return answer
    said = printable(answer.text("message"))[:_MOST_SHOWN] or f"HTTP status {answer.status}"
    hint = {403: f"its user needs the right to {right}", 404: "this cluster has none"}.get(answer.status, "")
    raise Refused(f"the API server refused {what}: {said}", hint, status=answer.status, reason=answer.text("reason"))
