"""Declarations rendered for targets that are made of objects of Kubernetes, with facts that follow from what they say alone."""

import base64
import hashlib
import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from kubegate.model.address import is_address
from kubegate.model.config import ClusterConfig, Config, Mode
from kubegate.model.facts import ClusterFacts, Facts, FrontCertificate, PeerCertificate, ServerFact, UpstreamFacts
from kubegate.model.gatefile import Declaration, read_declaration
from kubegate.model.plan import Plan
from kubegate.model.planner import plan
from kubegate.render import contour, gateway_api, helm, ingress_nginx, kubernetes
from kubegate.render.contour import keys as contour_keys
from kubegate.render.expressed import Table
from kubegate.render.gateway_api import keys as gateway_api_keys
from kubegate.render.in_cluster import ClusterOptions
from kubegate.render.ingress_nginx import keys as ingress_nginx_keys
from kubegate.render.kubernetes import keys as kubernetes_keys
from kubegate.render.targets import Rendered
from tests.support.tls import API_NAME

Render = Callable[[Plan, ClusterOptions], Rendered]
TARGETS: Mapping[str, Render] = {
    "contour": contour.render,
    "gateway-api": gateway_api.render,
    "ingress-nginx": ingress_nginx.render,
    "kubernetes": kubernetes.render,
    "helm": helm.render,
}
TABLES: Mapping[str, Table] = {
    "contour": contour_keys.TABLE,
    "gateway-api": gateway_api_keys.TABLE,
    "ingress-nginx": ingress_nginx_keys.TABLE,
    "kubernetes": kubernetes_keys.TABLE,
    "helm": kubernetes_keys.TABLE,
}
Document = dict[str, Any]


def declared(document: Document | str) -> Declaration:
    """What a file `kubegate.yaml` in /etc/kubegate would declare."""
    text = document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False)
    return read_declaration(text.encode(), "kubegate.yaml", Path("/etc/kubegate"))


def rendered(target: str, document: Document | str, **more: Any) -> Rendered:
    """The same rendered. Raises InvalidInput."""
    declaration = declared(document)
    options = ClusterOptions(
        **{"image": "registry.example.com/kubegate:1", "version": "1.2.3", "gateway_class": "example", **more},
        declared=declaration,
    )
    return TARGETS[target](plan(declaration.config, facts(declaration.config)), options)


def objects(found: Rendered) -> list[Document]:
    """All objects, in the order of the files."""
    files = sorted(found.artefacts, key=lambda one: one.name)
    return [one for file in files for one in yaml.safe_load_all(file.content) if one is not None]


def facts(config: Config) -> Facts:
    """What could have been found out: every value of the declaration shows in it."""
    return Facts({cluster.name: _cluster(cluster) for cluster in config.clusters}, max_connections=10_000)


def _cluster(cluster: ClusterConfig) -> ClusterFacts:
    upstream = cluster.upstream
    seed = f"{upstream.kubeconfig}{upstream.context}"
    if upstream.servers:
        addresses = [(one.host if is_address(one.host) else _address(one.host), one.port) for one in upstream.servers]
    else:
        addresses = [(_address(seed), 6443)]
    shown = PeerCertificate((API_NAME,), (), datetime_max())
    servers = tuple(ServerFact(host, port, shown) for host, port in addresses)
    ca = None if upstream.insecure else _pem("CERTIFICATE", f"{seed}{upstream.ca}")
    name = upstream.server_name or addresses[0][0]
    found = UpstreamFacts(cluster.name, "upstream", "https://api.example.com:6443", True, name, ca, servers)
    front = None
    if cluster.mode is Mode.TERMINATE:
        given = cluster.certificate
        said = f"{given.cert}{given.chain}" if given else "its own"
        pem = _pem("CERTIFICATE", said) + _pem("PRIVATE KEY", str(given.key) if given else "its own")
        front = FrontCertificate(pem, cluster.hosts, "", datetime_max(), False, None)
    return ClusterFacts(found, front)


def datetime_max() -> Any:
    """A time that no test reaches."""
    from datetime import UTC, datetime

    return datetime(2999, 1, 1, tzinfo=UTC)


def _address(seed: str) -> str:
    """An address for documentation (RFC 5737) that the seed decides."""
    return str(ipaddress.ip_address("198.51.100.0") + hashlib.sha256(seed.encode()).digest()[0])


def _pem(label: str, text: str) -> bytes:
    """A block of the form of PEM that says only what it stands for."""
    return f"-----BEGIN {label}-----\n{base64.b64encode(text.encode()).decode()}\n-----END {label}-----\n".encode()
