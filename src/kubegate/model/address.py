"""Addresses and names as people type them: `ADDR:PORT` with IPv6 in brackets, DNS names compared without case and dot."""

import functools
import ipaddress
import re
from dataclasses import dataclass

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_PORT = re.compile(r"[0-9]{1,5}")
# The same few addresses and names are looked at again and again.
_REMEMBERED = 8192


@functools.lru_cache(_REMEMBERED)
def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address (without brackets, port or zone)."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


@functools.lru_cache(_REMEMBERED)
def normal_name(text: str) -> str:
    """A DNS name or address in the form in which names are compared: lower case, no trailing dot, no brackets.

    Raises ValueError if it is neither an address nor a DNS name (RFC 1123, section 2.1; one leading `*.` is not allowed).
    """
    bare = text.strip().lower().removesuffix(".")
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1]
    if is_address(bare):
        return str(ipaddress.ip_address(bare))
    if not bare or len(bare) > 253 or not all(_LABEL.fullmatch(label) for label in bare.split(".")):
        raise ValueError(f"{text!r} is neither a DNS name nor an IP address")
    if bare.rsplit(".", 1)[-1].isdigit():
        raise ValueError(f"{text!r} looks like an IPv4 address but is not one")
    return bare


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """A host (address, or name where stated) and a TCP port; `str()` gives it back with IPv6 in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.url_host}:{self.port}"

    @property
    def url_host(self) -> str:
        """The host as it stands in a URL: IPv6 in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def is_wildcard(self) -> bool:
        """Whether this listens on every address of the machine."""
        return is_address(self.host) and ipaddress.ip_address(self.host).is_unspecified

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_address(self.host) and ipaddress.ip_address(self.host).is_loopback


def parse_listen(text: str) -> Endpoint:
    """Read `ADDR:PORT` of a listener; the address is typed, never implied. Raises ValueError with a sentence."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError(f"{text!r} is not ADDR:PORT")
    if not host:
        raise ValueError(f"{text!r} names no address; every interface is 0.0.0.0:{port} or [::]:{port}, and must be typed")
    if host.lower() == "localhost":
        return Endpoint("127.0.0.1", int(port))
    in_brackets = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if in_brackets else host
    if not is_address(bare):
        raise ValueError(f"{text!r} has no IP address before the port")
    address = ipaddress.ip_address(bare)
    if in_brackets != (address.version == 6):
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, and nothing else does")
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        raise ValueError(f"{text!r}: write the IPv4 address {address.ipv4_mapped} as it is")
    return Endpoint(str(address), int(port))
