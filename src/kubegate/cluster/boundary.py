"""The one place where exceptions of httpx, socksio, ssl and the operating system become ours, as sentences."""

import socket
import ssl
from collections.abc import Iterator

import httpx
from socksio.exceptions import SOCKSError

from kubegate.cluster.errors import ClusterError, Unreachable, Unresolvable

FOREIGN: tuple[type[Exception], ...] = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpx.CookieConflict,
    SOCKSError,
    OSError,
    UnicodeError,
)
"""Everything that a conversation may raise and `translate` knows. `ssl.SSLError` and `TimeoutError` are OSErrors."""

_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
_ROUTE_HINT = "check the address, the routes and firewalls on the way"


def translate(error: BaseException, target: str) -> ClusterError:
    """What an exception of a conversation with `target` (`HOST:PORT`) means. Its own text, which may quote what was
    sent, is never repeated. Certificate errors are told apart before, by `distrust`.
    """
    causes = tuple(_causes(error))
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            why = (cause.strerror or "not found").lower()
            return Unresolvable(f"the name in {target} has no address: {why}", "check its spelling, and DNS")
    if any(isinstance(cause, TimeoutError | httpx.TimeoutException) for cause in causes):
        return Unreachable(f"{target} did not answer in time", _ROUTE_HINT)
    for cause in causes:
        if found := _meaning(cause, target):
            return found
    return Unreachable(f"the conversation with {target} failed ({type(error).__name__})")


def distrust(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """The certificate error behind an exception, None if it is about something else."""
    return next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLCertVerificationError)), None)


def _meaning(cause: BaseException, target: str) -> Unreachable | None:
    match cause:
        case ConnectionRefusedError():
            return Unreachable(f"nothing listens on {target}", "start the API server, or correct the address and port")
        case ssl.SSLError():
            return _tls(cause, target)
        case ConnectionError() | EOFError():
            return Unreachable(f"{target} closed the connection", "see its log; is it an API server?")
        case OSError() if cause.errno is not None and cause.strerror:
            return Unreachable(f"{target} cannot be reached: {cause.strerror.lower()}", _ROUTE_HINT)
        case httpx.ProxyError() | SOCKSError():
            return Unreachable(f"the proxy on the way to {target} refused or failed", "check proxy-url")
        case httpx.RemoteProtocolError() | httpx.DecodingError():
            return Unreachable(f"{target} does not answer as an HTTP server", "is it an API server?")
        case httpx.NetworkError() if cause.__cause__ is None and cause.__context__ is None:
            return Unreachable(f"{target} closed the connection", "see its log; is it an API server?")
    return None


def _tls(error: ssl.SSLError, target: str) -> Unreachable:
    reason = getattr(error, "reason", None) or ""
    if reason in _NOT_TLS:
        message = f"{target} does not speak TLS; it looks like plain HTTP or another protocol"
        return Unreachable(message, "check the port, and whether the URL should begin with http://")
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or reason == "UNEXPECTED_EOF_WHILE_READING":
        return Unreachable(f"{target} closed the connection during the TLS handshake", "see its log; does it speak TLS?")
    words = reason.replace("_", " ").lower() or "for an unknown reason"
    return Unreachable(f"the TLS handshake with {target} failed: {words}", "compare the TLS settings of both ends")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it came from, the outermost first; members of groups included, each once."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(one.exceptions)
        waiting.extend(other for other in (one.__cause__, one.__context__) if other is not None)
