"""The `server` of a kubeconfig's cluster: a URL, taken apart and checked."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from kubegate.model.address import Endpoint, normal_name
from kubegate.model.problem import InvalidInput, Problem

_PORTS = {"https": 443, "http": 80}
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Server:
    """Where an API server is: `scheme` http or https, host (normal form) and port, `path` empty or `/without/end`."""

    scheme: str
    endpoint: Endpoint
    path: str = ""

    @property
    def url(self) -> str:
        """The URL without trailing slash; the scheme's own port is left out."""
        default = self.endpoint.port == _PORTS[self.scheme]
        return f"{self.scheme}://{self.endpoint.url_host if default else self.endpoint}{self.path}"


def parse_server(text: str, where: str) -> Server:
    """Read a server URL. Raises InvalidInput with all that is wrong; its messages never repeat the URL or a password in it."""
    if any(ord(char) <= 0x20 or ord(char) >= 0x7F for char in text):
        raise InvalidInput([_problem(where, "has spaces, control characters or letters outside ASCII")])
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise InvalidInput([_problem(where, "has no usable host and port")]) from None
    problems = _problems(parts, where)
    host = _host(parts, where, problems)
    if port == 0:
        problems.append(_problem(where, "has the port 0"))
    if problems:
        raise InvalidInput(problems)
    return Server(parts.scheme, Endpoint(host, port or _PORTS[parts.scheme]), parts.path.rstrip("/"))


def host_name(text: str) -> str:
    """A host in normal form; underscores, which DNS has though host names have not, are allowed. Raises ValueError."""
    if "_" not in text:
        return normal_name(text)
    normal_name(text.replace("_", "x"))
    return text.lower().removesuffix(".")


def _problems(parts: SplitResult, where: str) -> list[Problem]:
    problems = []
    if parts.scheme not in _PORTS:
        problems.append(_problem(where, "does not begin with https:// (or http://)", "write https://HOST:PORT"))
    if parts.username is not None or parts.password is not None:
        message = "has a user name or password in the URL"
        problems.append(_problem(where, message, "credentials belong into the kubeconfig's user"))
    if parts.query or parts.fragment:
        problems.append(_problem(where, "has a query or fragment (? or #), which no API server URL has"))
    if _BAD_ESCAPE.search(parts.path):
        problems.append(_problem(where, "has a percent sign in its path that escapes nothing"))
    return problems


def _host(parts: SplitResult, where: str, problems: list[Problem]) -> str:
    try:
        return host_name(parts.hostname or "")
    except ValueError:
        if parts.scheme in _PORTS:
            problems.append(_problem(where, "has no DNS name or IP address as its host"))
        return ""


def _problem(where: str, message: str, hint: str = "") -> Problem:
    return Problem(where, "kubeconfig.server", message, hint)
