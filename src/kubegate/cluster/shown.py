"""Every certificate that a server sends in the TLS handshake, unverified: only to describe them. Nothing is sent to it."""

import asyncio
import contextlib
import ssl
from typing import Any

from cryptography import x509

from kubegate.cluster.boundary import FOREIGN, translate
from kubegate.cluster.errors import Unreachable, Untrusted
from kubegate.cluster.tls import inquiring_context
from kubegate.model.address import Endpoint, is_address

_LOOK_SECONDS = 10.0
_CLOSE_SECONDS = 1.0
# More is nobody's chain.
_MOST = 20


async def shown_der(host: str, port: int, server_name: str | None = None) -> tuple[bytes, ...]:
    """The certificates in DER form as they are sent, the server's own first; `server_name` is the SNI (None: the host's name).

    Raises ClusterError with a sentence that names the address.
    """
    target = str(Endpoint(host, port))
    sni = server_name or host
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            return await _chain(host, port, "" if is_address(sni) else sni)
    except FOREIGN as error:
        raise translate(error, target) from None


async def shown_chain(host: str, port: int, name: str) -> tuple[x509.Certificate, ...]:
    """`shown_der`, read. Raises Untrusted if one of them cannot be read, too."""
    try:
        return tuple(x509.load_der_x509_certificate(one) for one in (await shown_der(host, port, name))[:_MOST])
    except (ValueError, x509.InvalidVersion):
        message = f"{Endpoint(host, port)} shows something that is no certificate"
        raise Untrusted(message, "is it a TLS server?") from None


async def _chain(host: str, port: int, sni: str) -> tuple[bytes, ...]:
    _, writer = await asyncio.open_connection(
        host, port, ssl=inquiring_context(), server_hostname=sni, ssl_shutdown_timeout=_CLOSE_SECONDS
    )
    try:
        found = _unverified(writer.get_extra_info("ssl_object"))
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    if not found:
        raise Unreachable(f"{Endpoint(host, port)} shows no certificate", "is it a TLS server?")
    return found


def _unverified(tls: Any) -> tuple[bytes, ...]:
    """What the peer has sent. Public from Python 3.13 on, and inside before."""
    if hasattr(tls, "get_unverified_chain"):
        return tuple(tls.get_unverified_chain())
    inside = getattr(tls, "_sslobj", None)
    if inside is not None and hasattr(inside, "get_unverified_chain"):
        return tuple(ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in inside.get_unverified_chain() or ())
    leaf = tls.getpeercert(binary_form=True)
    return (leaf,) if leaf else ()
