"""What this machine's network looks like: interface addresses, who listens on a port, and whether it is free."""

import ipaddress
import socket

import psutil

from kubegate.system.files import reason

# Addresses for documentation (RFC 5737, RFC 3849): nothing is sent there, only the route is asked for.
_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def reachable_addresses(*, ipv6: bool) -> list[tuple[str, str]]:
    """(interface, address) pairs on which a wildcard listener can be reached, without link-local ones."""
    families = {socket.AF_INET, socket.AF_INET6} if ipv6 else {socket.AF_INET}
    found = [
        (name, entry.address)
        for name, entries in psutil.net_if_addrs().items()
        for entry in entries
        if entry.family in families and "%" not in entry.address
    ]
    return sorted((n, a) for n, a in found if not ipaddress.ip_address(a).is_link_local)


def interface_of(address: str) -> str | None:
    """The interface that carries an address, None if none does."""
    for name, entries in psutil.net_if_addrs().items():
        carried = {entry.address.split("%")[0] for entry in entries}
        # All of 127.0.0.0/8 is this machine, though only one of it is listed.
        if address in carried or (address.startswith("127.") and "127.0.0.1" in carried):
            return name
    return None


def outward_address() -> str | None:
    """This machine's address on its way to others, IPv4 before IPv6, as the routes have it; None without a route."""
    for family, elsewhere in _ELSEWHERE.items():
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((elsewhere, 9))
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return None


def why_not_bindable(host: str, port: int) -> str | None:
    """Try to listen, and let go again: None, or why it cannot be done."""
    try:
        with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
            # Connections in TIME_WAIT do not stand in the way of HAProxy, so not of this question either.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError as error:
        return reason(error)
    return None


def free_port(host: str) -> int:
    """A TCP port that nobody listens on at this moment. Raises OSError if there can be none."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def listener_on(port: int) -> str | None:
    """Who listens on a TCP port, as `name (pid 1)`; None if nobody does or this user may not see it."""
    for pid in listening_pids(port):
        try:
            return f"{psutil.Process(pid).name()} (pid {pid})"
        except psutil.Error:
            continue
    return None


def listening_pids(port: int) -> list[int]:
    """The processes that listen on a TCP port, as far as this user may see them."""
    connections = psutil.net_connections(kind="tcp")
    found = {c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.pid and c.laddr and c.laddr.port == port}
    return sorted(found)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
