"""Where the API server of a context is, and how HAProxy verifies it: looked at with what is quick to load, for somebody waits."""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace

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
    """What was found out about an API server: addresses at which it may be dialled, and how it is verified there.

    `by_python` says that HAProxy cannot verify it, while Python can.
    """

    servers: tuple[Endpoint, ...] = ()
    verification: Verification | None = None
    trouble: str = ""
    hint: str = ""
    by_python: bool = False


async def look(context: Context, relay: str, environ: Mapping[str, str]) -> Found:
    """What can be found out now; `relay` is the unix socket by which it is dialled, empty where it is dialled directly."""
    ca_pem: bytes | None = None
    try:
        if context.scheme == "https" and not context.insecure_skip_tls_verify:
            ca_pem = authority(context, environ)
        servers = (Endpoint(context.host, context.port),) if relay else await _addresses(context)
    except KubegateError as error:
        return Found(trouble=error.message, hint=error.hint)
    if ca_pem is None:
        return Found(await _answering(servers, relay))
    if not is_address(context.verified_name):
        return Found(await _answering(servers, relay), Verification(ca_pem, context.verified_name, send_sni=True))
    return await _proven(context, servers, ca_pem, relay)


def authority(context: Context, environ: Mapping[str, str]) -> bytes:
    """The CAs by which an API server is verified: the kubeconfig's, else the system's. Raises KubegateError."""
    if context.ca_pem is not None:
        return context.ca_pem
    bundle = system_ca_file(environ)
    try:
        if bundle is not None:
            return bundle.read_bytes()
    except OSError as error:
        raise KubegateError(f"the system's CAs ({bundle}) cannot be read: {reason(error)}") from None
    raise KubegateError("the kubeconfig gives no CA, and this machine has no bundle of public ones", "install ca-certificates")


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
        if isinstance(error, ssl.SSLError) and await _provable(context, servers[0], ca_pem, relay):
            return Found(servers, by_python=True)
        return await _explained(context, servers[0], ca_pem, relay, error)
    names = sorted(name for name in found if name == _API_NAME or name.startswith(f"{_API_NAME}."))
    if not names:
        return Found(servers, by_python=True)
    return Found(servers, Verification(ca_pem, names[0], send_sni=False))


async def _provable(context: Context, at: Endpoint, ca_pem: bytes, relay: str) -> bool:
    """Whether it proves what it is to kubectl, which takes an intermediate CA for a root."""
    try:
        await _names(context, at, ca_pem, relay, intermediates_suffice=True)
    except (OSError, TimeoutError, KubegateError):
        return False
    return True


async def _names(context: Context, at: Endpoint, ca_pem: bytes, relay: str, *, intermediates_suffice: bool = False) -> list[str]:
    """The DNS names of a certificate that was verified by CA and name. Raises OSError, TimeoutError or Untrusted."""
    trust = verifying_context(ca_pem, intermediates_suffice=intermediates_suffice)
    async with asyncio.timeout(_DIAL_SECONDS):
        if relay:
            _, writer = await asyncio.open_unix_connection(relay, ssl=trust, server_hostname=context.verified_name)
        else:
            _, writer = await asyncio.open_connection(at.host, at.port, ssl=trust, server_hostname=context.verified_name)
    shown = writer.get_extra_info("peercert") or {}
    await _close(writer)
    return [str(name) for kind, name in shown.get("subjectAltName", ()) if kind == "DNS"]


async def tried(context: Context, found: Found, relay: str) -> Found:
    """The same, tried once as HAProxy will do it: with the trouble that a 503 does not tell, or by Python's way."""
    at, by = found.servers[0], found.verification
    try:
        if by is not None:
            await _names(context, at, by.ca_pem, relay)
        elif not relay and not await _answers(at):
            return replace(found, trouble=f"nobody answers at {at}")
    except (OSError, TimeoutError, KubegateError) as error:
        ca_pem = by.ca_pem if by else b""
        if isinstance(error, ssl.SSLError) and await _provable(context, at, ca_pem, relay):
            return Found(found.servers, by_python=True)
        explained = await _explained(context, at, ca_pem, relay, error)
        return replace(found, trouble=explained.trouble, hint=explained.hint)
    return found


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
