"""Every address of a cluster's API that is known from here, and what each of them shows to somebody without a credential.

The kubeconfig's server, verified, is the only one that is asked with the context's credential.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubegate.cluster import in_cluster
from kubegate.cluster.client import ApiClient
from kubegate.cluster.context import Context
from kubegate.cluster.errors import ClusterError
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.login import Login
from kubegate.cluster.peer import Leaf, inquire
from kubegate.cluster.published import by_client_range, cluster_info, service
from kubegate.cluster.resolve import resolve
from kubegate.cluster.server import Server, parse_server
from kubegate.errors import KubegateError
from kubegate.model.address import Endpoint, is_address
from kubegate.model.address_class import address_class
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.runtime.connection import logged_in
from kubegate.runtime.gate_access import GateAccess, accesses
from kubegate.runtime.gate_folders import running
from kubegate.runtime.reading import read_file
from kubegate.runtime.ways import COMMON_NAME, by_address, leads_to, proxied, through

_SECONDS = 3.0
_Authority = tuple[str, bytes | None]
_OWN, _SYSTEM, _GATE = "the kubeconfig's CA", "the system's CAs", "the gate's CA"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What an address shows. `verified_by` is the CA that proves it under the name `verified_name`, None if none does.

    `why` says then why not.
    """

    names: tuple[str, ...]
    issuer: str
    not_after: datetime
    days_left: int
    verified_name: str
    verified_by: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Address:
    """One address and its class, as RFC 1918 or public."""

    address: str
    kind: str


@dataclass(frozen=True, slots=True)
class KnownEndpoint:
    """One HOST:PORT of the API, who names it, and what comes back from there. `anonymous` is None where nobody was asked.

    `reachable` says that it accepts connections from here, `trouble` why not, or why nobody was asked.
    """

    endpoint: str
    sources: tuple[str, ...]
    addresses: tuple[Address, ...]
    reachable: bool
    trouble: str
    certificate: Certificate | None
    anonymous: int | None
    version: str | None

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        found = asdict(self)
        if self.certificate is not None:
            found["certificate"]["not_after"] = self.certificate.not_after.isoformat()
        return found


@dataclass(frozen=True, slots=True)
class KnownEndpoints:
    """All of them, and why others are not known."""

    context: Context
    endpoints: tuple[KnownEndpoint, ...]
    notes: tuple[Problem, ...]


@dataclass(slots=True)
class _Candidate:
    """How an address is looked at: by which CAs, and by which name."""

    context: Context
    authorities: tuple[_Authority, ...]
    sources: list[str] = field(default_factory=list)


class _Known:
    """The addresses so far, each once, with everybody who names it."""

    def __init__(self, context: Context) -> None:
        self._own: tuple[_Authority, ...] = ((_OWN, context.ca_pem), (_SYSTEM, None)) if context.ca_pem else ((_SYSTEM, None),)
        self.candidates: dict[Endpoint, _Candidate] = {}
        self.members: tuple[Endpoint, ...] = ()

    def add(self, source: str, target: Context, *authorities: _Authority) -> None:
        """One more; whoever named it first says how it is verified."""
        candidate = self.candidates.setdefault(target.server.endpoint, _Candidate(target, authorities or self._own))
        if source not in candidate.sources:
            candidate.sources.append(source)


def find(
    kubeconfig: Path | None, context: str | None, files: Iterable[Path] = (), environ: Mapping[str, str] = os.environ
) -> KnownEndpoints:
    """Find them and look at each. `files` declare gates; those that run here are known without. Raises InvalidInput."""
    found = load(kubeconfig, context, environ, fallback=in_cluster.possible(environ))
    if found.scheme != "https":
        where, hint = found.declared_server or found.url, "use a context whose server begins with https://"
        raise InvalidInput([Problem(where, "endpoints.http", "is reached without TLS, so that nothing about it is proven", hint)])
    notes: list[Problem] = []
    gates = [*_gates(files, environ, None), *_gates(running(environ), environ, notes)]
    return asyncio.run(_found(replace(found, proxy_url=proxied(found, environ).proxy_url), gates, notes, environ))


def _gates(files: Iterable[Path], environ: Mapping[str, str], notes: list[Problem] | None) -> Iterable[GateAccess]:
    """The clusters behind gates; of files that nobody named what is wrong is a note."""
    for file in files:
        try:
            yield from accesses(read_file(file), file, environ)
        except InvalidInput as error:
            if notes is None:
                raise
            first = error.problems[0]
            notes.append(Problem(f"the gate of {printable(str(file))}", "endpoints.unknown", first.message, first.hint))


async def _found(context: Context, gates: list[GateAccess], notes: list[Problem], environ: Mapping[str, str]) -> KnownEndpoints:
    known = _Known(context)
    known.add("kubeconfig", context)
    await _ask_cluster(context, known, notes, environ)
    servers = [context.server.endpoint, *known.members, *(Endpoint(one, context.port) for one in await _resolved(context.host))]
    for gate in dict.fromkeys(gates):
        if leads_to(gate, servers):
            known.add(f"gate {gate.cluster}", through(context, gate), (_GATE, gate.ca_pem) if gate.ca_pem else (_SYSTEM, None))
    looked = await asyncio.gather(*(_look(at, one) for at, one in known.candidates.items()))
    return KnownEndpoints(context, tuple(looked), tuple(notes))


async def _ask_cluster(context: Context, known: _Known, notes: list[Problem], environ: Mapping[str, str]) -> None:
    """Add what the cluster itself names, and note what it does not tell."""
    login, failed = await logged_in(context, environ)
    if failed is not None:
        notes.append(Problem("login", "endpoints.unknown", failed.message, failed.hint))
        login = Login()
    async with ApiClient(context, login, timeout=_SECONDS) as client:
        for what, question in (
            ("the Service kubernetes", _of_service),
            ("EndpointSlices", _of_slices),
            ("cluster-info", _of_cluster_info),
            ("serverAddressByClientCIDRs of /api", _of_ranges),
        ):
            try:
                await question(context, known, client)
            except InvalidInput:
                notes.append(Problem(what, "endpoints.unknown", "names something that is no HOST:PORT"))
            except ClusterError as error:
                notes.append(Problem(what, "endpoints.unknown", error.message, error.hint))


async def _of_service(context: Context, known: _Known, client: ApiClient) -> None:
    inside = (await service(client)).addresses
    for at in inside:
        known.add("Service kubernetes", by_address(context, at))
    for name in (COMMON_NAME, f"{COMMON_NAME}.cluster.local") if inside else ():
        known.add("Service kubernetes, its name in pods", _by_name(context, Endpoint(name, inside[0].port)))


async def _of_slices(context: Context, known: _Known, client: ApiClient) -> None:
    known.members = await client.api_servers()
    for at in known.members:
        known.add("EndpointSlices", by_address(context, at))


async def _of_cluster_info(context: Context, known: _Known, client: ApiClient) -> None:
    if url := await cluster_info(client):
        known.add("cluster-info", _by_name(context, parse_server(url, "cluster-info").endpoint))


async def _of_ranges(context: Context, known: _Known, client: ApiClient) -> None:
    for span, text in await by_client_range(client):
        known.add(f"GET /api, for clients in {span}", _by_name(context, parse_server(f"https://{text}", "/api").endpoint))


def _by_name(context: Context, at: Endpoint) -> Context:
    """The same cluster at another name or address, verified by that name."""
    if is_address(at.host):
        return by_address(context, at)
    return replace(context, server=Server("https", at), tls_server_name=None, proxy_url=None)


async def _resolved(host: str) -> tuple[str, ...]:
    try:
        return await resolve(host, _SECONDS)
    except ClusterError:
        return ()


async def _look(at: Endpoint, candidate: _Candidate) -> KnownEndpoint:
    """Everything about one address that can be found out without a credential."""
    context = candidate.context
    blank = KnownEndpoint(str(at), tuple(candidate.sources), (), False, "", None, None, None)
    if context.proxy_url is not None:
        return await _asked(
            replace(blank, reachable=True, trouble="reached by a proxy: its certificate is not looked at"), candidate
        )
    try:
        addresses = await resolve(at.host, _SECONDS)
    except ClusterError as error:
        return replace(blank, trouble=error.message)
    blank = replace(blank, addresses=tuple(Address(one, address_class(one)) for one in addresses))
    if trouble := await _unreachable(at, addresses):
        return replace(blank, trouble=trouble)
    name = context.verified_name
    leaf = await inquire(at.host, at.port, None if is_address(name) else name)
    if leaf is None:
        return replace(
            blank, reachable=True, trouble="shows no certificate: it speaks no TLS, or asks for more than a client can give"
        )
    return await _asked(replace(blank, reachable=True, certificate=_certificate(leaf, name, None, "")), candidate)


async def _unreachable(at: Endpoint, addresses: tuple[str, ...]) -> str:
    """Why none of its addresses accepts a connection from here, empty if one does."""
    why = ""
    for address in addresses:
        try:
            async with asyncio.timeout(_SECONDS):
                _, writer = await asyncio.open_connection(address, at.port)
        except TimeoutError:
            why = why or "does not answer from here"
        except ConnectionRefusedError:
            why = why or "nothing listens there"
        except OSError as error:
            why = why or f"cannot be reached: {(error.strerror or 'error').lower()}"
        else:
            writer.close()
            return ""
    return why


async def _asked(found: KnownEndpoint, candidate: _Candidate) -> KnownEndpoint:
    """The same with what a verified answer to nobody in particular says; the first CA that proves the server counts."""
    why = ""
    for authority, pem in candidate.authorities:
        target = replace(candidate.context, ca_pem=pem)
        try:
            async with ApiClient(target, timeout=_SECONDS) as client:
                status, version = await client.version()
        except KubegateError as error:
            why = why or error.message
            continue
        certificate = replace(found.certificate, verified_by=authority) if found.certificate else None
        return replace(found, certificate=certificate, anonymous=status, version=version)
    certificate = replace(found.certificate, why=why) if found.certificate else None
    return replace(found, certificate=certificate, trouble=f"not asked: {why}")


def _certificate(leaf: Leaf, name: str, verified_by: str | None, why: str) -> Certificate:
    days = (leaf.not_after - datetime.now(UTC)).days
    return Certificate(leaf.names, leaf.issuer, leaf.not_after, days, name, verified_by, why)
