"""From a declaration and facts to a plan, or to every problem that stands in the way. Pure."""

import re
from collections import Counter
from datetime import timedelta

from kubegate.model.address import Endpoint, is_address
from kubegate.model.assignment import assign
from kubegate.model.config import ClusterConfig, Config, Demand, ListenerConfig, Mode
from kubegate.model.facts import ClusterFacts, Facts, ServerFact, UpstreamFacts
from kubegate.model.plan import Backend, Clients, Frontend, Health, Plan, Process, Route, Shown, Timeouts, Verification
from kubegate.model.problem import InvalidInput, Problem

# The one family of names that API server certificates carry and that no kubelet can ask for as its node's name.
_API_NAME = "kubernetes.default.svc"
# A health check is a TLS handshake, which costs HAProxy about this many milliseconds; all together may take this part of a core.
_CHECK_MILLISECONDS = 1.1
_CHECK_SHARE = 0.05
# HAProxy's timers are milliseconds in 31 bits (configuration manual 2.5).
_LONGEST_MILLISECONDS = (1 << 31) - 1


def plan_sole(config: Config, facts: Facts) -> Plan:
    """The plan of one cluster behind one listener, which leads everybody there whatever name they ask for.

    Raises InvalidInput if its API servers cannot be verified by CA and name.
    """
    [cluster], [listener] = config.clusters, config.listeners
    found = facts.clusters[cluster.name]
    if problems := upstream_problems(found.upstream):
        raise InvalidInput(problems)
    backend = _backend(cluster, found, backend_name(found.upstream.context), stretch=1)
    shown = tuple(Shown(cluster.name, pem) for pem in _certificate(cluster, found))
    front = Frontend(listener.name, listener.address, backend.name, shown, sole=True)
    return Plan((front,), (backend,), _process(config, facts))


def plan(config: Config, facts: Facts, running: Plan | None = None) -> Plan:
    """The plan of a declared gate. A cluster whose API servers cannot be verified at this moment has no servers in it.

    `running` is the plan whose places clusters keep, and whose free places new ones take; without it, or where these do not
    suffice, each cluster has a place named after itself.
    """
    places = assign([cluster.name for cluster in config.clusters], running, config.data_plane.spare_clusters)
    stretch = _stretch(config, facts, running)
    usual = _usual(config, stretch)
    declared = {cluster.name: cluster for cluster in config.clusters}
    backends = []
    for place in places:
        cluster = declared[place.cluster] if place.cluster else None
        if cluster is not None:
            backends.append(_backend(cluster, facts.clusters[cluster.name], place.backend, stretch))
        else:
            backends.append(place.vacant(usual))
    at = {backend.cluster: backend.name for backend in backends if backend.cluster}
    fronts = tuple(_frontend(config, listener, facts, at) for listener in config.listeners)
    process = _process(config, facts, hops=any(front.hops for front in fronts))
    return Plan(fronts, tuple(backends), process, stretch=stretch)


def _usual(config: Config, stretch: int) -> Backend:
    """What a place that waits for a cluster looks like: as most clusters do, for then the next one fits."""
    likely = [_settings(cluster, stretch) for cluster in config.clusters if cluster.mode is Mode.TERMINATE]
    [((balance, health, timeouts), _)] = Counter(likely or [_settings(ClusterConfig(), stretch)]).most_common(1)
    return Backend("", (), tls=True, verification=None, balance=balance, health=health, timeouts=timeouts)


def _settings(cluster: ClusterConfig, stretch: int) -> tuple[str, Health, Timeouts]:
    """What only a reload can change about a cluster."""
    health, timeouts = cluster.health, cluster.timeouts
    return (
        str(cluster.balance),
        Health(min(_milliseconds(health.interval) * stretch, _LONGEST_MILLISECONDS), health.rise, health.fall),
        Timeouts(_milliseconds(timeouts.connect), _milliseconds(timeouts.request), _milliseconds(timeouts.stream)),
    )


def _backend(cluster: ClusterConfig, found: ClusterFacts, name: str, stretch: int) -> Backend:
    upstream = found.upstream
    usable = not upstream.tls or upstream.ca_pem is None or verified_name(upstream) is not None
    servers = tuple(Endpoint(server.address, server.port) for server in upstream.servers) if usable else ()
    balance, health, timeouts = _settings(cluster, stretch)
    return Backend(
        name=name,
        servers=servers,
        tls=upstream.tls,
        verification=_verification(upstream) if servers else None,
        opened=cluster.mode is Mode.TERMINATE,
        cluster=cluster.name,
        balance=balance,
        health=health,
        timeouts=timeouts,
        allow=tuple(str(network) for network in cluster.allow) or None,
        max_carried=cluster.limits.connections,
        requests_per_second=cluster.limits.requests_per_second,
    )


def _frontend(config: Config, listener: ListenerConfig, facts: Facts, at: dict[str, str]) -> Frontend:
    clusters = config.reached_at(listener)
    here = frozenset(cluster.name for cluster in clusters)
    opened = [cluster for cluster in clusters if cluster.mode is Mode.TERMINATE]
    # Nobody else is reached here, and no name is declared that would have to be asked for.
    sole = len(clusters) == 1 and not (opened and clusters[0].hosts)
    default = clusters[0].name if sole else listener.default_cluster
    # The default cluster's certificate is shown to those who ask for no name.
    first = sorted(opened, key=lambda cluster: cluster.name != default)[:1]
    shown = [Shown(one.name, pem, one.hosts) for one in opened for pem in _certificate(one, facts.clusters[one.name])]
    unnamed = [Shown(one.name, pem) for one in first for pem in _certificate(one, facts.clusters[one.name])]
    if sole:
        return Frontend(
            name=listener.name,
            listen=listener.address,
            default=at[clusters[0].name],
            certificates=tuple(unnamed),
            sole=True,
            proxy_from=_senders(listener),
            clients=_clients(listener, facts),
        )
    others = [host for cluster in config.clusters if cluster.name not in here for host in cluster.hosts]
    return Frontend(
        name=listener.name,
        listen=listener.address,
        default=at[default] if default else None,
        certificates=(*unnamed, *shown),
        routes=tuple(Route(host, at[one.name], one.mode is Mode.TERMINATE) for one in clusters for host in one.hosts),
        elsewhere=tuple(host for host in others if not is_address(host)),
        proxy_from=_senders(listener),
        clients=_clients(listener, facts),
    )


def _clients(listener: ListenerConfig, facts: Facts) -> Clients | None:
    declared = listener.client_certificates
    if declared is None:
        return None
    found = facts.clients[listener.name]
    return Clients(found.ca_pem, found.revoked, required=declared.mode is Demand.REQUIRED)


def _senders(listener: ListenerConfig) -> tuple[str, ...] | None:
    return tuple(str(one) for one in listener.proxy_protocol.senders) if listener.proxy_protocol else None


def _certificate(cluster: ClusterConfig, found: ClusterFacts) -> list[bytes]:
    if cluster.mode is Mode.PASSTHROUGH:
        return []
    if found.front is None:
        raise ValueError("a gate that opens TLS needs a certificate")
    return [found.front.pem]


def _process(config: Config, facts: Facts, *, hops: bool = False) -> Process:
    declared = config.data_plane
    # With the hop a client costs two connections.
    most = facts.max_connections // 2 if hops else facts.max_connections
    return Process(
        max_connections=declared.max_connections or most,
        threads=declared.threads,
        access_log=config.access_log is not None,
        metrics=config.metrics.address if config.metrics else None,
    )


def _stretch(config: Config, facts: Facts, running: Plan | None) -> int:
    """By how much health checks are stretched: a power of two, and the running one as long as it is nearly right."""
    # Where TLS is opened, each server is checked for requests and once more for streams.
    checks = (
        len(facts.clusters[cluster.name].upstream.servers)
        * (2 if cluster.mode is Mode.TERMINATE else 1)
        / _milliseconds(cluster.health.interval)
        for cluster in config.clusters
    )
    needed = sum(checks) * _CHECK_MILLISECONDS / _CHECK_SHARE
    wanted = 1
    while wanted < needed:
        wanted *= 2
    # Another interval is a reload.
    nearly_right = running is not None and running.stretch / 2 <= wanted and needed <= running.stretch * 1.5
    return running.stretch if running is not None and nearly_right else wanted


def _milliseconds(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)


def upstream_problems(upstream: UpstreamFacts) -> list[Problem]:
    """Why this API server cannot stand behind a gate; empty if one of its addresses answered and proved what it is."""
    if all(server.trouble for server in upstream.servers):
        return [_trouble(upstream, server) for server in upstream.servers]
    if upstream.tls and upstream.ca_pem is not None and verified_name(upstream) is None:
        return [_no_usable_name(upstream)]
    return []


def _verification(upstream: UpstreamFacts) -> Verification | None:
    name = verified_name(upstream)
    if not upstream.tls or upstream.ca_pem is None or name is None:
        return None
    return Verification(upstream.ca_pem, name, send_sni=not is_address(upstream.name))


def _trouble(upstream: UpstreamFacts, server: ServerFact) -> Problem:
    remedy = server.remedy or "check the address, and that the API server runs"
    return Problem(upstream.where, "upstream.unusable", server.trouble, remedy)


def verified_name(upstream: UpstreamFacts) -> str | None:
    """The DNS name by which HAProxy verifies the API server, None if there is none that proves it.

    HAProxy 2.8 does not match IP addresses. For a server declared as an address, chain and address were verified in the handshake
    that these facts come from; a DNS name of the same certificate stands for it from then on, and only one that no node can have.
    """
    if not is_address(upstream.name):
        return upstream.name
    shown = [set(server.certificate.dns_names) for server in upstream.servers if server.certificate]
    common = set.intersection(*shown) if shown else set()
    candidates = sorted(name for name in common if name == _API_NAME or name.startswith(f"{_API_NAME}."))
    return candidates[0] if candidates else None


def _no_usable_name(upstream: UpstreamFacts) -> Problem:
    shown = sorted({name for server in upstream.servers if server.certificate for name in server.certificate.dns_names})
    carried = ", ".join(shown) if shown else "none"
    return Problem(
        upstream.where,
        "upstream.no-name",
        f"the server is an address, and its certificate has no DNS name that only an API server can have (it has: {carried})",
        f"set tls-server-name to a name of the certificate that no node has, or have {_API_NAME} put into the certificate",
    )


def backend_name(context: str) -> str:
    """A context's name in the letters that HAProxy takes for a section (configuration manual 2.1)."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", context).strip("-.") or "cluster"
