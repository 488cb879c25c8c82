"""What leads from the Gateway's listeners to the API servers of one cluster."""

from collections.abc import Iterator, Sequence

from kubegate.render import objects
from kubegate.render.gateway_api.gateway import API_VERSION, GROUP, certificate_name, gateway_namespace
from kubegate.render.in_cluster import ClusterOptions
from kubegate.render.objects import duration
from kubegate.render.sites import Site
from kubegate.render.streams import PARAMETERS, PATHS, PREFIXES
from kubegate.render.yaml_text import Object

# As clients write them; a parameter that is merely there cannot be told portably.
_TRUE = ("true", "1")


def certificate(site: Site, options: ClusterOptions) -> Object:
    """The Secret with the certificate that is shown for a cluster."""
    return objects.tls_secret(_meta(site, certificate_name(site, options), options), site.pem)


def objects_of(site: Site, sections: Sequence[str], options: ClusterOptions) -> Iterator[Object]:
    """Service, EndpointSlices, route, and where TLS is opened whom to trust."""
    name = f"{options.name}-{site.name}"
    if site.opened and site.verification is not None:
        yield objects.ca_config_map(_meta(site, f"{name}-ca", options), site.verification.ca_pem)
    yield from objects.upstream_service(name, options.namespace, site.servers, _labels(site), opened=site.opened)
    parents = [
        {
            "group": GROUP,
            "kind": "Gateway",
            "name": options.name,
            "namespace": gateway_namespace(options),
            "sectionName": one,
        }
        for one in sections
    ]
    backends = [{"group": "", "kind": "Service", "name": name, "port": 443, "weight": 1}]
    meta = _meta(site, name, options)
    common = {"parentRefs": parents, "hostnames": list(site.cluster.hosts)}
    if not site.opened:
        rules = [{"backendRefs": backends}]
        yield {"apiVersion": API_VERSION, "kind": "TLSRoute", "metadata": meta, "spec": {**common, "rules": rules}}
        return
    yield {"apiVersion": API_VERSION, "kind": "HTTPRoute", "metadata": meta, "spec": {**common, "rules": _rules(site, backends)}}
    yield {"apiVersion": API_VERSION, "kind": "BackendTLSPolicy", "metadata": meta, "spec": _trusted(site, name)}


def _rules(site: Site, backends: list[Object]) -> list[Object]:
    root = {"type": "PathPrefix", "value": "/"}
    streams: list[Object] = [
        *({"path": {"type": "RegularExpression", "value": path}} for path in PATHS),
        *({"path": {"type": "PathPrefix", "value": prefix.rstrip("/")}} for prefix in PREFIXES),
        *(
            {"path": root, "queryParams": [{"type": "Exact", "name": name, "value": value}]}
            for name in PARAMETERS
            for value in _TRUE
        ),
    ]
    rest: list[Object] = [{"path": root}]
    return [
        # Zero switches the timeout off (HTTPRouteTimeouts).
        {"matches": streams, "backendRefs": backends, "timeouts": {"request": "0s"}},
        {"matches": rest, "backendRefs": backends, "timeouts": {"request": duration(site.cluster.timeouts.request)}},
    ]


def _trusted(site: Site, name: str) -> Object:
    if site.verification is None:
        raise ValueError("an unverified API server has no BackendTLSPolicy")
    reference = {"group": "", "kind": "ConfigMap", "name": f"{name}-ca"}
    return {
        "targetRefs": [{"group": "", "kind": "Service", "name": name}],
        "validation": {"caCertificateRefs": [reference], "hostname": site.verification.name},
    }


def _meta(site: Site, name: str, options: ClusterOptions) -> Object:
    return objects.metadata(name, options.namespace, _labels(site))


def _labels(site: Site) -> dict[str, str]:
    return {"kubegate.dev/cluster": site.name}
