"""What this machine's network looks like: interface addresses, and whether a port is free."""

import ipaddress
import os
import socket

import psutil


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
        if any(entry.address.split("%")[0] == address for entry in entries):
            return name
    return None


def why_not_bindable(host: str, port: int) -> str | None:
    """Try to listen, and let go again: None, or why it cannot be done."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections in TIME_WAIT do not stand in the way of HAProxy, so not of this question either.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return os.strerror(error.errno or 0)
    return None


def free_port(host: str) -> int:
    """A TCP port that nobody listens on at this moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
