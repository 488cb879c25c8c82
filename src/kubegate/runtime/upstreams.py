"""The API servers of one declared cluster: its files read, its names resolved, its members discovered, each looked at.

What is wrong with a file is a problem that refuses a configuration. A server that does not answer is a fact: it may come back.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kubegate.cluster.client import ApiClient
from kubegate.cluster.context import Context
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.login import log_in
from kubegate.cluster.resolve import resolve
from kubegate.errors import KubegateError
from kubegate.model.address import Endpoint, is_address
from kubegate.model.config import ClusterConfig
from kubegate.model.facts import ServerFact, UpstreamFacts
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import check_ca
from kubegate.runtime import gather
from kubegate.runtime.findings import Findings
from kubegate.system.files import reason

_MOST_CA_BYTES = 1 << 22
_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Declared:
    """What files say about a cluster's API servers. `servers` are names or addresses; `name` is what all of them are verified as.

    `context` is the kubeconfig's, None for listed servers. `name` is empty where each is verified by its own address.
    """

    where: str
    tls: bool
    name: str
    ca_pem: bytes | None = field(repr=False)
    servers: tuple[Endpoint, ...]
    context: Context | None


@dataclass(frozen=True, slots=True)
class Members:
    """The addresses of a cluster's API servers, and what went wrong when they were asked for: then they are the last known."""

    addresses: tuple[Endpoint, ...]
    trouble: Problem | None = None


def read(cluster: ClusterConfig, where: str, environ: Mapping[str, str] = os.environ) -> Declared:
    """Read the kubeconfig, or the CA file, of a cluster. `where` is the place of its `upstream`. Raises InvalidInput."""
    return _listed(cluster, where, environ) if cluster.upstream.servers else _from_kubeconfig(cluster, where, environ)


def _listed(cluster: ClusterConfig, where: str, environ: Mapping[str, str]) -> Declared:
    upstream = cluster.upstream
    ca_pem: bytes | None = None
    problems: list[Problem] = []
    if not upstream.insecure and upstream.ca is not None:
        ca_where = f"{where}.ca"
        try:
            with upstream.ca.open("rb") as file:
                ca_pem = file.read(_MOST_CA_BYTES)
        except OSError as error:
            message = f"the CA file {printable(str(upstream.ca))} cannot be read: {reason(error)}"
            problems.append(Problem(ca_where, "file.unreadable", message))
        else:
            problems = check_ca(ca_pem, f"{ca_where}: {printable(str(upstream.ca))}")
    elif not upstream.insecure:
        ca_pem, problems = gather.system_ca(f"{where}.ca", "name the cluster's CA bundle there", environ)
    if problems:
        raise InvalidInput(problems)
    names = {server.host for server in upstream.servers if not is_address(server.host)}
    name = upstream.server_name or (names.pop() if len(names) == 1 else "")
    return Declared(where, True, name, ca_pem, upstream.servers, None)


def _from_kubeconfig(cluster: ClusterConfig, where: str, environ: Mapping[str, str]) -> Declared:
    context = _context(cluster, f"{where}.kubeconfig", environ)
    if problems := gather.refusals(cluster, context):
        raise InvalidInput(problems)
    tls = context.scheme == "https"
    unverified = not tls or (cluster.upstream.insecure and context.insecure_skip_tls_verify)
    ca_pem, problems = (None, []) if unverified else gather.context_ca(context, environ)
    if problems:
        raise InvalidInput(problems)
    name = context.verified_name
    server = context.server.endpoint
    each = cluster.upstream.discover and is_address(name)
    return Declared(gather.place(context, "server"), tls, "" if each else name, ca_pem, (server,), context)


def _context(cluster: ClusterConfig, where: str, environ: Mapping[str, str]) -> Context:
    findings = Findings([])
    found: Context | None = None
    with findings.also(where, "kubeconfig"):
        found = load(cluster.upstream.kubeconfig, cluster.upstream.context, environ)
    findings.raise_if_any()
    assert found is not None
    return found


async def members(cluster: ClusterConfig, declared: Declared, known: Members | None, environ: Mapping[str, str]) -> Members:
    """The addresses now; where they cannot be found out, the last known ones. Raises InvalidInput if there are none."""
    try:
        found = await _discovered(declared, environ) if cluster.upstream.discover else await _resolved(declared.servers)
    except KubegateError as error:
        trouble = Problem(declared.where, "upstream.members", error.message, error.hint)
        if known is None or not known.addresses:
            raise InvalidInput([trouble]) from None
        return Members(known.addresses, trouble)
    if not found:
        trouble = Problem(
            declared.where, "upstream.members", "the cluster names no API server as ready", "look at its Service kubernetes"
        )
        return Members(known.addresses if known else declared.servers, trouble)
    return Members(found)


async def _resolved(servers: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    found = await asyncio.gather(*(resolve(server.host) for server in servers))
    return tuple(
        dict.fromkeys(Endpoint(one, server.port) for server, addresses in zip(servers, found, strict=True) for one in addresses)
    )


async def _discovered(declared: Declared, environ: Mapping[str, str]) -> tuple[Endpoint, ...]:
    context = declared.context
    assert context is not None, "only a kubeconfig's cluster is asked for its members"
    login = await log_in(context, environ)
    async with ApiClient(context, login, ca_pem=declared.ca_pem, timeout=5.0) as client:
        return await client.api_servers()


async def look(
    cluster: ClusterConfig, declared: Declared, members: Members, *, at_all: bool, limit: asyncio.Semaphore
) -> UpstreamFacts:
    """The facts of a cluster. Each server is looked at if `at_all`, or if only a look tells by which name it is verified."""
    name = declared.name or members.addresses[0].host
    needed = at_all or (declared.tls and declared.ca_pem is not None and is_address(name))
    servers: Sequence[ServerFact] = [ServerFact(at.host, at.port) for at in members.addresses]
    if needed:
        servers = await asyncio.gather(*(_look(at, declared, limit) for at in members.addresses))
    return UpstreamFacts(
        context=cluster.name,
        where=declared.where,
        url=declared.context.url if declared.context else f"https://{declared.servers[0]}",
        tls=declared.tls,
        name=name,
        ca_pem=declared.ca_pem,
        servers=tuple(servers),
    )


async def _look(at: Endpoint, declared: Declared, limit: asyncio.Semaphore) -> ServerFact:
    async with limit:
        return await gather.look_at(at, declared.name or at.host, declared.ca_pem)


def at_once() -> asyncio.Semaphore:
    """How many servers are looked at at one time: a handshake is work."""
    return asyncio.Semaphore(_AT_ONCE)
