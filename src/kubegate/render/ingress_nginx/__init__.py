"""ingress-nginx: an Ingress for each cluster, with the annotations that verify API servers and keep exec and watches alive."""

from collections.abc import Iterator
from datetime import timedelta

from kubegate.model.config import Balance
from kubegate.model.plan import Plan
from kubegate.model.problem import InvalidInput, Problem
from kubegate.render import objects, sites
from kubegate.render.expressed import refused_keys
from kubegate.render.in_cluster import ClusterOptions
from kubegate.render.ingress_nginx.annotations import annotations
from kubegate.render.ingress_nginx.keys import TABLE
from kubegate.render.manifest import documents, head, keys_artefact, namespace_artefact
from kubegate.render.sites import Site
from kubegate.render.targets import Artefact, Rendered
from kubegate.render.yaml_text import Object

_PORT = 443
# nginx, ngx_http_proxy_module: proxy_connect_timeout "cannot usually exceed 75 seconds".
_LONGEST_CONNECT = timedelta(seconds=75)
_ORDER = "Apply in the order of the files' names, as `kubectl apply --server-side -f FOLDER` does."
_PROOF = (
    "Accepted by the API server of Kubernetes 1.37. Not run: no ingress-nginx controller was tried with it.",
    "The project ingress-nginx has ended (March 2026): prefer another target for what is new.",
)
_NOTES = (
    "not run: no ingress-nginx controller was tried with it",
    "the project ingress-nginx has ended (March 2026): prefer another target for what is new",
    "nginx ends its workers after each reload, and their streams with them after worker-shutdown-timeout (240s): raise it in the "
    "controller's ConfigMap for longer watches and exec",
    "the guards of docs/security.md are not there",
)

_SOURCES = (
    "`allow` looks at the address that connects to nginx, a load balancer's where there is one; with `use-forwarded-headers` in "
    "the controller's ConfigMap it is what a header says, which whoever reaches nginx can write"
)


def render(plan: Plan, options: ClusterOptions) -> Rendered:
    """The objects of all clusters. Raises InvalidInput with every key that ingress-nginx cannot express."""
    found = sites.sites(plan, options.declared)
    if problems := [*refused_keys("ingress-nginx", options.declared, TABLE), *_problems(found, options)]:
        raise InvalidInput(problems)
    secrets = [objects.tls_secret(_meta(site, "tls", options), site.pem) for site in found if site.opened]
    plain = [one for site in found for one in _objects(site, options)]
    artefacts = (
        Artefact("30-ingress-nginx.yaml", documents(plain, head(options, "ingress-nginx: Ingresses.", _PROOF, _ORDER))),
        namespace_artefact(options, "ingress-nginx"),
        *keys_artefact("20-keys.yaml", secrets, options, "ingress-nginx"),
    )
    notes = [note for site in found for note in sites.verification_notes(site)]
    notes += [_SOURCES] if any(site.cluster.allow for site in found) else []
    passed = ["ssl-passthrough works only where the controller runs with --enable-ssl-passthrough"]
    notes += passed if any(not site.opened for site in found) else []
    return Rendered(artefacts, (*notes, *sites.resolved_note(options.declared), *_NOTES))


def _problems(found: tuple[Site, ...], options: ClusterOptions) -> Iterator[Problem]:
    declared = options.declared
    yield from sites.listener_problems(declared, _PORT, sole="ingress-nginx")
    for site in found:
        yield from sites.name_problems(site, declared)
        yield from sites.certificate_problems(site, declared)
        yield from sites.upstream_problems(site, options)
        yield from _value_problems(site, options)
        if not site.opened:
            yield from _passed_problems(site, options)


def _value_problems(site: Site, options: ClusterOptions) -> Iterator[Problem]:
    at, cluster = options.declared.places.at, site.cluster
    if "balance" in cluster.model_fields_set and cluster.balance is not Balance.ROUNDROBIN:
        message = f"ingress-nginx cannot balance by {cluster.balance}"
        yield Problem(at(*site.loc, "balance"), "target.value", message, "write roundrobin, or leave it out")
    for key in sorted(cluster.timeouts.model_fields_set & {"connect", "stream"}):
        if getattr(cluster.timeouts, key) % timedelta(seconds=1):
            message = "ingress-nginx has whole seconds"
            yield Problem(at(*site.loc, "timeouts", key), "target.value", message, "write 1s or more, without parts of it")
    if cluster.timeouts.connect > _LONGEST_CONNECT:
        message = "nginx waits 75 s at most for a connection"
        yield Problem(at(*site.loc, "timeouts", "connect"), "target.value", message, "write 75s or less")


def _passed_problems(site: Site, options: ClusterOptions) -> Iterator[Problem]:
    """What does not count where TLS is passed through, for nginx never sees such a connection (TLS Passthrough)."""
    at, cluster = options.declared.places.at, site.cluster
    written = [("balance",)] if "balance" in cluster.model_fields_set else []
    written += [("allow",)] if cluster.allow else []
    keys = [*written, *(("timeouts", key) for key in sorted(cluster.timeouts.model_fields_set & {"connect", "stream"}))]
    for key in keys:
        message = "ingress-nginx does not look at it where TLS is passed through: such connections go past nginx"
        hint = "let a firewall or a NetworkPolicy say who may come" if key == ("allow",) else "leave it out"
        yield Problem(at(*site.loc, *key), "target.key", message, hint)


def _objects(site: Site, options: ClusterOptions) -> Iterator[Object]:
    name = f"{options.name}-{site.name}"
    if site.opened and site.verification is not None:
        yield objects.ca_secret(_meta(site, "ca", options), site.verification.ca_pem)
    yield from objects.upstream_service(name, options.namespace, site.servers, _labels(site), opened=site.opened)
    labels = {**_labels(site), "kubegate.dev/listener": options.declared.config.listeners[0].name}
    meta = objects.metadata(name, options.namespace, labels, annotations(site, f"{options.namespace}/{name}-ca"))
    yield {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": _spec(site, name)}


def _spec(site: Site, name: str) -> Object:
    backend = {"service": {"name": name, "port": {"name": objects.PORT_NAME}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    spec: Object = {"ingressClassName": "nginx"}
    if site.opened:
        spec["tls"] = [{"hosts": list(site.cluster.hosts), "secretName": f"{name}-tls"}]
    spec["rules"] = [{"host": host, "http": {"paths": paths}} for host in site.cluster.hosts]
    return spec


def _meta(site: Site, what: str, options: ClusterOptions) -> Object:
    return objects.metadata(f"{options.name}-{site.name}-{what}", options.namespace, _labels(site))


def _labels(site: Site) -> dict[str, str]:
    return {"kubegate.dev/cluster": site.name}
