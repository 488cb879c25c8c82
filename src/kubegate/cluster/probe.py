"""Does the API server at this address prove who it is? One handshake, verified as HAProxy verifies, and no request."""

import asyncio
import ssl

from kubegate.cluster.boundary import FOREIGN, distrust, translate
from kubegate.cluster.errors import Untrusted
from kubegate.cluster.peer import Leaf, handshake, inquire, untrusted, wrong_name
from kubegate.cluster.tls import verifying_context
from kubegate.model.address import Endpoint, is_address
from kubegate.model.facts import PeerCertificate
from kubegate.model.names import covers


async def probe(
    address: str,
    port: int,
    name: str,
    ca_pem: bytes | None,
    timeout: float = 5.0,  # noqa: ASYNC109 - the caller's limit, in seconds
    *,
    send_sni: bool = True,
    as_kubectl: bool = False,
) -> PeerCertificate:
    """The certificate at `address`, verified by a root in `ca_pem` and by `name`, a DNS name or an address.

    As for HAProxy the bundle has to hold a root: an intermediate CA or a leaf alone, which satisfies kubectl, does not do
    unless `as_kubectl` says so. Without a bundle the system's CAs count.
    `send_sni` says whether a DNS name is also sent; it is verified in any case. Raises Unreachable or Untrusted, each
    with a sentence that names the address.
    """
    target = str(Endpoint(address, port))
    sni = name if send_sni and not is_address(name) else None
    try:
        async with asyncio.timeout(timeout):
            leaf = await _verified(address, port, name, sni, verifying_context(ca_pem, intermediates_suffice=as_kubectl))
    except FOREIGN as error:
        if found := distrust(error):
            raise untrusted(found, await inquire(address, port, sni), target, name, ca_pem) from None
        raise translate(error, target) from None
    if leaf is None:
        raise Untrusted(f"the certificate of {target} is of a form that cannot be understood")
    if sni is None and not covers(leaf.names, name):
        raise wrong_name(leaf, target, name)
    return leaf.fact


async def _verified(address: str, port: int, name: str, sni: str | None, context: ssl.SSLContext) -> Leaf | None:
    if sni is None and not is_address(name):
        # OpenSSL would send the name that it checks, so the chain is checked there and the name by the caller.
        context.check_hostname = False
        return await handshake(address, port, context, None)
    return await handshake(address, port, context, name)
