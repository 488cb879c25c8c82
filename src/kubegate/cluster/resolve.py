"""Host names to addresses, by the system's resolver."""

import asyncio
import ipaddress
import socket

from kubegate.cluster.errors import Unresolvable
from kubegate.model.address import is_address
from kubegate.model.names import printable


async def resolve(host: str, timeout: float = 5.0) -> tuple[str, ...]:  # noqa: ASYNC109 - the caller's limit, in seconds
    """The addresses of a host, each once: IPv4 first, then IPv6, in numeric order, whatever order the resolver had.

    An address resolves to itself. Addresses that need a zone are left out. Raises Unresolvable.
    """
    if is_address(host):
        return (str(ipaddress.ip_address(host)),)
    shown = printable(host)
    try:
        async with asyncio.timeout(timeout):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        message = f"the name {shown} was not resolved within {timeout:g} s"
        raise Unresolvable(message, "check the DNS servers of this machine") from None
    except (OSError, UnicodeError) as error:
        raise Unresolvable(f"the name {shown} has no address: {_why(error)}", "check its spelling, and DNS") from None
    addresses = {ipaddress.ip_address(str(entry[4][0])) for entry in found if "%" not in str(entry[4][0])}
    if not addresses:
        raise Unresolvable(f"the name {shown} has no address that can be used", "name an address instead")
    return tuple(str(one) for one in sorted(addresses, key=lambda one: (one.version, int(one))))


def _why(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "it is not a host name"
    return (error.strerror or "not found").lower()
