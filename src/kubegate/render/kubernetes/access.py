"""What the gate may do in its cluster (nothing, or list API servers), and who may speak with its pods."""

import ipaddress
from collections.abc import Iterator, Sequence

from kubegate.model.address import is_address
from kubegate.model.config import Config
from kubegate.render.kubernetes.names import Names
from kubegate.render.kubernetes.workload import asks_its_cluster
from kubegate.render.sites import Site
from kubegate.render.yaml_text import Object

_DISCOVERED_IN = "default"
_GROUP = "rbac.authorization.k8s.io"
_EVERYWHERE = ("0.0.0.0/0", "::/0")
# Where the Service `kubernetes` listens in nearly every cluster.
_SERVICE_PORT = 443


def account(names: Names, config: Config) -> Iterator[Object]:
    """The ServiceAccount, and the one right that following the members of a control plane needs.

    A list cannot be bound to names (RBAC, "Referring to resources"): it can read all EndpointSlices of `default`.
    """
    token = asks_its_cluster(config)
    yield {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": names.meta(names.base),
        "automountServiceAccountToken": token,
    }
    if not token:
        return
    meta = names.meta(f"{names.base}-{names.namespace}", _DISCOVERED_IN)
    rules = [{"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]}]
    yield {"apiVersion": f"{_GROUP}/v1", "kind": "Role", "metadata": meta, "rules": rules}
    yield {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": _GROUP, "kind": "Role", "name": meta["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": names.base, "namespace": names.namespace}],
    }


def network_policy(names: Names, config: Config, found: Sequence[Site]) -> Object:
    """In by the listeners' ports, out to API servers and DNS, and nothing else.

    Who may come is for the gate to say (`allow`): at the pod a source may have been exchanged for a node's address.
    """
    listening = dict.fromkeys(listener.address.port for listener in config.listeners)
    ingress: list[Object] = [{"ports": [_tcp(port) for port in listening]}]
    if config.metrics is not None and not config.metrics.address.is_loopback:
        ingress.append({"from": [{"podSelector": {}}], "ports": [_tcp(config.metrics.address.port)]})
    egress = list(_egress(config, found))
    spec = {
        "podSelector": {"matchLabels": names.selector},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": egress,
    }
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": names.meta(names.base), "spec": spec}


def _egress(config: Config, found: Sequence[Site]) -> Iterator[Object]:
    anywhere: set[int] = set()
    known: dict[int, set[str]] = {}
    for site in found:
        upstream = site.cluster.upstream
        named = [server for server in upstream.servers if not is_address(server.host)]
        if upstream.discover:
            anywhere |= {server.port for server in site.servers} | {_SERVICE_PORT}
        elif named:
            # Their addresses are for DNS to say.
            anywhere |= {server.port for server in upstream.servers}
        else:
            for server in site.servers:
                known.setdefault(server.port, set()).add(_network(server.host))
    if any(not is_address(server.host) for cluster in config.clusters for server in cluster.upstream.servers):
        yield {"ports": [{"port": 53, "protocol": "UDP"}, _tcp(53)]}
    if anywhere:
        yield {"to": [{"ipBlock": {"cidr": cidr}} for cidr in _EVERYWHERE], "ports": [_tcp(port) for port in sorted(anywhere)]}
    for port, networks in sorted(known.items()):
        if port not in anywhere:
            yield {"to": [{"ipBlock": {"cidr": cidr}} for cidr in sorted(networks)], "ports": [_tcp(port)]}


def _network(address: str) -> str:
    return str(ipaddress.ip_network(address))


def _tcp(port: int) -> Object:
    return {"port": port, "protocol": "TCP"}
