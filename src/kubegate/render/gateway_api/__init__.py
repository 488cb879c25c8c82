"""Gateway API: a Gateway, routes for what is opened and what is passed through, and whom upstream connections trust."""

from collections.abc import Iterator

from kubegate.model.config import ListenerConfig
from kubegate.model.gatefile import Declaration
from kubegate.model.plan import Plan
from kubegate.model.problem import InvalidInput, Problem
from kubegate.render import sites
from kubegate.render.expressed import refused_keys
from kubegate.render.gateway_api import routes
from kubegate.render.gateway_api.gateway import gateway, grant, section
from kubegate.render.gateway_api.keys import TABLE
from kubegate.render.in_cluster import ClusterOptions
from kubegate.render.manifest import documents, head, keys_artefact, namespace_artefact
from kubegate.render.sites import Site
from kubegate.render.targets import Artefact, Rendered
from kubegate.render.yaml_text import Object

_ORDER = "Apply in the order of the files' names, as `kubectl apply --server-side -f FOLDER` does."
_PROOF = (
    "Accepted by the API server with the custom resources of the standard channel of August 2026 (v1).",
    "Not run: which of it an implementation follows, its own documentation says.",
)
_NOTES = (
    "not run: no implementation of Gateway API was tried with it",
    "clients have to send the name in TLS (SNI); the guards of docs/security.md are not there",
    "exec, attach, cp and port-forward need an implementation that lets WebSocket upgrades through; few let SPDY through",
    "streams are told from other requests by path patterns, whose form Gateway API leaves to the implementation (RE2 here)",
)
_POLICIES = (
    "before any token goes through it, see that each BackendTLSPolicy is accepted (`kubectl get backendtlspolicies -o yaml`, "
    "status.ancestors): an implementation that does not know them verifies no API server"
)
# Gateway API's own bound on listeners of a Gateway.
_MOST_LISTENERS = 64
# And on names of an HTTPRoute, listeners that a route is bound to, Secrets of a ReferenceGrant.
_MOST_NAMES, _MOST_PARENTS, _MOST_GRANTED = 16, 32, 16


def render(plan: Plan, options: ClusterOptions) -> Rendered:
    """The objects of all clusters. Raises InvalidInput with every key that Gateway API cannot express."""
    declared = options.declared
    found = sites.sites(plan, declared)
    if problems := [*refused_keys("Gateway API", declared, TABLE), *_problems(found, options)]:
        raise InvalidInput(problems)
    secrets = [routes.certificate(site, options) for site in found if site.opened]
    reached = {listener.name: _sites_at(listener, found, declared) for listener in declared.config.listeners}
    top = head(options, "Gateway API: the Gateway and what it leads to.", _PROOF, _ORDER)
    plain: list[Object] = [gateway(reached, options)]
    if granted := grant(found, options):
        plain.append(granted)
    for site in found:
        sections = [
            section(listener.name, site, host)
            for listener in declared.config.listeners
            if site in reached[listener.name]
            for host in site.cluster.hosts
        ]
        plain += routes.objects_of(site, sections, options)
    artefacts = (
        Artefact("30-gateway-api.yaml", documents(plain, top)),
        namespace_artefact(options, "Gateway API"),
        *keys_artefact("20-keys.yaml", secrets, options, "Gateway API"),
    )
    notes = [sites.passed_note(site) for site in found if not site.opened]
    notes += [_POLICIES] if any(site.opened for site in found) else []
    return Rendered(artefacts, (*notes, *sites.resolved_note(declared), *_NOTES))


def _sites_at(listener: ListenerConfig, found: tuple[Site, ...], declared: Declaration) -> tuple[Site, ...]:
    here = {cluster.name for cluster in declared.config.reached_at(listener)}
    return tuple(site for site in found if site.name in here)


def _problems(found: tuple[Site, ...], options: ClusterOptions) -> Iterator[Problem]:
    declared = options.declared
    at = declared.places.at
    if not options.gateway_class:
        message = "the class of the Gateway is not known: it says which implementation follows it"
        yield Problem("--gateway-class", "target.flag", message, "name one that `kubectl get gatewayclasses` shows")
    yield from sites.listener_problems(declared, any_address=True)
    names = sum(len(one.hosts) for listener in declared.config.listeners for one in declared.config.reached_at(listener))
    if names > _MOST_LISTENERS:
        message = f"there are {names} names, and a Gateway has {_MOST_LISTENERS} listeners at most, one for each name"
        yield Problem(at("clusters"), "target.value", message, "render several files")
    granted = sum(site.opened for site in found)
    if granted > _MOST_GRANTED and options.gateway_namespace not in ("", options.namespace):
        message = f"a ReferenceGrant names {_MOST_GRANTED} Secrets at most, and {granted} clusters have one"
        yield Problem("--gateway-namespace", "target.flag", message, "leave it out, or render several files")
    for site in found:
        yield from _route_problems(site, declared)
        yield from sites.name_problems(site, declared)
        yield from sites.certificate_problems(site, declared)
        yield from sites.upstream_problems(site, options)
        if site.opened and site.cluster.upstream.insecure:
            message = "BackendTLSPolicy has no way to leave API servers unverified"
            yield Problem(at(*site.loc, "upstream", "verification"), "target.value", message, "give the CA that signs them")
        if not site.opened and "request" in site.cluster.timeouts.model_fields_set:
            message = "TLSRoute has no timeouts"
            yield Problem(at(*site.loc, "timeouts", "request"), "target.key", message, "leave it out")


def _route_problems(site: Site, declared: Declaration) -> Iterator[Problem]:
    """Why the API server would not take the route of a cluster, when the objects before it are applied already."""
    where, names = declared.places.at(*site.loc, "hosts"), len(site.cluster.hosts)
    bound = names * sum(site.cluster in declared.config.reached_at(one) for one in declared.config.listeners)
    if site.opened and names > _MOST_NAMES:
        message = f"it has {names} names, and an HTTPRoute has {_MOST_NAMES} at most"
        yield Problem(where, "target.value", message, "declare the rest as another cluster with the same upstream")
    elif bound > _MOST_PARENTS:
        message = f"its route is bound to {bound} listeners of the Gateway, one for each name, and {_MOST_PARENTS} are the most"
        yield Problem(where, "target.value", message, "declare the rest as another cluster with the same upstream")
