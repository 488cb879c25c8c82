"""Contour: HTTPProxy for each host name, with the Secrets, Services and EndpointSlices that it needs (projectcontour.io/v1)."""

from collections.abc import Iterator
from datetime import timedelta

from kubegate.model.gatefile import Declaration
from kubegate.model.plan import Plan
from kubegate.model.problem import InvalidInput, Problem
from kubegate.render import objects, sites
from kubegate.render.contour.keys import TABLE
from kubegate.render.contour.proxies import TCP_TIMEOUTS, proxy
from kubegate.render.expressed import refused_keys
from kubegate.render.in_cluster import ClusterOptions
from kubegate.render.manifest import documents, head, keys_artefact, namespace_artefact
from kubegate.render.sites import Site
from kubegate.render.targets import Artefact, Rendered
from kubegate.render.yaml_text import Object

_PORT = 443
# Envoy's own bound is 1024 for all requests and watches of a cluster, which a few hundred clients reach.
_MOST = 1_000_000
# Of an object (RFC 1123 subdomain).
_LONGEST_NAME = 253
_ORDER = "Apply in the order of the files' names, as `kubectl apply --server-side -f FOLDER` does."
_PROOF = ("Tried with Contour 1.33.8 and Envoy in front of Kubernetes 1.37: kubectl get, watch, exec over WebSocket.",)
_NOTES = (
    "clients reach it at Envoy's port for HTTPS and by name: they have to send the name in TLS (SNI)",
    "kubectl exec, attach, cp and port-forward pass over WebSocket, which kubectl tries first since 1.31; over SPDY, as older "
    "ones and some libraries ask for it, Envoy under Contour refuses them",
    "the guards of docs/security.md are not there: Envoy looks at HTTP in its own way",
)


def render(plan: Plan, options: ClusterOptions) -> Rendered:
    """The objects of all clusters. Raises InvalidInput with every key that Contour cannot express."""
    declared = options.declared
    found = sites.sites(plan, declared)
    if problems := [*refused_keys("Contour", declared, TABLE), *_problems(found, options)]:
        raise InvalidInput(problems)
    secrets = [one for site in found if site.opened for one in [objects.tls_secret(_meta(site, "tls", options), site.pem)]]
    plain = [one for site in found for one in _objects(site, options)]
    top = head(options, "Contour: HTTPProxies and what they lead to.", _PROOF, _ORDER)
    artefacts = (
        Artefact("30-contour.yaml", documents(plain, top)),
        namespace_artefact(options, "Contour"),
        *keys_artefact("20-keys.yaml", secrets, options, "Contour"),
    )
    notes = [note for site in found for note in sites.verification_notes(site)]
    return Rendered(artefacts, (*notes, *sites.resolved_note(declared), *_NOTES))


def _problems(found: tuple[Site, ...], options: ClusterOptions) -> Iterator[Problem]:
    declared = options.declared
    yield from sites.listener_problems(declared, _PORT, sole="Contour")
    for site in found:
        yield from sites.name_problems(site, declared)
        yield from sites.certificate_problems(site, declared)
        yield from sites.upstream_problems(site, options)
        for number, host in enumerate(site.cluster.hosts):
            if len(proxy_name(f"{options.name}-{site.name}", host)) > _LONGEST_NAME:
                where = declared.places.at(*site.loc, "hosts", number)
                message = f"the HTTPProxy for it would have a name of more than {_LONGEST_NAME} letters"
                yield Problem(where, "target.value", message, "give the cluster, or the objects by --name, a shorter name")
        if site.cluster.health.interval % timedelta(seconds=1):
            where = declared.places.at(*site.loc, "health", "interval")
            yield Problem(
                where, "target.value", "Contour checks at intervals of whole seconds", "write 1s or more, without parts"
            )
        if not site.opened:
            yield from _passed_problems(site, declared)


def _passed_problems(site: Site, declared: Declaration) -> Iterator[Problem]:
    """What Contour has for HTTP alone; of sources it must not be dropped in silence, for then everybody might come."""
    at = declared.places.at
    if site.cluster.allow:
        message = "Contour looks at sources of HTTP only (ipAllowPolicy), and not where TLS is passed through"
        yield Problem(
            at(*site.loc, "allow"), "target.key", message, "let a firewall or a NetworkPolicy before Envoy say who may come"
        )
    for key in TCP_TIMEOUTS & site.cluster.timeouts.model_fields_set:
        message = "Contour has no timeouts where TLS is passed through; Envoy ends connections that were silent for 9001 s"
        yield Problem(at(*site.loc, "timeouts", key), "target.key", message, "leave it out")


def _objects(site: Site, options: ClusterOptions) -> Iterator[Object]:
    name = f"{options.name}-{site.name}"
    if site.opened and site.verification is not None:
        yield objects.ca_secret(_meta(site, "ca", options), site.verification.ca_pem)
    limit = str(site.cluster.limits.connections or _MOST)
    # With one of them alone the others' defaults would count before it.
    breakers = {f"projectcontour.io/max-{what}": limit for what in ("connections", "pending-requests", "requests")}
    yield from objects.upstream_service(name, options.namespace, site.servers, _labels(site), breakers, opened=site.opened)
    listener = options.declared.config.listeners[0].name
    for host in site.cluster.hosts:
        meta = objects.metadata(proxy_name(name, host), options.namespace, {**_labels(site), "kubegate.dev/listener": listener})
        yield {"apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "metadata": meta, "spec": proxy(site, host, name)}


def proxy_name(service: str, host: str) -> str:
    """The name of an HTTPProxy. A dot is in no name of a cluster, so no two clusters' hosts give the same one."""
    return f"{service}.{host}"


def _meta(site: Site, what: str, options: ClusterOptions) -> Object:
    return objects.metadata(f"{options.name}-{site.name}-{what}", options.namespace, _labels(site))


def _labels(site: Site) -> dict[str, str]:
    return {"kubegate.dev/cluster": site.name}
