"""The whole chain that a server shows in a handshake: unverified, and only to be looked at. No request is sent."""

import asyncio
import contextlib
import ssl

from cryptography import x509

from kubegate.cluster.boundary import FOREIGN, translate
from kubegate.cluster.errors import Untrusted
from kubegate.cluster.tls import inquiring_context
from kubegate.model.address import Endpoint, is_address

_LOOK_SECONDS = 5.0
_CLOSE_SECONDS = 1.0
# More is nobody's chain.
_MOST = 20


async def shown_chain(host: str, port: int, name: str) -> tuple[x509.Certificate, ...]:
    """The certificates that the server shows to a client of `name` (sent as SNI if it is a DNS name), its own first.

    Raises Unreachable or Unresolvable, and Untrusted if one of them cannot be read.
    """
    target = str(Endpoint(host, port))
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            shown = await _look(host, port, None if is_address(name) else name)
    except FOREIGN as error:
        raise translate(error, target) from None
    try:
        return tuple(x509.load_der_x509_certificate(one) for one in shown[:_MOST])
    except (ValueError, x509.InvalidVersion):
        raise Untrusted(f"{target} shows something that is no certificate", "is it a TLS server?") from None


async def _look(host: str, port: int, sni: str | None) -> list[bytes]:
    _, writer = await asyncio.open_connection(
        host, port, ssl=inquiring_context(), server_hostname=sni or "", ssl_shutdown_timeout=_CLOSE_SECONDS
    )
    try:
        return _unverified(writer.get_extra_info("ssl_object"))
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _unverified(connection: ssl.SSLObject) -> list[bytes]:
    """What the peer sent. Public since Python 3.13; before, only the object below has it (bpo-18233)."""
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:
        return list(public())
    shown = connection._sslobj.get_unverified_chain() or ()  # type: ignore[attr-defined]
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in shown]
