"""The API servers of one declared cluster: its files read, its names resolved, its members discovered, each looked at.

What is wrong with a file is a problem that refuses a configuration. A server that does not answer is a fact: it may come back.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kubegate.cluster import in_cluster
from kubegate.cluster.authority import certificates_only
from kubegate.cluster.context import Context
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.resolve import resolve
from kubegate.errors import KubegateError
from kubegate.model.address import Endpoint, is_address
from kubegate.model.config import ClusterConfig
from kubegate.model.facts import ServerFact, UpstreamFacts
from kubegate.model.names import printable
from kubegate.model.planner import verified_name
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import check_ca
from kubegate.runtime import gather
from kubegate.runtime.discovery import Discovery
from kubegate.runtime.findings import Findings
from kubegate.system.files import reason

_MOST_CA_BYTES = 1 << 22
_AT_ONCE = 20
# kubeadm and most others put it into every API server's certificate.
_COMMON_NAME = "kubernetes.default.svc"


@dataclass(frozen=True, slots=True)
class Declared:
    """What files say about a cluster's API servers. `servers` are names or addresses; `name` is what all of them are verified as.

    `context` is the kubeconfig's, None for listed servers. `name` is empty where each is verified by its own address.
    """

    where: str = field(compare=False)
    tls: bool
    name: str
    ca_pem: bytes | None = field(repr=False)
    servers: tuple[Endpoint, ...]
    context: Context | None


@dataclass(frozen=True, slots=True)
class Members:
    """The addresses of a cluster's API servers, and what went wrong when they were asked for: then they are the last known.

    `name` is the DNS name by which they were last proven, empty where none was yet.
    """

    addresses: tuple[Endpoint, ...]
    trouble: Problem | None = None
    name: str = ""


def read(cluster: ClusterConfig, at: Callable[..., str], environ: Mapping[str, str] = os.environ) -> Declared:
    """Read the kubeconfig, or the CA file, of a cluster. `at` gives the place of its `upstream`, and of keys below it.

    Raises InvalidInput.
    """
    return _listed(cluster, at, environ) if cluster.upstream.servers else _from_kubeconfig(cluster, at(), environ)


def _listed(cluster: ClusterConfig, at: Callable[..., str], environ: Mapping[str, str]) -> Declared:
    upstream = cluster.upstream
    ca_pem: bytes | None = None
    problems: list[Problem] = []
    if not upstream.insecure and upstream.ca is not None:
        ca_where = at("ca")
        try:
            with upstream.ca.open("rb") as file:
                ca_pem = file.read(_MOST_CA_BYTES)
        except OSError as error:
            message = f"the CA file {printable(str(upstream.ca))} cannot be read: {reason(error)}"
            problems.append(Problem(ca_where, "file.unreadable", message))
        else:
            problems = check_ca(ca_pem, printable(str(upstream.ca)))
            # It goes where others may read it.
            ca_pem = None if problems else certificates_only(ca_pem, printable(str(upstream.ca)))
    elif not upstream.insecure:
        ca_pem, problems = gather.system_ca(at("ca"), "name the cluster's CA bundle there", environ)
    if problems:
        raise InvalidInput(problems)
    names = {server.host for server in upstream.servers if not is_address(server.host)}
    name = upstream.server_name or (names.pop() if len(names) == 1 else "")
    return Declared(at("servers"), True, name, ca_pem, upstream.servers, None)


def _from_kubeconfig(cluster: ClusterConfig, where: str, environ: Mapping[str, str]) -> Declared:
    context = _context(cluster, where, environ)
    if problems := gather.refusals(cluster, context, gather.KEYS):
        raise InvalidInput(problems)
    tls = context.scheme == "https"
    unverified = not tls or (cluster.upstream.insecure and context.insecure_skip_tls_verify)
    ca_pem, problems = (None, []) if unverified else gather.context_ca(context, environ)
    if problems:
        raise InvalidInput(problems)
    name = context.verified_name
    server = context.server.endpoint
    # By which name the members are verified, its certificate has to say.
    each = cluster.upstream.discover and is_address(name)
    return Declared(gather.place(context, "server"), tls, "" if each else name, ca_pem, (server,), context)


def _context(cluster: ClusterConfig, where: str, environ: Mapping[str, str]) -> Context:
    findings = Findings([])
    found: Context | None = None
    with findings.also(where, "kubeconfig"):
        # As for kubectl: in a pod without a kubeconfig, the API server of its own cluster, as its service account.
        own = cluster.upstream.kubeconfig is None and cluster.upstream.context is None and in_cluster.possible(environ)
        found = load(cluster.upstream.kubeconfig, cluster.upstream.context, environ, fallback=own)
    findings.raise_if_any()
    assert found is not None
    return found


async def members(declared: Declared, discovery: Discovery | None, known: Members | None) -> Members:
    """The addresses at this moment; where they cannot be found out, the last known ones.

    Raises InvalidInput if there are none. A cluster that cannot be asked for its members has at least the one that is declared.
    """
    name = known.name if known else ""
    try:
        if discovery is None:
            return Members(await _resolved(declared.servers), name=name)
        found = await discovery.ask(known.addresses if known else (), declared.name or name)
    except KubegateError as error:
        trouble = Problem(declared.where, "upstream.members", error.message, error.hint)
    else:
        if found:
            return Members(found, name=name)
        trouble = Problem(
            declared.where, "upstream.members", "the cluster names no API server as ready", "look at its Service kubernetes"
        )
    if known is not None and known.addresses:
        return Members(known.addresses, trouble, name)
    if discovery is None:
        raise InvalidInput([trouble])
    return await _declared_alone(declared, trouble)


async def _declared_alone(declared: Declared, trouble: Problem) -> Members:
    try:
        return Members(await _resolved(declared.servers), trouble)
    except KubegateError:
        raise InvalidInput([trouble]) from None


async def _resolved(servers: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    found = await asyncio.gather(*(resolve(server.host) for server in servers))
    return tuple(
        dict.fromkeys(Endpoint(one, server.port) for server, addresses in zip(servers, found, strict=True) for one in addresses)
    )


async def look(
    cluster: ClusterConfig, declared: Declared, members: Members, *, at_all: bool, limit: asyncio.Semaphore
) -> UpstreamFacts:
    """The facts of a cluster. Each server is looked at if `at_all`, or if only a look tells by which name it is verified."""
    name = declared.name or members.addresses[0].host
    needed = at_all or (declared.tls and declared.ca_pem is not None and is_address(name))
    servers: Sequence[ServerFact] = [ServerFact(at.host, at.port) for at in members.addresses]
    if needed:
        by = declared.name or (await _common_name(cluster, declared, members, limit) if cluster.upstream.discover else "")
        servers = await asyncio.gather(*(_look(at, by, declared, limit) for at in members.addresses))
    return _facts(cluster, declared, name, servers)


async def _common_name(cluster: ClusterConfig, declared: Declared, members: Members, limit: asyncio.Semaphore) -> str:
    """The name that tells API servers from others, where the kubeconfig has none: that of its server's own certificate.

    An address would not do for the members, for a node proves its own address by a certificate of the same CA.
    """
    if members.name:
        return members.name
    at = declared.servers[0]
    fact = await _look(at, "", declared, limit)
    return verified_name(_facts(cluster, declared, at.host, [fact])) or ""


def _facts(cluster: ClusterConfig, declared: Declared, name: str, servers: Sequence[ServerFact]) -> UpstreamFacts:
    return UpstreamFacts(
        context=cluster.name,
        where=declared.where,
        url=declared.context.url if declared.context else f"https://{declared.servers[0]}",
        tls=declared.tls,
        name=name,
        ca_pem=declared.ca_pem,
        servers=tuple(servers),
    )


async def _look(at: Endpoint, name: str, declared: Declared, limit: asyncio.Semaphore) -> ServerFact:
    """One server, verified by a name, or, where it is empty, by its own address."""
    key = "serverName" if declared.context is None else "tls-server-name of the kubeconfig's cluster"
    common = f"set {key} to a name that the certificates of all its API servers have, such as {_COMMON_NAME}"
    renew = f"is it an API server of this cluster? then its certificate needs the name {name}, as those of the others have it"
    misnamed = renew if name and not declared.name else common
    async with limit:
        return await gather.look_at(at, name or at.host, declared.ca_pem, misnamed)


def at_once() -> asyncio.Semaphore:
    """How many servers are looked at at one time: a handshake is work."""
    return asyncio.Semaphore(_AT_ONCE)
