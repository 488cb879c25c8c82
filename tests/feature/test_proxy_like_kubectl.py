"""The same bytes through the real `kubectl proxy` and `kubegate proxy`: status, headers that matter, what the API server got.

A row that is not the same on purpose says so: `differs` names a row of `tests.support.proxy_differences`, which is the table of
docs/kubectl-proxy.md.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from tests.support.expose import home, kubeconfig
from tests.support.proxy import WEBSOCKET, Proxying, kubectl, proxying
from tests.support.proxy_differences import DIFFERENCES
from tests.support.rawhttp import Answer, NoAnswer, request
from tests.support.upstream import Exchange, Request, Upstream, websocket

pytestmark = pytest.mark.haproxy

SPDY = ("Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io")
# Headers of requests that each proxy may have in a way of its own.
_FREE = {"connection", "accept-encoding", "user-agent", "transfer-encoding", "content-length"}
_ANSWERED = {"content-type", "location", "x-own", "www-authenticate", "access-control-allow-origin"}
POD = "/api/v1/namespaces/default/pods/somepod"


@dataclass(frozen=True)
class Row:
    """One request. `status` is what both say; where kubegate says another one, `ours` does, and `differs` why.

    `at` is the path of the server's URL.
    """

    name: str
    target: str = "/api/v1/pods"
    method: str = "GET"
    headers: tuple[str, ...] = ()
    host: str | None = "127.0.0.1:PORT"
    body: bytes | None = None
    flags: tuple[str, ...] = ()
    status: int = 200
    ours: int | None = None
    differs: str = ""
    chunked: bool = False
    at: str = ""

    def __str__(self) -> str:
        return self.name


def accept(number: int, host: str, method: str, path: str, passes: bool, *flags: str) -> Row:
    """A row of kubectl's own test table (TestAccept)."""
    return Row(f"accept {number}", path, method, host=host, flags=flags, status=200 if passes else 403)


ACCEPT = [
    accept(2, "127.0.0.1", "GET", "/api/v1/pods", True),
    accept(3, "localhost", "GET", "/api/v1/pods", True),
    accept(4, "localhost", "GET", "/api/v1/namespaces/default/pods/foo", True),
    accept(5, "localhost", "GET", "/api/v1/namespaces/default/pods/attachfoo", True),
    accept(7, "localhost", "GET", "/api/v1/namespaces/default/pods/execfoo", True),
    accept(8, "127.0.0.1", "GET", "/api/v1/namespaces/default/pods/foo/exec", False),
    accept(9, "127.0.0.1", "GET", "/api/v1/namespaces/default/pods/foo/attach", False),
    accept(10, "evil.com", "GET", "/api/v1/pods", False),
    accept(11, "localhost.evil.com", "GET", "/api/v1/pods", False),
    accept(12, "127a0b0c1", "GET", "/api/v1/pods", False),
    accept(13, "localhost", "GET", "/ui", True),
    accept(14, "localhost", "POST", "/api/v1/pods", True),
    accept(15, "localhost", "PUT", POD, True),
    accept(16, "localhost", "PATCH", POD, True),
    accept(17, "127.0.0.1", "GET", "/api/v1/pods", False, "--reject-methods=GET"),
    accept(18, "localhost", "POST", "/api/v1/pods", False, "--reject-methods=POST"),
    accept(19, "localhost", "PUT", POD, False, "--reject-methods=PUT,PATCH"),
    accept(20, "localhost", "PATCH", POD, False, "--reject-methods=PUT,PATCH"),
    accept(21, "localhost", "PATCH", POD, False, "--reject-methods=POST,PUT,PATCH"),
    accept(22, "localhost", "PUT", POD, False, "--reject-methods=POST,PUT,PATCH"),
    accept(23, "localhost", "POST", f"{POD}/exec", False),
    accept(24, "localhost", "POST", f"{POD}/exec", True, "--reject-paths="),
]
FILTERS = [
    Row("bar,.*", "/foo", flags=("--accept-paths=bar,.*",)),
    Row("bar,fo.* foo", "/foo", flags=("--accept-paths=bar,fo.*",)),
    Row("bar,fo.* bar", "/bar", flags=("--accept-paths=bar,fo.*",)),
    Row("bar,fo.* baz", "/baz", flags=("--accept-paths=bar,fo.*",), status=403),
    Row("no accepted host", flags=("--accept-hosts=",), status=403),
    Row("no accepted path", flags=("--accept-paths=",), status=403),
    Row("no filter", f"{POD}/exec", host="evil.com", flags=("--disable-filter",)),
    Row("escaped slash is one to the filter", "/api/v1/namespaces/d/pods/p%2Fexec", status=403),
    Row("a bad byte is a character", "/api/v1/namespaces/%ff/pods/p/exec", status=403),
    Row("half a character", "/api/v1/namespaces/%e2%82/pods/p/exec", status=403),
    Row("a line feed ends what a dot takes", "/api/v1/name%0aspaces/d/pods/p/exec"),
    Row("the query is no path", "/api/v1/pods?x=/pods/p/exec"),
    Row("other resources pass", f"{POD}/portforward"),
    Row("nodes' proxy passes", "/api/v1/nodes/n/proxy/exec/x"),
    Row("a false hit", f"{POD}/proxy/exec", status=403),
    Row("another false hit", f"{POD}/execX", status=403),
    Row("case counts in paths", "/API/v1/namespaces/d/pods/p/exec"),
    Row("a path that cannot be decoded", "/api/v1/%zz", status=400),
    Row("a query that cannot be decoded", "/api/v1/pods?x=%zz"),
    Row("a host without a port", host="localhost"),
    Row("a port that is none", host="localhost:abc"),
    Row("[::1] with a port", host="[::1]:PORT", status=403, ours=200, differs="host-normal"),
    Row("[::1]", host="[::1]"),
    Row("upper case", host="LOCALHOST", status=403, ours=200, differs="host-normal"),
    Row("a dot at the end", host="localhost.", status=403, ours=200, differs="host-normal"),
    Row("no host at all", host=None, status=400),
]
FORWARDING = [
    Row("query and escapes as they are", "/api/v1/a%2Fb%20c?x=%2F&y"),
    Row("a body", method="POST", body=b'{"a":1}', headers=("Content-Type: application/json",)),
    Row("a chunked body", method="POST", headers=("Transfer-Encoding: chunked",), chunked=True),
    Row("HEAD", method="HEAD"),
    Row("OPTIONS", method="OPTIONS"),
    Row("DELETE", method="DELETE"),
    Row("TRACE", method="TRACE", ours=405, differs="methods"),
    Row("a method of one's own", method="FROB", ours=405, differs="methods"),
    Row("hop by hop", headers=("Keep-Alive: 1", "Proxy-Connection: x", "Te: gzip", "Proxy-Authorization: Basic eA==")),
    Row("Te: trailers", headers=("Te: trailers",)),
    Row("headers that pass", headers=("Referer: http://a/", "Cookie: a=b", "X-Forwarded-Host: h", "X-Any: 1")),
    Row("addresses before ours", headers=("X-Forwarded-For: 192.0.2.1",)),
    Row("a header that Connection names", headers=("Connection: X-Named", "X-Named: 1"), differs="connection-names"),
    Row("a header with an underscore", headers=("X_Under: 1",), differs="underscores"),
    Row("X-Real-Ip", headers=("X-Real-Ip: 192.0.2.1",), differs="addresses"),
    Row("own Authorization", headers=("Authorization: Bearer own",), ours=403, differs="rights"),
    Row("own Impersonate-User", headers=("Impersonate-User: root",), ours=403, differs="rights"),
    Row("own Impersonate-Group", headers=("Impersonate-Group: g",), ours=403, differs="rights"),
    Row("a foreign origin", headers=("Origin: http://evil.com",), ours=403, differs="origins"),
    Row("a foreign origin posts", method="POST", body=b"{}", headers=("Origin: http://evil.com",), ours=403, differs="origins"),
    Row("another site", headers=("Sec-Fetch-Site: cross-site",), ours=403, differs="origins"),
    Row("own origin", headers=("Origin: http://127.0.0.1:PORT",)),
    Row("answers as they are", "/status/404", status=404),
    Row("another", "/status/500", status=500),
    Row("a redirect", "/status/302", status=302),
    Row("no answer", "/cut/proxy/x", method="POST", body=b"{}", status=500, ours=502, differs="errors"),
    Row("absolute form", "http://127.0.0.1:PORT/api/v1/pods"),
]
ROUTING = [
    Row("a prefix", "/custom/api/v1/pods/", flags=("--api-prefix=/custom/",)),
    Row("not below it", "/api/v1/pods/", flags=("--api-prefix=/custom/",), status=404),
    Row("a prefix that stays", "/api/v1/pods/", flags=("--api-prefix=/api/",)),
    Row("not below that one", "/metrics", flags=("--api-prefix=/api/",), status=404),
    Row("the prefix of the help", "/k8s-api/v1/pods", flags=("--api-prefix=/k8s-api",)),
    Row("an escape below a prefix", "/custom/api%2Fx", flags=("--api-prefix=/custom/",), differs="escapes"),
    Row("a prefix without its slash", "/custom", flags=("--api-prefix=/custom/",), status=307, ours=200, differs="redirects"),
    Row("two slashes", "/api//v1/pods", status=307, ours=200, differs="redirects"),
    Row("dots", "/api/v1/../v1/pods", status=307, ours=200, differs="redirects"),
]
UPGRADES = [
    Row("a websocket", "/up/websocket", headers=WEBSOCKET, status=101),
    Row("SPDY", "/up/spdy", "POST", headers=SPDY, status=101),
    Row("refused", "/status/403", headers=WEBSOCKET, status=403),
    Row("answered 200", "/api/v1/pods", headers=WEBSOCKET, status=500, ours=200, differs="no-upgrade"),
    Row(
        "of a foreign page",
        "/up/websocket",
        headers=(*WEBSOCKET, "Origin: http://evil.com"),
        status=101,
        ours=403,
        differs="origins",
    ),
    Row(
        "another protocol",
        "/up/other",
        headers=("Connection: Upgrade", "Upgrade: other"),
        status=101,
        ours=400,
        differs="protocols",
    ),
    Row("exec", f"{POD}/exec?command=ls", headers=WEBSOCKET, status=403),
]
APPEND = ("--append-server-path=true",)
AT = "/k8s/clusters/abc"
SERVER_PATHS = [
    Row("dropped", at=AT, flags=("--append-server-path=false",)),
    Row("put before by default", at=AT, differs="append"),
    Row("put before", at=AT, flags=APPEND),
    Row("before the root", "/", at=AT, flags=APPEND),
    Row("before an escape", "/api/a%2fb", at=AT, flags=APPEND),
    Row("before a query", "/api?x=%2F", at=AT, flags=APPEND),
    Row("twice", f"{AT}/api", at=AT, flags=APPEND, differs="append-once"),
    Row("behind a prefix", "/custom/api/v1", at=AT, flags=(*APPEND, "--api-prefix=/custom/")),
    Row("of an upgrade", "/up/websocket", "GET", WEBSOCKET, at=AT, flags=APPEND, status=101),
    Row("exec below it", f"{POD}/exec", at=AT, flags=APPEND, status=403),
    Row("exec that a client writes below it", f"{AT}{POD}/exec", at=AT, flags=APPEND, ours=403, differs="append"),
    Row(
        "the same where it is dropped",
        f"{AT}{POD}/exec",
        at=AT,
        flags=("--append-server-path=false",),
        ours=403,
        differs="append",
    ),
]
ROWS = [*SERVER_PATHS, *ACCEPT, *FILTERS, *FORWARDING, *ROUTING, *UPGRADES]


def status(exchange: Exchange) -> None:
    code = int(exchange.request.path.rpartition("/")[2])
    exchange.reply(code, "Location: https://api.example/x", "X-Own: 1", "Content-Type: text/plain", body=b"as it is")


def cut(exchange: Exchange) -> None:
    exchange.body()
    exchange.leave()


def server() -> Upstream:
    """An API server that answers in several ways."""
    found = Upstream()
    found.at("/status/", status)
    found.at("/cut", cut)
    found.at("/up/websocket", lambda exchange: websocket(exchange, early=b"early"))
    found.at(f"{AT}/up/websocket", lambda exchange: websocket(exchange, early=b"early"))
    found.at("/up/spdy", lambda exchange: exchange.switch("SPDY/3.1", early=b"early"))
    found.at("/up/other", lambda exchange: exchange.switch("other", early=b"early"))
    return found


Side = tuple[Proxying, Upstream]


class Pairs:
    """Both proxies, in front of a server each, by their flags: once started they are kept."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._known: dict[tuple[str, ...], list[Side]] = {}

    def of(self, flags: tuple[str, ...], at: str) -> list[Side]:
        """kubectl's first."""
        key = (*flags, at)
        if key not in self._known:
            self._known[key] = [self._side(program, flags, at) for program in ((str(kubectl()), "proxy"), ())]
        return self._known[key]

    def _side(self, program: Sequence[str], flags: Sequence[str], at: str) -> Side:
        person = self._stack.enter_context(home())
        upstream = self._stack.enter_context(server())
        file = kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}{at}")
        arguments = ("--port=0", f"--kubeconfig={file}", *flags)
        return self._stack.enter_context(proxying(*arguments, home=person, program=program)), upstream


@pytest.fixture(scope="module")
def pairs() -> Iterator[Pairs]:
    """Pairs for the rows of this module."""
    with contextlib.ExitStack() as stack:
        yield Pairs(stack)


@dataclass(frozen=True)
class Outcome:
    """What came back, and what the server got, as far as they are to be the same."""

    status: int
    headers: dict[str, str]
    body: bytes
    got: tuple[str, str, tuple[tuple[str, str], ...], bytes] | None


def ask(side: Side, row: Row) -> Outcome:
    proxy, upstream = side
    before = len(upstream.requests)
    filled = [one.replace("PORT", str(proxy.port)) for one in (row.target, row.host or "", *row.headers)]
    target, host, *headers = filled
    data = request(row.method, target, *headers, host=host if row.host is not None else None, body=row.body)
    if row.chunked:
        data += b"3\r\nabc\r\n0\r\n\r\n"
    with proxy.dial() as client:
        try:
            answer = client.ask(data)
            if answer.status == 101:
                answer = Answer(101, answer.headers, client.exactly(5))
        except NoAnswer:
            answer = Answer(0, ())
    new = upstream.requests[before:]
    assert len(new) <= 1, f"{row} came {len(new)} times"
    kept = {name: value for name, value in answer.headers if name in _ANSWERED}
    body = answer.body.replace(str(upstream.port).encode(), b"SERVER")
    return Outcome(answer.status, kept, body, got(new[0], upstream, proxy) if new else None)


def got(seen: Request, upstream: Upstream, proxy: Proxying) -> tuple[str, str, tuple[tuple[str, str], ...], bytes]:
    """What the server got, both servers' and proxies' own ports taken out."""

    def same(text: str) -> str:
        return text.replace(str(upstream.port), "SERVER").replace(str(proxy.port), "PORT")

    forwarded = ", ".join(seen.values("x-forwarded-for"))
    headers = {(name, same(value)) for name, value in seen.headers if name not in _FREE and name != "x-forwarded-for"}
    return seen.method, same(seen.target), (*sorted(headers), ("x-forwarded-for", forwarded)), seen.body


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_same_request_through_both(pairs: Pairs, row: Row) -> None:
    theirs, ours = (ask(side, row) for side in pairs.of(row.flags, row.at))
    assert theirs.status == row.status
    assert ours.status == (row.status if row.ours is None else row.ours)
    if row.differs:
        assert row.differs in DIFFERENCES
        assert (theirs.status, theirs.got) != (ours.status, ours.got), "it is the same after all"
        return
    assert ours.got == theirs.got
    if ours.got is None and row.method != "HEAD" and row.host is not None:
        assert b'"kind":"Status"' in ours.body
    if theirs.got is not None:
        # What comes from the server is as it is; what a proxy says itself is a Status here.
        assert (ours.headers, ours.body) == (theirs.headers, theirs.body)


def test_every_difference_has_a_row() -> None:
    assert set(DIFFERENCES) >= {row.differs for row in ROWS if row.differs}
    assert all(reason for reason in DIFFERENCES.values())
