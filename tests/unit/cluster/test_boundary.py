import errno
import json
import socket
import ssl

import httpx
import pytest

from kubegate.cluster.boundary import FOREIGN, distrust, translate
from kubegate.cluster.errors import ClusterError, Unreachable, Unresolvable

HTTPX = sorted(
    (one for one in vars(httpx).values() if isinstance(one, type) and issubclass(one, Exception)),
    key=lambda one: one.__name__,
)
SSL = [one for one in vars(ssl).values() if isinstance(one, type) and issubclass(one, ssl.SSLError)]


def caused_by(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("kind", [*HTTPX, *SSL, socket.gaierror, TimeoutError, ConnectionError, UnicodeError])
def test_every_foreign_error_is_known(kind: type[Exception]) -> None:
    assert issubclass(kind, FOREIGN)


@pytest.mark.parametrize("kind", HTTPX)
def test_what_httpx_raises_becomes_ours(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    Exception.__init__(error, "very-secret")
    found = translate(error, "api.test:6443")
    assert isinstance(found, ClusterError)
    assert "api.test:6443" in found.message
    assert "very-secret" not in found.message + found.hint


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), Unreachable, "nothing listens on api:1"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Unreachable, "closed the connection"),
        (TimeoutError(), Unreachable, "did not answer in time"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), Unreachable, "network is unreachable"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Unresolvable, "has no address"),
        (httpx.ReadTimeout("x"), Unreachable, "did not answer in time"),
        (httpx.ReadError("x"), Unreachable, "closed the connection"),
        (httpx.RemoteProtocolError("x"), Unreachable, "does not answer as an HTTP server"),
        (httpx.ProxyError("x"), Unreachable, "the proxy on the way"),
        (httpx.InvalidURL("x"), Unreachable, "failed (InvalidURL)"),
        (ssl.SSLEOFError(8, "EOF"), Unreachable, "closed the connection during the TLS handshake"),
        (OSError("All connection attempts failed"), Unreachable, "failed (OSError)"),
    ],
)
def test_sentences(error: Exception, kind: type[ClusterError], words: str) -> None:
    for wrapped in (error, caused_by(httpx.ConnectError("outer"), error)):
        found = translate(wrapped, "api:1")
        assert type(found) is kind
        if wrapped is error or not words.startswith("failed ("):
            assert words in found.message


def test_errors_inside_of_groups() -> None:
    group = ExceptionGroup("all failed", [OSError(errno.ENETUNREACH, "x"), ConnectionRefusedError(111, "refused")])
    outer = caused_by(httpx.ConnectError("x"), caused_by(OSError("All connection attempts failed"), group))
    assert "x" in translate(outer, "api:1").message


def test_certificate_errors_are_found_wherever_they_are() -> None:
    inner = ssl.SSLCertVerificationError(1, "x")
    assert distrust(inner) is inner
    assert distrust(caused_by(httpx.ConnectError("x"), caused_by(OSError("y"), inner))) is inner
    assert distrust(ConnectionRefusedError()) is None
    assert distrust(ssl.SSLError(1, "x")) is None


def test_a_circle_of_causes_comes_to_an_end() -> None:
    one, other = OSError("a"), OSError("b")
    one.__context__, other.__context__ = other, one
    assert isinstance(translate(one, "x"), Unreachable)


def test_json_is_read_elsewhere() -> None:
    """A programming error is not translated."""
    assert not issubclass(json.JSONDecodeError, FOREIGN)
    assert not issubclass(KeyError, FOREIGN)
