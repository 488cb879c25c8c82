"""Gathering facts: the kubeconfig, the API server as it answers, the limits of this process. Reads; changes nothing."""

import asyncio
import resource

from kubegate.cluster.errors import ClusterError
from kubegate.cluster.kubeconfig import Context
from kubegate.cluster.probe import probe
from kubegate.cluster.resolve import resolve
from kubegate.model.address import is_address
from kubegate.model.config import ClusterConfig, Mode
from kubegate.model.facts import ServerFact, UpstreamFacts
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import check_ca
from kubegate.pki.system import system_ca_file

_DIAL_SECONDS = 5.0
# HAProxy needs two descriptors for a connection and some for itself.
_SPARE_DESCRIPTORS = 200
_MOST_CONNECTIONS = 20_000


def refusals(cluster: ClusterConfig, context: Context) -> list[Problem]:
    """What this gate cannot do, or does only when it is spelled out, about a context."""
    where = f"context {context.name}"
    problems = []
    if context.proxy_url:
        problems.append(
            Problem(
                f"{where}: proxy-url",
                "upstream.proxy-url",
                "this cluster is reached through a proxy, and the gate's data plane cannot dial through one",
                "run the gate where the API server is reached directly",
            )
        )
    if context.path_prefix:
        problems.append(
            Problem(
                f"{where}: server {context.url}",
                "upstream.path",
                f"the server URL has a path ({context.path_prefix}), and clients of a gate with a path fail in many ways",
                "name the API server itself, without a path",
            )
        )
    if cluster.upstream.insecure:
        return problems
    if context.scheme == "http":
        problems.append(
            Problem(
                f"{where}: server {context.url}",
                "upstream.http",
                "the API server would be spoken to without TLS: everyone on the way reads and changes tokens and answers",
                "use https, or spell out --insecure-upstream",
            )
        )
    elif context.insecure_skip_tls_verify:
        problems.append(
            Problem(
                f"{where}: insecure-skip-tls-verify",
                "upstream.unverified",
                "nobody would verify the API server: whoever answers at its address receives the callers' tokens",
                "put the cluster's CA into the kubeconfig instead, or spell out --insecure-upstream",
            )
        )
    return problems


async def upstream_facts(cluster: ClusterConfig, context: Context) -> UpstreamFacts:
    """The API server as declared and as it answers at each of its addresses.

    Raises InvalidInput if its CA cannot be used or its name cannot be resolved; servers that do not answer are facts.
    """
    tls = context.scheme == "https"
    unverified = cluster.upstream.insecure and (not tls or context.insecure_skip_tls_verify)
    ca_pem = None if unverified or not tls else _ca(context)
    name = context.tls_server_name or context.host
    try:
        addresses = (context.host,) if is_address(context.host) else await resolve(context.host)
    except ClusterError as error:
        raise InvalidInput(
            [Problem(f"context {context.name}: server {context.url}", "upstream.name", error.message, error.hint)]
        ) from None
    servers = await asyncio.gather(*(_server(address, context.port, name, ca_pem) for address in addresses))
    return UpstreamFacts(
        context=context.name,
        url=context.url,
        tls=tls,
        name=name,
        name_is_tls_server_name=context.tls_server_name is not None,
        ca_pem=ca_pem,
        servers=tuple(servers),
    )


async def _server(address: str, port: int, name: str, ca_pem: bytes | None) -> ServerFact:
    try:
        if ca_pem is None:
            await _dial(address, port)
            return ServerFact(address, port)
        return ServerFact(address, port, await probe(address, port, name, ca_pem, send_sni=not is_address(name)))
    except ClusterError as error:
        return ServerFact(address, port, trouble=error.message)
    except OSError as error:
        return ServerFact(address, port, trouble=f"{address} port {port}: {error.strerror or 'no answer in time'}")


async def _dial(address: str, port: int) -> None:
    async with asyncio.timeout(_DIAL_SECONDS):
        _, writer = await asyncio.open_connection(address, port)
    writer.close()


def _ca(context: Context) -> bytes:
    if context.ca_pem is not None:
        if problems := check_ca(context.ca_pem, context.ca_where):
            raise InvalidInput(problems)
        return context.ca_pem
    bundle = system_ca_file()
    if bundle is None:
        raise InvalidInput(
            [
                Problem(
                    f"context {context.name}: cluster {context.cluster_name}",
                    "upstream.no-ca",
                    "the kubeconfig names no CA, and this machine has no bundle of public CAs",
                    "add certificate-authority to the cluster, or install ca-certificates",
                )
            ]
        )
    return bundle.read_bytes()


def most_connections() -> int:
    """How many connections HAProxy may carry under this process's limit on open files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _MOST_CONNECTIONS if hard == resource.RLIM_INFINITY else (hard - _SPARE_DESCRIPTORS) // 2
    return max(50, min(_MOST_CONNECTIONS, allowed))


def mode_warnings(cluster: ClusterConfig, context: Context, *, has_account: bool) -> list[Problem]:
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
                "leave out --passthrough if clients bring tokens",
            )
        )
    elif context.credential.uses_client_certificate and not has_account:
        warnings.append(
            Problem(
                where,
                "client-certificate",
                f"this context logs in by a client certificate ({context.credential.describe()}), which cannot pass a gate "
                "that opens TLS: through this gate the API server will see no user",
                "use tokens (--account NAMESPACE/NAME --out FILE, or your own), or --passthrough: certificates pass there",
            )
        )
    if cluster.upstream.insecure and context.scheme == "http":
        warnings.append(
            Problem(
                where,
                "insecure-upstream",
                "the way to the API server is not encrypted (--insecure-upstream): everyone on it reads the callers' tokens",
                "use https with a CA",
            )
        )
    elif cluster.upstream.insecure and context.insecure_skip_tls_verify:
        warnings.append(
            Problem(
                where,
                "insecure-upstream",
                "nobody verifies the API server (--insecure-upstream): whoever answers there receives the callers' tokens",
                "put the cluster's CA into the kubeconfig and leave out --insecure-upstream",
            )
        )
    elif cluster.upstream.insecure:
        warnings.append(
            Problem(
                where,
                "insecure-upstream.unused",
                "--insecure-upstream is not needed: this API server is verified all the same",
                "leave it out",
            )
        )
    return warnings
