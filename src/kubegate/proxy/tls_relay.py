"""TLS towards an API server by Python, for those that HAProxy cannot verify: it matches no addresses, and asks for a root CA.

What is verified is what kubectl verifies. It costs more CPU than HAProxy's TLS, so it is for such servers alone.
"""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

from kubegate.cluster.tls import load_client_pair, verifying_context
from kubegate.proxy.dial import DialFailed
from kubegate.proxy.pipe import Pipe, PlainPipe, TlsPipe
from kubegate.proxy.relay import Leading
from kubegate.system.files import reason

_SECONDS = 10.0


class TlsRelay(Leading):
    """Leads from a unix socket to `host:port` in TLS, verified by `ca_pem` and `name`, an address or a DNS name.

    `through` is a unix socket that leads there, None if it is dialled. `pair` are certificate and key to show, or empty. Raises
    ssl.SSLError if these are none.
    """

    def __init__(
        self,
        host: str,
        port: int,
        name: str,
        ca_pem: bytes,
        socket_path: Path,
        *,
        through: Path | None = None,
        pair: tuple[bytes, bytes] = (b"", b""),
        say: Callable[[str], None] | None = None,
    ) -> None:
        context = verifying_context(ca_pem, intermediates_suffice=True)
        context.set_alpn_protocols(["http/1.1"])
        if pair[0]:
            load_client_pair(context, *pair)

        async def way() -> Pipe:
            return await _dial(host, port, name, context, through)

        super().__init__(way, socket_path, say)


async def _dial(host: str, port: int, name: str, context: ssl.SSLContext, through: Path | None) -> Pipe:
    """A connection that was verified. Raises DialFailed."""
    inner: PlainPipe | None = None
    try:
        async with asyncio.timeout(_SECONDS):
            if through is not None:
                inner = PlainPipe(*await asyncio.open_unix_connection(str(through)))
            else:
                inner = PlainPipe(*await asyncio.open_connection(host, port))
            found = TlsPipe(inner, context, name)
            await found.shake()
    except (OSError, TimeoutError) as error:
        if inner is not None:
            inner.abort()
        why = "it did not answer in time" if isinstance(error, TimeoutError) else reason(error)
        raise DialFailed(f"the API server at {host}:{port} cannot be reached, or did not prove what it is: {why}") from None
    return found
