"""One way to an API server, tried step by step as a client would: name, TCP, TLS, login, request, upgrade, and where it ends."""

import asyncio
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from kubegate.cluster.boundary import FOREIGN, distrust, translate
from kubegate.cluster.client import Answer, ApiClient
from kubegate.cluster.context import Context
from kubegate.cluster.errors import ClusterError, Unresolvable, Untrusted
from kubegate.cluster.login import Login
from kubegate.cluster.peer import Leaf, handshake, inquire, untrusted
from kubegate.cluster.resolve import resolve
from kubegate.cluster.tls import verifying_context
from kubegate.model.address import Endpoint, is_address
from kubegate.model.names import printable

NODES = "/api/v1/nodes"
_SECONDS = 5.0
_MOST_SHOWN = 300
# X509_V_ERR_*, openssl/x509_vfy.h
_NAME_CODES = (62, 63, 64)
_TIME_CODES = (9, 10)
# Nothing has this name, so that a watch for it is a connection on which nothing comes.
_NOTHING = "?watch=true&timeoutSeconds=5&fieldSelector=metadata.name%3Dkubegate-upgrade-test"
_BETWEEN = "let whatever stands in between (load balancer, ingress, proxy) pass Connection and Upgrade, and speak HTTP/1.1 for it"


class Point(StrEnum):
    """Where a way can end."""

    LOGIN = "login"
    PROXY = "proxy"
    DNS = "dns"
    REFUSED = "tcp-refused"
    TIMEOUT = "tcp-timeout"
    TCP = "tcp"
    TLS = "tls"
    NAME = "tls-name"
    CA = "tls-ca"
    EXPIRED = "tls-expired"
    HTTP = "http"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    UPGRADE = "upgrade"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `dns`, `tcp`, `tls`, `request` or `upgrade`. `passed` is None where it could not be tried."""

    what: str
    passed: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Where a way ended, why, and what to do."""

    point: Point
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a way. `failure` is None if everything that could be tried went well."""

    steps: tuple[Step, ...]
    failure: Failure | None = None


class _Ended(Exception):
    """The way ends here."""

    def __init__(self, what: str, point: Point, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.what = what
        self.failure = Failure(point, message, hint)


@dataclass(slots=True)
class _Try:
    context: Context
    login: Login
    path: str
    seconds: float
    steps: list[Step] = field(default_factory=list)

    def passed(self, what: str, detail: str) -> None:
        self.steps.append(Step(what, True, detail))

    async def run(self) -> None:
        """Every step. Raises _Ended at the first one that fails."""
        if self.context.proxy_url is None:
            at = await self._reach(await self._resolve())
            if self.context.scheme == "https":
                await self._shake_hands(at)
        await self._request()
        await self._upgrade()

    async def _resolve(self) -> tuple[str, ...]:
        host = self.context.host
        try:
            found = await resolve(host, self.seconds)
        except Unresolvable as error:
            raise _Ended("dns", Point.DNS, error.message, error.hint) from None
        if not is_address(host):
            self.passed("dns", f"{host} is {', '.join(found)}")
        return found

    async def _reach(self, addresses: tuple[str, ...]) -> Endpoint:
        """The first address that accepts a connection, as clients try one after another."""
        failures: list[tuple[Point, ClusterError]] = []
        for address in addresses:
            at = Endpoint(address, self.context.port)
            try:
                async with asyncio.timeout(self.seconds):
                    _, writer = await asyncio.open_connection(at.host, at.port)
                writer.close()
            except OSError as error:
                failures.append((_tcp_point(error), translate(error, str(at))))
                continue
            beside = "".join(f"; {error.message}" for _, error in failures)
            self.passed("tcp", f"{at} accepts connections{beside}")
            return at
        point, first = failures[0]
        raise _Ended("tcp", point, "; ".join(error.message for _, error in failures), first.hint)

    async def _shake_hands(self, at: Endpoint) -> None:
        context, name = self.context, self.context.verified_name
        try:
            verifying = verifying_context(context.ca_pem, intermediates_suffice=True)
            async with asyncio.timeout(self.seconds):
                leaf = await handshake(at.host, at.port, verifying, name)
        except Untrusted as error:
            raise _Ended("tls", Point.CA, error.message, error.hint) from None
        except FOREIGN as error:
            raise await self._distrusted(error, at) from None
        self.passed("tls", _proven(name, leaf))

    async def _distrusted(self, error: Exception, at: Endpoint) -> _Ended:
        found, context = distrust(error), self.context
        if found is None:
            meaning = translate(error, str(at))
            return _Ended("tls", Point.TLS, meaning.message, meaning.hint)
        name = context.verified_name
        shown = await inquire(at.host, at.port, None if is_address(name) else name)
        meant = untrusted(found, shown, str(at), name, context.ca_pem)
        hint = meant.hint
        if context.insecure_skip_tls_verify:
            hint = (
                "kubectl goes on here, for the kubeconfig switches verification off (insecure-skip-tls-verify): whoever answers "
            )
            hint += "gets its credential. Put the cluster's CA there instead"
        return _Ended("tls", _tls_point(found), meant.message, hint)

    async def _request(self) -> None:
        joined = "&" if "?" in self.path else "?"
        answer = await self._asked("GET", f"{self.path}{joined}limit=5", "request")
        said = printable(answer.text("message"))[:_MOST_SHOWN]
        if answer.status == 200:
            self.passed("request", f"GET {self.path}: {_counted(answer)}")
        elif answer.status == 401:
            hint = "log in again: the credential is not accepted, or does not arrive"
            if not (self.login.authorization or self.login.certificate_pem):
                hint = "there is no credential, and the API server does not answer everybody: log in"
            raise _Ended("request", Point.UNAUTHORIZED, "401: the API server does not know who is asking", hint)
        elif answer.status == 403 and answer.text("kind") == "Status":
            raise _Ended("request", Point.FORBIDDEN, f"403: {said}", self._right(said))
        else:
            hint = "is it an API server of this cluster? look at whatever stands in between, and at its log"
            message = f"GET {self.path} is answered with {answer.status}{f': {said}' if said else ''}"
            raise _Ended("request", Point.HTTP, message, hint)

    def _right(self, said: str) -> str:
        if "system:anonymous" in said and (self.login.authorization or self.login.certificate_pem):
            return "a credential was sent and did not arrive: something in between opens TLS, or takes Authorization away"
        if "system:anonymous" in said:
            return "there is no credential: log in"
        return "the connection and the login are right; give that account the right, or try what it may: --get PATH"

    async def _upgrade(self) -> None:
        """A watch by WebSocket, which the API server grants wherever it grants the watch."""
        for path in (f"/api/v1/namespaces/{self.context.namespace}/pods", NODES):
            answer = await self._asked("upgrade", f"{path}{_NOTHING}", "upgrade")
            if answer.status == 101:
                self.passed(
                    "upgrade", "a WebSocket is granted: exec, attach, cp and port-forward of kubectl 1.31 and newer can pass"
                )
                return
            if not _is_refusal_of_rights(answer):
                raise _Ended("upgrade", Point.UPGRADE, _cut(answer.status), _BETWEEN)
        self.steps.append(Step("upgrade", None, "not tried: this account may watch neither pods nor nodes"))

    async def _asked(self, method: str, path: str, what: str) -> Answer:
        try:
            async with ApiClient(self.context, self.login, timeout=self.seconds) as client:
                return await (client.upgrade(path) if what == "upgrade" else client.call(method, path))
        except ClusterError as error:
            if what == "upgrade":
                message = f"asked for an upgrade, it ends the conversation: {error.message}"
                raise _Ended(what, Point.UPGRADE, message, _BETWEEN) from None
            # What a proxy on the way does not let through is not told apart from what ends behind it.
            point = Point.PROXY if self.context.proxy_url else Point.HTTP
            raise _Ended(what, point, error.message, error.hint) from None


async def try_out(context: Context, login: Login, *, path: str = NODES, seconds: float = _SECONDS) -> Tried:
    """Try a way: each step may last so long. The credential is sent to nobody who did not prove to be the server.

    It is verified even where the kubeconfig switches that off. `path` is what is asked for, a list in the API.
    """
    trying = _Try(context, login, path, seconds)
    try:
        await trying.run()
    except _Ended as end:
        return Tried((*trying.steps, Step(end.what, False, end.failure.message)), end.failure)
    return Tried(tuple(trying.steps))


def _tcp_point(error: OSError) -> Point:
    if isinstance(error, ConnectionRefusedError):
        return Point.REFUSED
    return Point.TIMEOUT if isinstance(error, TimeoutError) else Point.TCP


def _tls_point(error: ssl.SSLCertVerificationError) -> Point:
    if error.verify_code in _NAME_CODES:
        return Point.NAME
    return Point.EXPIRED if error.verify_code in _TIME_CODES else Point.CA


def _proven(name: str, leaf: Leaf | None) -> str:
    if leaf is None:
        return f"verified as {name}"
    days = (leaf.not_after - datetime.now(UTC)).days
    return f"verified as {name}, until {leaf.not_after:%Y-%m-%d} ({days} days)"


def _counted(answer: Answer) -> str:
    items = answer.body.get("items")
    if not isinstance(items, list):
        return "200"
    metadata = answer.body.get("metadata")
    rest = metadata.get("remainingItemCount") if isinstance(metadata, dict) else None
    if isinstance(rest, int):
        return _items(len(items) + rest)
    more = isinstance(metadata, dict) and bool(metadata.get("continue"))
    return f"more than {_items(len(items))}" if more else _items(len(items))


def _items(number: int) -> str:
    return f"{number} item{'' if number == 1 else 's'}"


def _is_refusal_of_rights(answer: Answer) -> bool:
    """Whether the API server itself says that this account may not watch."""
    return answer.status in (401, 403) and answer.text("kind") == "Status" and "cannot watch" in answer.text("message")


def _cut(status: int) -> str:
    if status == 200:
        return "something in between takes the upgrade away: the API server answers 200, as to an ordinary watch"
    return f"an upgrade is refused with {status} by something in between: exec, attach, cp and port-forward cannot pass"
