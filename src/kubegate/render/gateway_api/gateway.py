"""The Gateway with its listeners, and what lets it take Secrets of another namespace."""

from collections.abc import Mapping, Sequence

from kubegate.render import objects
from kubegate.render.in_cluster import ClusterOptions
from kubegate.render.sites import Site
from kubegate.render.yaml_text import Object

GROUP = "gateway.networking.k8s.io"
API_VERSION = f"{GROUP}/v1"
# The label that the API server itself puts on every Namespace (well-known labels).
_NAMESPACE_LABEL = "kubernetes.io/metadata.name"


def gateway_namespace(options: ClusterOptions) -> str:
    """Where the Gateway is."""
    return options.gateway_namespace or options.namespace


def section(listener: str, site: Site, host: str) -> str:
    """The name of the Gateway's listener for a name of a cluster: unlike all others, for names lead to one cluster each."""
    return f"{listener}-{site.cluster.hosts.index(host)}.{site.name}"


def gateway(reached: Mapping[str, Sequence[Site]], options: ClusterOptions) -> Object:
    """The Gateway; `reached` are the clusters behind each declared listener."""
    config = options.declared.config
    spec: Object = {"gatewayClassName": options.gateway_class}
    addresses = dict.fromkeys(one.address.host for one in config.listeners if not one.address.is_wildcard)
    if addresses:
        spec["addresses"] = [{"type": "IPAddress", "value": address} for address in addresses]
    spec["listeners"] = [
        _listener(section(listener.name, site, host), host, listener.address.port, site, options)
        for listener in config.listeners
        for site in reached[listener.name]
        for host in site.cluster.hosts
    ]
    meta = objects.metadata(options.name, gateway_namespace(options))
    return {"apiVersion": API_VERSION, "kind": "Gateway", "metadata": meta, "spec": spec}


def _listener(name: str, host: str, port: int, site: Site, options: ClusterOptions) -> Object:
    tls: Object = {"mode": "Passthrough"}
    if site.opened:
        reference = {"group": "", "kind": "Secret", "name": certificate_name(site, options), "namespace": options.namespace}
        tls = {"mode": "Terminate", "certificateRefs": [reference]}
    kind = "HTTPRoute" if site.opened else "TLSRoute"
    return {
        "name": name,
        "hostname": host,
        "port": port,
        "protocol": "HTTPS" if site.opened else "TLS",
        "tls": tls,
        "allowedRoutes": {"kinds": [{"group": GROUP, "kind": kind}], "namespaces": _namespaces(options)},
    }


def _namespaces(options: ClusterOptions) -> Object:
    if gateway_namespace(options) == options.namespace:
        return {"from": "Same"}
    return {"from": "Selector", "selector": {"matchLabels": {_NAMESPACE_LABEL: options.namespace}}}


def certificate_name(site: Site, options: ClusterOptions) -> str:
    """The name of the Secret with a cluster's certificate."""
    return f"{options.name}-{site.name}-tls"


def grant(found: Sequence[Site], options: ClusterOptions) -> Object | None:
    """What lets a Gateway elsewhere read these Secrets and no other; None where it is in the same namespace, or reads none."""
    opened = [site for site in found if site.opened]
    if not opened or gateway_namespace(options) == options.namespace:
        return None
    spec = {
        "from": [{"group": GROUP, "kind": "Gateway", "namespace": gateway_namespace(options)}],
        "to": [{"group": "", "kind": "Secret", "name": certificate_name(site, options)} for site in opened],
    }
    meta = objects.metadata(options.name, options.namespace)
    return {"apiVersion": API_VERSION, "kind": "ReferenceGrant", "metadata": meta, "spec": spec}
