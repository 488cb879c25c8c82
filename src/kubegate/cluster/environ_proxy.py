"""Which proxy the environment names for a URL: HTTPS_PROXY, HTTP_PROXY and NO_PROXY as Go's net/http reads them.

The rules are those of golang.org/x/net/http/httpproxy.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from kubegate.model.problem import InvalidInput, Problem

PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_PORTS = {"http": "80", "https": "443"}
_HOST_PORT = re.compile(r"(?:\[(?P<inner>[^\[\]]*)\]|(?P<host>[^\[\]:]*)):(?P<port>[^:\[\]]*)")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class _Target:
    host: str
    port: str
    address: _Address | None


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """The URL of the proxy for requests to `url`, None if there is none; names in capitals win over small ones.

    This machine itself (`localhost`, loopback addresses) is never reached by a proxy. Raises InvalidInput if the
    variable that applies names no proxy; Go would go without one then, or fail later.
    """
    parts = urlsplit(url)
    names = ("HTTPS_PROXY", "https_proxy") if parts.scheme == "https" else ("HTTP_PROXY", "http_proxy")
    name = next((one for one in names if environ.get(one)), None)
    if name is None:
        return None
    host = (parts.hostname or "").lower()
    target = _Target(host, str(parts.port or "") or _PORTS.get(parts.scheme, ""), _address(host))
    if host == "localhost" or (target.address is not None and target.address.is_loopback):
        return None
    excluded = next((environ[one] for one in ("NO_PROXY", "no_proxy") if environ.get(one)), "")
    return None if _excluded(target, excluded.split(",")) else _proxy_url(environ[name].strip(), name)


def _proxy_url(text: str, name: str) -> str:
    """A proxy as it is written in the environment: a URL, or HOST:PORT of one that speaks HTTP."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        message = f"names no proxy of a kind that is known ({', '.join(PROXY_SCHEMES)})"
        raise InvalidInput([Problem(f"${name}", "proxy.url", message, "write http://HOST:PORT, or exclude the host in NO_PROXY")])
    return url


def _excluded(target: _Target, entries: Iterable[str]) -> bool:
    return any(_matches(target, entry.strip().lower()) for entry in entries if entry.strip())


def _matches(target: _Target, entry: str) -> bool:
    if entry == "*":
        return True
    if "/" in entry and (network := _network(entry)) is not None:
        return target.address is not None and target.address.version == network.version and target.address in network
    host, port = entry, ""
    if found := _HOST_PORT.fullmatch(entry):
        host, port = found["inner"] or found["host"] or "", found["port"]
    if not host or port not in ("", target.port):
        return False
    if (address := _address(host)) is not None:
        return address == target.address
    host = host.removeprefix("*") if host.startswith("*.") else host
    return target.host.endswith(host) if host.startswith(".") else target.host == host or target.host.endswith(f".{host}")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text: str) -> _Address | None:
    """An address; one of IPv4 in the form of IPv6 counts as what it is."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found
