"""Where the API server of a context is, and how HAProxy verifies it: looked at with what is quick to load, for somebody waits."""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from kubegate.cluster.context import Context
from kubegate.cluster.tls import verifying_context
from kubegate.errors import KubegateError
from kubegate.model.address import Endpoint, is_address
from kubegate.model.names import printable
from kubegate.model.plan import Verification
from kubegate.pki.system import system_ca_file
from kubegate.system.files import reason

_DIAL_SECONDS = 5.0
# The one family of names that API server certificates carry and that no kubelet can ask for as its node's name (design 0001).
_API_NAME = "kubernetes.default.svc"


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out about an API server: addresses at which it may be dialled, and how it is verified there."""

    servers: tuple[Endpoint, ...] = ()
    verification: Verification | None = None
    trouble: str = ""
    hint: str = ""


async def look(context: Context, relay: str, environ: Mapping[str, str]) -> Found:
    """What can be found out now; `relay` is the unix socket by which it is dialled, empty where it is dialled directly."""
    ca_pem: bytes | None = None
    if context.scheme == "https" and not context.insecure_skip_tls_verify:
        ca_pem = context.ca_pem
        if ca_pem is None:
            bundle = system_ca_file(environ)
            try:
                ca_pem = bundle.read_bytes() if bundle else None
            except OSError as error:
                return Found(trouble=f"the system's CAs ({bundle}) cannot be read: {reason(error)}")
            if ca_pem is None:
                return Found(trouble="the kubeconfig gives no CA, and this machine has no bundle of public ones")
    try:
        servers = (Endpoint(context.host, context.port),) if relay else await _addresses(context)
    except KubegateError as error:
        return Found(trouble=error.message, hint=error.hint)
    if ca_pem is None:
        return Found(await _answering(servers, relay))
    if not is_address(context.verified_name):
        return Found(await _answering(servers, relay), Verification(ca_pem, context.verified_name, send_sni=True))
    return await _proven(context, servers, ca_pem, relay)


async def _addresses(context: Context) -> tuple[Endpoint, ...]:
    if is_address(context.host):
        return (Endpoint(context.host, context.port),)
    from kubegate.cluster.resolve import resolve

    return tuple(Endpoint(one, context.port) for one in await resolve(context.host))


async def _answering(servers: tuple[Endpoint, ...], relay: str) -> tuple[Endpoint, ...]:
    """Of several addresses those where somebody listens: HAProxy would try the others with every second request."""
    if len(servers) == 1 or relay:
        return servers
    answered = await asyncio.gather(*(_answers(at) for at in servers))
    return tuple(at for at, yes in zip(servers, answered, strict=True) if yes) or servers


async def _answers(at: Endpoint) -> bool:
    try:
        async with asyncio.timeout(_DIAL_SECONDS):
            _, writer = await asyncio.open_connection(at.host, at.port)
    except (OSError, TimeoutError):
        return False
    await _close(writer)
    return True


async def _proven(context: Context, servers: tuple[Endpoint, ...], ca_pem: bytes, relay: str) -> Found:
    """A server that is declared as an address: which name of its certificate stands for that (design 0001)."""
    try:
        found = await _names(context, servers[0], ca_pem, relay)
    except (OSError, TimeoutError, KubegateError) as error:
        return await _explained(context, servers[0], ca_pem, relay, error)
    names = sorted(name for name in found if name == _API_NAME or name.startswith(f"{_API_NAME}."))
    if not names:
        return Found(
            trouble=f"the certificate of {context.url} has no name {_API_NAME}, and HAProxy verifies names only, no addresses",
            hint="set tls-server-name to a DNS name of it: kubectl config set-cluster CLUSTER --tls-server-name=NAME",
        )
    return Found(servers, Verification(ca_pem, names[0], send_sni=False))


async def _names(context: Context, at: Endpoint, ca_pem: bytes, relay: str) -> list[str]:
    """The DNS names of a certificate that was verified by CA and address. Raises OSError, TimeoutError or Untrusted."""
    trust = verifying_context(ca_pem, intermediates_suffice=False)
    async with asyncio.timeout(_DIAL_SECONDS):
        if relay:
            _, writer = await asyncio.open_unix_connection(relay, ssl=trust, server_hostname=context.verified_name)
        else:
            _, writer = await asyncio.open_connection(at.host, at.port, ssl=trust, server_hostname=context.verified_name)
    shown = writer.get_extra_info("peercert") or {}
    await _close(writer)
    return [str(name) for kind, name in shown.get("subjectAltName", ()) if kind == "DNS"]


async def doubt(context: Context, found: Found, relay: str) -> str:
    """Why requests would not reach the API server, empty if they will: tried once, by the name that HAProxy verifies."""
    by = found.verification
    try:
        async with asyncio.timeout(_DIAL_SECONDS):
            trust = verifying_context(by.ca_pem, intermediates_suffice=False) if by else None
            name = by.name if by else None
            at = found.servers[0]
            if relay:
                _, writer = await asyncio.open_unix_connection(relay, ssl=trust, server_hostname=name)
            else:
                _, writer = await asyncio.open_connection(at.host, at.port, ssl=trust, server_hostname=name)
        await _close(writer)
    except (OSError, TimeoutError, KubegateError) as error:
        explained = await _explained(context, found.servers[0], by.ca_pem if by else b"", relay, error)
        return f"{explained.trouble}{f' ({explained.hint})' if explained.hint else ''}"
    return ""


async def _explained(context: Context, at: Endpoint, ca_pem: bytes, relay: str, error: Exception) -> Found:
    if not relay and isinstance(error, ssl.SSLError):
        # Nobody waits any more, and it has the better words.
        from kubegate.runtime.gather import look_at

        fact = await look_at(at, context.verified_name, ca_pem)
        return Found(trouble=fact.trouble, hint=fact.remedy)
    if isinstance(error, TimeoutError):
        return Found(trouble=f"{at} did not answer in time")
    why = error.message if isinstance(error, KubegateError) else reason(error) if isinstance(error, OSError) else str(error)
    return Found(trouble=f"{at} cannot be reached: {printable(why)}")


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
