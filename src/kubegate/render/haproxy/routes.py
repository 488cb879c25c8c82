"""Which name leads to which cluster, as the lookup files of a listener say it.

A key is a name in normal form, an address, or the mark for those who give no name. Names and addresses stand apart: an address
leads only those who gave no name in TLS, for it may be that of the gate itself.
"""

from collections.abc import Mapping

from kubegate.model.address import is_address
from kubegate.model.plan import Frontend

# Before the backends of clusters whose TLS is not opened; alone it means a cluster of other listeners. No backend begins so.
NOT_OPENED = "!"
# The key of the default cluster: no name, for they are looked up without a dot at their end.
NO_NAME = "."


def names_file(front: Frontend) -> str:
    """Names, as requests give them by SNI and Host; also those of clusters that are not opened here."""
    return f"{front.name}-hosts.map"


def addresses_file(front: Frontend) -> str:
    """Addresses that are declared as hosts."""
    return f"{front.name}-addresses.map"


def passed_file(front: Frontend) -> str:
    """Names of clusters whose TLS is passed through, which are read before it would be opened."""
    return f"{front.name}-passthrough.map"


def lookups(front: Frontend) -> Mapping[str, Mapping[str, str]]:
    """The lookup files of a listener; none for one that leads everybody to one cluster."""
    found: dict[str, dict[str, str]] = {}
    if front.sole:
        return found
    if front.opens:
        led = {route.host: route.backend if route.opened else f"{NOT_OPENED}{route.backend}" for route in front.routes}
        found[names_file(front)] = {
            **{host: backend for host, backend in led.items() if not is_address(host)},
            **dict.fromkeys(front.elsewhere, NOT_OPENED),
            **({NO_NAME: front.default} if front.default is not None else {}),
        }
        found[addresses_file(front)] = {host: backend for host, backend in led.items() if is_address(host)}
    if front.passes:
        found[passed_file(front)] = {route.host: route.backend for route in front.routes if not route.opened}
    return found
