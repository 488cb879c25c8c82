"""What is wrong with one declared cluster: values that do not go together. Pure."""

from collections.abc import Iterator

from kubegate.model.address import is_address
from kubegate.model.config import ClusterConfig, Mode, UpstreamConfig
from kubegate.model.places import Flaw, Loc


def cluster_flaws(cluster: ClusterConfig, loc: Loc) -> Iterator[Flaw]:
    """The flaws of a cluster that stands at `loc`."""
    if cluster.mode is Mode.PASSTHROUGH:
        yield from _passthrough(cluster, loc)
    upstream: Loc = (*loc, "upstream")
    yield from _sources(cluster.upstream, upstream)
    yield from _listed(cluster.upstream, upstream)
    if cluster.upstream.insecure:
        yield from _unverified(cluster.upstream, upstream)


def _passthrough(cluster: ClusterConfig, loc: Loc) -> Iterator[Flaw]:
    """What has no meaning where TLS is not opened."""
    found = [
        (
            cluster.certificate is not None,
            ("certificate",),
            "is never shown: TLS is not opened (mode: passthrough), so clients see that of the API server",
        ),
        (
            cluster.upstream.insecure,
            ("upstream", "verification"),
            "switches nothing off: TLS is not opened (mode: passthrough), so it is the clients who verify the API server",
        ),
        (
            cluster.limits.requests_per_second is not None,
            ("limits", "requestsPerSecond"),
            "limits nothing: TLS is not opened (mode: passthrough), so no request is seen",
        ),
    ]
    for applies, keys, message in found:
        if applies:
            at: Loc = (*loc, *keys)
            yield Flaw(at, "passthrough", message, "leave it out, or mode: passthrough", rests_on=(at, (*loc, "mode")))


def _sources(upstream: UpstreamConfig, loc: Loc) -> Iterator[Flaw]:
    """API servers come from a kubeconfig (`context` and `discover` imply one) or from a list, and from one of the two."""
    implied = {
        "kubeconfig": upstream.kubeconfig is not None,
        "context": upstream.context is not None,
        "discover": upstream.discover,
    }
    from_kubeconfig = [key for key, given in implied.items() if given]
    if upstream.servers:
        for key in from_kubeconfig:
            yield _clash((*loc, key), (*loc, "servers"), "means the API server of a kubeconfig, and servers lists others")
    elif not from_kubeconfig:
        hint = "write kubeconfig: FILE, or servers: [HOST:PORT] with their ca"
        sources = [*implied, "servers"]
        yield Flaw(loc, "upstream", "says of no API server where it is", hint, rests_on=tuple((*loc, one) for one in sources))
    else:
        own = {"ca": upstream.ca is not None, "serverName": upstream.server_name is not None}
        for key in [key for key, given in own.items() if given]:
            name = {"ca": "certificate-authority", "serverName": "tls-server-name"}[key]
            yield Flaw(
                (*loc, key),
                "upstream",
                f"is for servers that are listed; the kubeconfig says it by its own {name}",
                f"leave it out, and set {name} in the kubeconfig if it is missing there",
                rests_on=((*loc, key), (*loc, "servers"), *((*loc, source) for source in from_kubeconfig)),
            )


def _clash(one: Loc, other: Loc, message: str) -> Flaw:
    return Flaw(one, "upstream", message, "keep one of the two", other=other, rests_on=(one, other))


def _listed(upstream: UpstreamConfig, loc: Loc) -> Iterator[Flaw]:
    """Listed servers that stand there twice, or have no name in common by which they could be verified."""
    servers: Loc = (*loc, "servers")
    for position, server in enumerate(upstream.servers):
        first = upstream.servers.index(server)
        if first != position:
            yield Flaw((*servers, position), "duplicate", f"is {server} a second time", "leave one out", other=(*servers, first))
    hosts = {server.host for server in upstream.servers}
    names = sorted(host for host in hosts if not is_address(host))
    mixed = bool(names) and len(names) < len(hosts)
    if upstream.server_name is not None or upstream.insecure or (len(names) < 2 and not mixed):
        return
    those = f"are {names[0]} and addresses" if mixed else f"have different names ({', '.join(names[:3])})"
    yield Flaw(
        servers,
        "upstream",
        f"{those}, and one name must be in the certificates of all of them",
        "write it as serverName; kubernetes.default.svc is in the certificates of most clusters",
        rests_on=(servers, (*loc, "serverName"), (*loc, "verification")),
    )


def _unverified(upstream: UpstreamConfig, loc: Loc) -> Iterator[Flaw]:
    verification: Loc = (*loc, "verification")
    given = {"ca": upstream.ca is not None, "serverName": upstream.server_name is not None}
    for key in [key for key, is_given in given.items() if is_given]:
        at: Loc = (*loc, key)
        message = "verifies nothing beside verification: none"
        yield Flaw(at, "upstream", message, "leave out verification: none", other=verification, rests_on=(at, verification))
    if upstream.discover:
        at = (*loc, "discover")
        message = "would send the kubeconfig's own credential to whoever answers, as verification is none"
        yield Flaw(at, "upstream", message, "leave out one of the two", other=verification, rests_on=(at, verification))
