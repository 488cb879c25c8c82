"""A small client of the Kubernetes API: HTTP/1.1, verified always, without redirects and without environment proxies."""

import asyncio
import base64
import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from urllib.parse import quote

import httpx

from kubegate import __version__
from kubegate.cluster.boundary import FOREIGN, distrust, translate
from kubegate.cluster.context import Context
from kubegate.cluster.endpoint_slices import api_servers
from kubegate.cluster.errors import ClusterError, Refused, TooLarge, Unreachable
from kubegate.cluster.login import Login
from kubegate.cluster.peer import inquire, untrusted
from kubegate.cluster.tls import inquiring_context, load_client_pair, verifying_context
from kubegate.model.address import Endpoint, is_address
from kubegate.model.names import printable

_MOST_BYTES = 1 << 20
_MOST_SHOWN = 300
_MOST_API_SERVERS = 100


@dataclass(frozen=True, slots=True)
class GrantedToken:
    """A service account's token and when it ends (aware). The API server may grant another lifetime than asked for."""

    token: str = field(repr=False)
    expires: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server answered: the HTTP status and the JSON object, empty if there is none."""

    status: int
    body: Mapping[str, object]

    def text(self, *path: str) -> str:
        """A text inside the JSON answer, empty if there is none."""
        value: object = self.body
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value if isinstance(value, str) else ""


class ApiClient:
    """Asks the API server of one context; an async context manager.

    `login` is what requests carry (None: nothing; without TLS only impersonation is sent, as by kubectl). `ca_pem`
    stands in for a context without CA (None: the system's CAs). The server is verified even where the kubeconfig
    switches that off. Every method raises Unreachable, Untrusted or Unresolvable. No step of a conversation may last
    longer than `timeout` seconds, and no conversation twice as long. `unverified` is for looking at what anybody may read
    before it is known whom to trust: it excludes a login, so that no credential can be sent.
    """

    def __init__(
        self,
        context: Context,
        login: Login | None = None,
        *,
        ca_pem: bytes | None = None,
        timeout: float = 10.0,
        unverified: bool = False,
    ) -> None:
        if unverified and login is not None:
            raise ValueError("nothing is sent to somebody who proves nothing")
        self._unverified = unverified
        self._context = context
        self._login = login or Login()
        self._ca_pem = context.ca_pem if context.ca_pem is not None else ca_pem
        self._timeout = timeout
        self._target = str(context.server.endpoint)
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> "ApiClient":
        self._http = httpx.AsyncClient(
            verify=self._tls(),
            proxy=self._proxy(),
            headers=self._headers(),
            trust_env=False,
            follow_redirects=False,
            timeout=self._timeout,
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._http is not None:
            await self._http.aclose()

    def renew(self, login: Login) -> None:
        """Send another token from the next request on. A client certificate stays the one that this began with."""
        self._login = replace(self._login, authorization=login.authorization, impersonation=login.impersonation)
        self._opened().headers = httpx.Headers(self._headers())

    async def version(self) -> tuple[int, str | None]:
        """The HTTP status of `GET /version` and the API server's `gitVersion`, None if the answer does not tell."""
        answer = await self._ask("GET", "/version")
        return answer.status, printable(answer.text("gitVersion"))[:_MOST_SHOWN] or None

    async def request_token(self, namespace: str, name: str, seconds: int) -> GrantedToken:
        """A new token of a service account (TokenRequest, authentication.k8s.io/v1), asked for `seconds`. Raises Refused too."""
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/serviceaccounts/{quote(name, safe='')}/token"
        answer = await self._ask("POST", path, request)
        if answer.status not in (200, 201):
            raise self._refused(answer, f"a token of {printable(namespace)}/{printable(name)}", namespace, name)
        token, expires = answer.text("status", "token"), _time(answer.text("status", "expirationTimestamp"))
        if not token or expires is None:
            raise Unreachable(f"{self._target} granted no token, though it answered {answer.status}", "is it an API server?")
        return GrantedToken(token, expires)

    async def api_servers(self) -> tuple[Endpoint, ...]:
        """The API servers that the EndpointSlices of the Service `kubernetes` name, in order. Raises Refused too."""
        path = (
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes"
        )
        answer = await self._ask("GET", path)
        if answer.status != 200:
            raise self._refused(
                answer, "to name its API servers (EndpointSlices of the Service kubernetes)", "default", "kubernetes"
            )
        if not isinstance(answer.body.get("items"), list):
            raise Unreachable(f"{self._target} was asked for EndpointSlices and gave something else", "is it an API server?")
        found = api_servers(answer.body)
        if len(found) > _MOST_API_SERVERS:
            message = f"{self._target} names {len(found)} API servers, and no cluster has more than {_MOST_API_SERVERS}"
            raise Unreachable(message, "look at the EndpointSlices of its Service kubernetes")
        return found

    async def call(self, method: str, path: str, body: object = None) -> Answer:
        """Any request whose answer is one JSON object; `path` begins with `/` and may have a query. Every status is an answer."""
        return await self._ask(method, path, body)

    async def upgrade(self, path: str, protocol: str = "websocket") -> Answer:
        """Ask for an upgrade of the connection (RFC 6455, section 4.1), and close it again; 101 says that it was granted."""
        key = base64.b64encode(os.urandom(16)).decode()
        headers = {"Connection": "Upgrade", "Upgrade": protocol, "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
        # The API server refuses an upgrade without one (golang.org/x/net/websocket, checkOrigin).
        return await self._ask("GET", path, headers=headers | {"Origin": f"https://{self._target}"}, endless=True)

    @contextlib.asynccontextmanager
    async def events(self, path: str, silence: float) -> AsyncIterator[AsyncIterator[Mapping[str, object]]]:
        """The JSON objects of a watch, one a line, as they come; `silence` is how many seconds may pass between two.

        Raises Refused where the watch is refused, and inside the block what a conversation raises.
        """
        request = self._request("GET", path)
        request.extensions["timeout"]["read"] = silence
        try:
            async with asyncio.timeout(2 * self._timeout):
                response = await self._opened().send(request, stream=True)
            try:
                if response.status_code != 200:
                    answer = Answer(response.status_code, _mapping(await self._content(response)))
                    raise self._refused(answer, f"to watch {path.partition('?')[0]}", "", "")
                yield self._lines(response)
            finally:
                await response.aclose()
        except FOREIGN as error:
            raise await self._meaning(error) from None

    async def _lines(self, response: httpx.Response) -> AsyncIterator[Mapping[str, object]]:
        async for line in response.aiter_lines():
            if len(line) > _MOST_BYTES:
                raise Unreachable(f"{self._target} sends an event of more than 1 MiB", "is it an API server?")
            if line.strip():
                yield _mapping(line.encode())

    async def _ask(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None, endless: bool = False
    ) -> Answer:
        request = self._request(method, path, body, headers)
        try:
            async with asyncio.timeout(2 * self._timeout):
                response = await self._opened().send(request, stream=True)
                try:
                    # What was granted has no end.
                    granted = endless and response.status_code < 300
                    content = b"" if granted else await self._content(response)
                finally:
                    await response.aclose()
        except FOREIGN as error:
            raise await self._meaning(error) from None
        return Answer(response.status_code, _mapping(content))

    def _request(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> httpx.Request:
        return self._opened().build_request(
            method,
            f"{self._context.url}{path}",
            json=body,
            headers=dict(headers or {}),
            extensions={"sni_hostname": self._context.verified_name},
        )

    def _opened(self) -> httpx.AsyncClient:
        if self._http is None:
            raise RuntimeError("the client is used outside of `async with`")
        return self._http

    async def _content(self, response: httpx.Response) -> bytes:
        content = b""
        async for part in response.aiter_raw():
            content += part
            if len(content) > _MOST_BYTES:
                raise TooLarge(f"{self._target} answers more than 1 MiB to a small question", "is it an API server?")
        return content

    async def _meaning(self, error: Exception) -> ClusterError:
        mistrusted = distrust(error)
        if mistrusted is None:
            return translate(error, self._target)
        name = self._context.verified_name
        sni = None if is_address(name) else name
        direct = self._context.proxy_url is None
        leaf = await inquire(self._context.host, self._context.port, sni) if direct else None
        return untrusted(mistrusted, leaf, self._target, name, self._ca_pem)

    def _refused(self, answer: Answer, what: str, namespace: str, name: str) -> Refused:
        said = printable(answer.text("message"))[:_MOST_SHOWN] or f"HTTP status {answer.status}"
        hints = {
            401: f"log in again: the credential of context {printable(self._context.name)} is not accepted",
            403: "the user of this context needs the verb create on serviceaccounts/token in the namespace "
            f"{printable(namespace)}, or ask for the token as somebody who has it",
            404: f"create it: kubectl -n {printable(namespace)} create serviceaccount {printable(name)}",
        }
        if name == "kubernetes":
            hints = hints | {403: "its user needs the verb list on endpointslices in the namespace default", 404: ""}
        message = f"the API server refused {what}: {said}"
        return Refused(message, hints.get(answer.status, ""), status=answer.status, reason=answer.text("reason"))

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [("User-Agent", f"kubegate/{__version__}"), ("Accept", "application/json")]
        headers += [("Accept-Encoding", "identity"), *self._login.impersonation]
        if self._login.authorization and self._context.scheme == "https":
            headers.append(("Authorization", self._login.authorization))
        return [(name.encode(), value.encode()) for name, value in headers]

    def _tls(self) -> ssl.SSLContext:
        if self._context.scheme != "https":
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self._unverified:
            return inquiring_context()
        context = verifying_context(self._ca_pem, intermediates_suffice=True)
        if self._login.certificate_pem:
            try:
                load_client_pair(context, self._login.certificate_pem, self._login.key_pem)
            except OSError as error:
                message = f"the client certificate cannot be used ({type(error).__name__})"
                raise Unreachable(message, "check that it is whole and belongs to its key") from None
        return context

    def _proxy(self) -> httpx.Proxy | None:
        url = self._context.proxy_url
        if url is None:
            return None
        if not url.startswith(("http://", "https://")):
            raise Unreachable("proxy-url names a SOCKS proxy, which is not supported", "use an HTTP proxy")
        if self._context.tls_server_name is not None:
            raise Unreachable("tls-server-name behind proxy-url is not supported", "reach the API server without a proxy")
        try:
            return httpx.Proxy(url)
        except (ValueError, httpx.InvalidURL):
            raise Unreachable("proxy-url cannot be used", "write http://HOST:PORT") from None


def _mapping(content: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
