"""Gathering facts: the kubeconfig, the API server as it answers, the limits of this process. Reads; changes nothing."""

import asyncio
import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from kubegate.cluster.errors import ClusterError, Misnamed, Untrusted
from kubegate.cluster.kubeconfig import Context
from kubegate.cluster.probe import probe
from kubegate.cluster.resolve import resolve
from kubegate.model.address import Endpoint, is_address
from kubegate.model.config import ClusterConfig, Mode
from kubegate.model.facts import ServerFact, UpstreamFacts
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import check_ca
from kubegate.pki.system import system_ca_file
from kubegate.system.files import reason

_DIAL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a person says things: to accept an unverified API server, to pass TLS through, to use tokens."""

    insecure: str
    passthrough: str
    tokens: str


FLAGS = Spelling("--insecure-upstream", "--passthrough", "use tokens (--account NAMESPACE/NAME --out FILE, or your own)")
KEYS = Spelling("verification: none", "mode: passthrough", "use tokens")


def place(context: Context, key: str) -> str:
    """Where a key of the context's cluster stands, as `FILE: clusters[NAME].cluster.KEY`."""
    files = ", ".join(printable(str(file)) for file in context.files)
    return f"{files}: clusters[{printable(context.cluster_name)}].cluster.{key}"


def refusals(cluster: ClusterConfig, context: Context, spelling: Spelling) -> list[Problem]:
    """What this gate cannot do, or does only when it is spelled out, about a context."""
    problems = []
    if context.proxy_url:
        problems.append(
            Problem(
                place(context, "proxy-url"),
                "upstream.proxy-url",
                "this cluster is reached through a proxy, and the gate's data plane cannot dial through one",
                "run the gate where the API server is reached directly",
            )
        )
    if context.path_prefix:
        problems.append(
            Problem(
                place(context, "server"),
                "upstream.path",
                f"the URL {context.url} has a path ({context.path_prefix}), and clients of a gate with a path fail in many ways",
                "name the API server itself, without a path",
            )
        )
    return problems if cluster.upstream.insecure else problems + _unverified(cluster, context, spelling)


def _unverified(cluster: ClusterConfig, context: Context, spelling: Spelling) -> list[Problem]:
    # Passed through, nobody but the clients verifies the API server, and nothing can be switched off.
    otherwise = "" if cluster.mode is Mode.PASSTHROUGH else f", or spell out {spelling.insecure}"
    if context.scheme == "http":
        return [
            Problem(
                place(context, "server"),
                "upstream.http",
                f"without TLS ({context.url}) everyone on the way to the API server reads and changes tokens and answers",
                f"use https{otherwise}",
            )
        ]
    if context.insecure_skip_tls_verify:
        return [
            Problem(
                place(context, "insecure-skip-tls-verify"),
                "upstream.unverified",
                "nobody would verify the API server: whoever answers at its address receives the callers' tokens",
                f"put the cluster's CA into the kubeconfig instead{otherwise}",
            )
        ]
    return []


async def upstream_facts(cluster: ClusterConfig, context: Context, environ: Mapping[str, str] = os.environ) -> UpstreamFacts:
    """The API server as declared and as it answers at each of its addresses.

    Raises InvalidInput if its CA cannot be used or its name cannot be resolved; servers that do not answer are facts.
    """
    tls = context.scheme == "https"
    unverified = not tls or (cluster.upstream.insecure and context.insecure_skip_tls_verify)
    ca_pem, problems = (None, []) if unverified else context_ca(context, environ)
    try:
        addresses = await resolve(context.host)
    except ClusterError as error:
        problems.append(Problem(place(context, "server"), "upstream.name", error.message, error.hint))
    if problems:
        raise InvalidInput(problems)
    name = context.verified_name
    servers = await asyncio.gather(*(look_at(Endpoint(address, context.port), name, ca_pem) for address in addresses))
    return UpstreamFacts(
        context=context.name,
        where=place(context, "server"),
        url=context.url,
        tls=tls,
        name=name,
        ca_pem=ca_pem,
        servers=tuple(servers),
    )


async def look_at(at: Endpoint, name: str, ca_pem: bytes | None, misnamed: str = "") -> ServerFact:
    """One API server as it answers, verified by this CA bundle and name; without a bundle, whether anything listens there.

    `misnamed` is what to do where its certificate has other names.
    """
    try:
        if ca_pem is None:
            await _dial(at)
            return ServerFact(at.host, at.port)
        found = await probe(at.host, at.port, name, ca_pem, send_sni=not is_address(name))
    except ClusterError as error:
        mistrusted = isinstance(error, Untrusted)
        remedy = misnamed if misnamed and isinstance(error, Misnamed) else error.hint
        return ServerFact(at.host, at.port, trouble=error.message, remedy=remedy, mistrusted=mistrusted)
    except TimeoutError:
        return ServerFact(at.host, at.port, trouble=f"{at} did not answer in time")
    except OSError as error:
        return ServerFact(at.host, at.port, trouble=f"{at} cannot be reached: {reason(error)}")
    return ServerFact(at.host, at.port, found)


async def _dial(at: Endpoint) -> None:
    async with asyncio.timeout(_DIAL_SECONDS):
        _, writer = await asyncio.open_connection(at.host, at.port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def context_ca(context: Context, environ: Mapping[str, str]) -> tuple[bytes | None, list[Problem]]:
    """The CA bundle that verifies the API server: the kubeconfig's, else the system's."""
    if context.ca_pem is not None:
        return context.ca_pem, check_ca(context.ca_pem, context.ca_where)
    where, hint = place(context, "certificate-authority"), "add the cluster's CA there, or install ca-certificates"
    return system_ca(where, hint, environ)


def system_ca(where: str, hint: str, environ: Mapping[str, str]) -> tuple[bytes | None, list[Problem]]:
    """The system's CA bundle, or the problem that there is none."""
    bundle = system_ca_file(environ)
    try:
        if bundle is not None:
            return bundle.read_bytes(), []
        given = environ.get("SSL_CERT_FILE")
        missing = f"SSL_CERT_FILE={printable(given)} is no file" if given else "this machine has no bundle of public CAs"
    except OSError as error:
        missing = f"the system's bundle {bundle} cannot be read: {reason(error)}"
    return None, [Problem(where, "upstream.no-ca", f"is not set, and {missing}", hint)]


def mode_warnings(cluster: ClusterConfig, context: Context, spelling: Spelling, *, has_account: bool) -> list[Problem]:
    """What a person should know about the way this context is exposed."""
    warnings = []
    where = f"context {context.name}"
    if cluster.mode is Mode.PASSTHROUGH:
        warnings.append(
            Problem(
                where,
                "passthrough",
                "TLS is not opened here: the API server's audit log shows the gate's address instead of the caller's, "
                "and nothing above TCP is guarded",
                f"leave out {spelling.passthrough} if clients bring tokens",
            )
        )
    elif context.credential.uses_client_certificate and not has_account:
        warnings.append(
            Problem(
                where,
                "client-certificate",
                f"context {context.name} logs in by a {context.credential.describe()}, and no certificate can pass a gate "
                "that opens TLS: through this gate the API server will see no user",
                f"{spelling.tokens}, or {spelling.passthrough}: certificates pass there",
            )
        )
    if cluster.upstream.insecure and context.scheme == "http":
        warnings.append(
            Problem(
                where,
                "insecure-upstream",
                f"the way to the API server is not encrypted ({spelling.insecure}): everyone on it reads the callers' tokens",
                "use https with a CA",
            )
        )
    elif cluster.upstream.insecure and context.insecure_skip_tls_verify:
        warnings.append(
            Problem(
                where,
                "insecure-upstream",
                f"nobody verifies the API server ({spelling.insecure}): whoever answers there receives the callers' tokens",
                f"put the cluster's CA into the kubeconfig and leave out {spelling.insecure}",
            )
        )
    elif cluster.upstream.insecure:
        warnings.append(
            Problem(
                where,
                "insecure-upstream.unused",
                f"{spelling.insecure} is not needed: this API server is verified all the same",
                "leave it out",
            )
        )
    return warnings


def dead_servers(upstream: UpstreamFacts) -> list[Problem]:
    """Warnings on addresses of the API server that cannot be used, while others can."""
    return [
        Problem(
            upstream.where,
            "upstream.dead",
            f"{server.trouble}; the others carry the traffic",
            server.remedy if server.mistrusted else "the gate takes it in as soon as it proves itself",
        )
        for server in upstream.servers
        if server.trouble
    ]
