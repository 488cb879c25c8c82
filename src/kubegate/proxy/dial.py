"""Reaching a host through a proxy: HTTP CONNECT (RFC 9110, 9.3.6), plain or in TLS, and SOCKS5 (RFC 1928, 1929).

Host names are resolved by the proxy, as Go's net/http has it.
"""

import asyncio
import base64
import ipaddress
import socket
import ssl
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from kubegate import __version__
from kubegate.cluster.environ_proxy import PROXY_SCHEMES
from kubegate.cluster.tls import verifying_context
from kubegate.errors import KubegateError
from kubegate.model.address import Endpoint, is_address
from kubegate.model.names import printable
from kubegate.proxy.pipe import Pipe, PlainPipe, TlsPipe

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_KEEPALIVE_SECONDS = 30
_LONGEST_TEXT = 255
_NO_LOGIN, _PASSWORD = 0, 2
_REPLIES = {
    1: "it failed",
    2: "its rules do not allow it",
    3: "the network cannot be reached from it",
    4: "the host cannot be reached from it",
    5: "nothing listens there",
    6: "it is too far away from it",
    7: "it does not know the command",
    8: "it does not know this form of address",
}
_LOGIN_HINT = "write proxy-url as SCHEME://USER:PASSWORD@HOST:PORT"


class DialFailed(KubegateError):
    """A host was not reached through a proxy. Never carries the proxy's password."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy: `scheme` http, https or socks5, and how to log in to it, both empty if it is not asked for."""

    scheme: str
    endpoint: Endpoint
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


def read_proxy(url: str) -> Proxy:
    """A proxy's URL, taken apart. Raises DialFailed, never with the URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise DialFailed("the proxy's URL has no usable host and port", "write proxy-url as http://HOST:PORT") from None
    if parts.scheme not in PROXY_SCHEMES or not parts.hostname or not port:
        raise DialFailed(f"the proxy's URL is of no kind that is known ({', '.join(PROXY_SCHEMES)})")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    scheme = "socks5" if parts.scheme == "socks5h" else parts.scheme
    if scheme == "socks5" and max(len(user.encode()), len(password.encode())) > _LONGEST_TEXT:
        raise DialFailed("user name and password of a SOCKS proxy have at most 255 bytes each")
    return Proxy(scheme, Endpoint(parts.hostname, port), user, password)


async def dial(proxy: Proxy, host: str, port: int, ca_pem: bytes | None, seconds: float) -> Pipe:
    """A connection to `host` by way of `proxy`, in so many seconds. Raises DialFailed.

    A proxy in TLS is verified by the system's CAs and those in `ca_pem`.
    """
    target, opened = str(Endpoint(host, port)), list[Pipe]()
    try:
        async with asyncio.timeout(seconds):
            pipe = await _to_proxy(proxy, ca_pem, opened)
            if proxy.scheme == "socks5":
                return await _socks(proxy, pipe, host, port, target)
            return await _connect(proxy, pipe, target)
    except BaseException as error:
        for one in opened:
            one.abort()
        if isinstance(error, OSError | UnicodeError):
            raise _meant(error, proxy, target) from None
        raise


async def _to_proxy(proxy: Proxy, ca_pem: bytes | None, opened: list[Pipe]) -> Pipe:
    host, port = proxy.endpoint.host, proxy.endpoint.port
    reader, writer = await asyncio.open_connection(host, port, happy_eyeballs_delay=0.25)
    plain = PlainPipe(reader, writer)
    opened.append(plain)
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_SECONDS)
    if proxy.scheme != "https":
        return plain
    context = verifying_context(None, intermediates_suffice=True)
    if ca_pem:
        context.load_verify_locations(cadata=ca_pem.decode("ascii", "ignore"))
    tls = TlsPipe(plain, context, host)
    await tls.shake()
    return tls


async def _connect(proxy: Proxy, pipe: Pipe, target: str) -> Pipe:
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", f"User-Agent: kubegate/{__version__}"]
    if proxy.username or proxy.password:
        pair = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {pair}")
    await pipe.write("\r\n".join([*lines, "", ""]).encode())
    reading = _Reading(pipe)
    head = await reading.until(b"\r\n\r\n")
    version, _, rest = head.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise DialFailed(f"{proxy.endpoint} does not answer as an HTTP proxy", "check proxy-url")
    status = int(rest[:3])
    # 401 is what tinyproxy says of a password that is wrong.
    if status in (401, 407):
        given = "refused the user name and password" if proxy.username else "asks for a user name and password"
        raise DialFailed(f"the proxy {proxy.endpoint} {given}", _LOGIN_HINT)
    if not 200 <= status < 300:
        raise DialFailed(f"the proxy {proxy.endpoint} does not connect to {target}: HTTP status {status}", "see its log")
    return _Begun(pipe, reading.rest)


async def _socks(proxy: Proxy, pipe: Pipe, host: str, port: int, target: str) -> Pipe:
    reading = _Reading(pipe)
    login = bool(proxy.username or proxy.password)
    await pipe.write(bytes([5, 1 + login, _NO_LOGIN, *([_PASSWORD] if login else [])]))
    version, method = await reading.exactly(2)
    if version != 5:
        raise DialFailed(f"{proxy.endpoint} does not answer as a SOCKS5 proxy", "check proxy-url")
    if method == _PASSWORD and login:
        name, password = proxy.username.encode(), proxy.password.encode()
        await pipe.write(bytes([1, len(name)]) + name + bytes([len(password)]) + password)
        if not await _accepted(reading):
            raise DialFailed(f"the proxy {proxy.endpoint} refused the user name and password", _LOGIN_HINT)
    elif method != _NO_LOGIN:
        raise DialFailed(f"the proxy {proxy.endpoint} asks for another way to log in", _LOGIN_HINT)
    await pipe.write(bytes([5, 1, 0]) + _socks_address(host) + port.to_bytes(2, "big"))
    _, code, _, kind = await reading.exactly(4)
    if code != 0:
        why = _REPLIES.get(code, f"it says {code}")
        raise DialFailed(f"the proxy {proxy.endpoint} does not connect to {target}: {why}", "see its log")
    # The address that the proxy uses is of no interest.
    length = {1: 4, 4: 16}.get(kind)
    await reading.exactly((length if length is not None else (await reading.exactly(1))[0]) + 2)
    return _Begun(pipe, reading.rest)


async def _accepted(reading: "_Reading") -> bool:
    """Whether a login was; a server that refuses it closes (RFC 1929, section 2), and some say nothing before."""
    try:
        return (await reading.exactly(2))[1] == 0
    except ConnectionResetError:
        return False


def _socks_address(host: str) -> bytes:
    if is_address(host):
        packed = ipaddress.ip_address(host).packed
        return bytes([1 if len(packed) == 4 else 4]) + packed
    name = host.encode("ascii")
    if len(name) > _LONGEST_TEXT:
        raise DialFailed(f"{printable(host)} is too long for a SOCKS proxy")
    return bytes([3, len(name)]) + name


class _Reading:
    """What a proxy answers, taken from a pipe no further than needed; `rest` came after it."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self.rest = b""

    async def until(self, mark: bytes, limit: int = 1 << 16) -> bytes:
        while mark not in self.rest and len(self.rest) < limit:
            await self._more()
        found, _, self.rest = self.rest.partition(mark)
        return found

    async def exactly(self, size: int) -> bytes:
        while len(self.rest) < size:
            await self._more()
        found, self.rest = self.rest[:size], self.rest[size:]
        return found

    async def _more(self) -> None:
        data = await self._pipe.read()
        if not data:
            raise ConnectionResetError("the proxy left")
        self.rest += data


class _Begun:
    """A pipe of which some bytes were read already."""

    def __init__(self, pipe: Pipe, first: bytes) -> None:
        self._pipe, self._first = pipe, first
        self.write, self.end, self.close, self.abort = pipe.write, pipe.end, pipe.close, pipe.abort

    async def read(self) -> bytes:
        if self._first:
            found, self._first = self._first, b""
            return found
        return await self._pipe.read()


def _meant(error: Exception, proxy: Proxy, target: str) -> DialFailed:
    # Only what fails waits for it to be loaded.
    from kubegate.cluster.boundary import translate

    if isinstance(error, ssl.SSLCertVerificationError):
        message = f"the certificate of the proxy {proxy.endpoint} is not trusted: {printable(error.verify_message)}"
        return DialFailed(message, "is it the right address? if so, its CA belongs into the system's or the cluster's CAs")
    meant = translate(error, str(proxy.endpoint))
    return DialFailed(f"{target} is not reached through the proxy: {meant.message}", "check proxy-url and the proxy")
