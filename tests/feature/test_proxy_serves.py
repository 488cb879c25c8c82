"""`kubegate proxy` in front of a server that records every byte: what goes on, what comes back, as whom."""

import time
from collections.abc import Iterator

import pytest

from tests.support.expose import Home, home, kubeconfig
from tests.support.proxy import WEBSOCKET, Proxying, proxying
from tests.support.rawhttp import NoAnswer, request
from tests.support.upstream import Exchange, Upstream, answer_ok, eventually, websocket
from tests.support.wire import PATIENCE_SECONDS

pytestmark = pytest.mark.haproxy


@pytest.fixture(scope="module")
def proxy(upstream: Upstream) -> Iterator[Proxying]:
    """A proxy with all defaults but the port."""
    with home() as person:
        file = kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}")
        with proxying("--kubeconfig", str(file), "--port=0", home=person) as running:
            yield running


def test_a_request_gets_the_credential_and_the_servers_host(proxy: Proxying, upstream: Upstream) -> None:
    assert proxy.ask("/api/v1/first?limit=1", "User-Agent: script/1").json["target"] == "/api/v1/first?limit=1"
    [seen] = upstream.seen("/api/v1/first")
    assert seen.values("authorization") == ["Bearer token-of-the-person"]
    assert seen.values("host") == [f"127.0.0.1:{upstream.port}"]
    assert seen.values("user-agent") == ["script/1"]
    assert seen.values("x-forwarded-for") == ["127.0.0.1"]


def test_second_reads_on_a_connection_are_the_same(proxy: Proxying, upstream: Upstream) -> None:
    with proxy.dial() as client:
        for number in range(3):
            assert client.ask(request("GET", f"/api/v1/same/{number}", "User-Agent: a", host="localhost")).status == 200
    seen = [request.headers for request in upstream.seen("/api/v1/same")]
    assert len(seen) == 3
    assert seen[0] == seen[1] == seen[2]


def test_an_escaped_slash_stays_one(proxy: Proxying, upstream: Upstream) -> None:
    assert proxy.ask("/api/v1/escaped/a%2Fb%20c").status == 200
    assert upstream.seen("/api/v1/escaped")[0].target == "/api/v1/escaped/a%2Fb%20c"


@pytest.mark.parametrize("header", ["Authorization: Bearer own", "Impersonate-User: root", "Impersonate-Group: system:masters"])
def test_rights_of_the_clients_own_are_refused(proxy: Proxying, upstream: Upstream, header: str) -> None:
    answer = proxy.ask("/api/v1/rights", header)
    assert (answer.status, answer.json["kind"], answer.json["code"]) == (403, "Status", 403)
    assert "--pass-" in answer.json["message"]
    assert upstream.seen("/api/v1/rights") == []


def test_a_token_as_a_subprotocol_is_refused(proxy: Proxying, upstream: Upstream) -> None:
    protocol = "Sec-WebSocket-Protocol: v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.dG9rZW4"
    assert proxy.ask("/api/v1/subprotocol", *WEBSOCKET, protocol).status == 403
    assert upstream.seen("/api/v1/subprotocol") == []


@pytest.mark.parametrize(
    "headers",
    [
        ("Origin: http://evil.example",),
        ("Origin: null",),
        ("Origin: http://localhost:1",),
        ("Origin: https://localhost:PORT",),
        ("Origin: http://localhost:PORT", "Origin: http://evil.example"),
        ("Origin: http://evil.example", *WEBSOCKET),
        ("Sec-Fetch-Site: cross-site",),
        ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"),
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"),
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Origin: http://evil.example"),
    ],
)
def test_pages_of_others_are_refused(proxy: Proxying, upstream: Upstream, headers: tuple[str, ...]) -> None:
    answer = proxy.ask("/api/v1/pages", *(one.replace("PORT", str(proxy.port)) for one in headers))
    assert (answer.status, answer.json["reason"]) == (403, "Forbidden")
    assert upstream.seen("/api/v1/pages") == []


@pytest.mark.parametrize(
    "headers",
    [
        ("Origin: http://localhost:PORT",),
        ("Origin: http://127.0.0.1:PORT", "Sec-Fetch-Site: same-origin"),
        ("Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"),
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"),
    ],
)
def test_pages_of_its_own_and_links_pass(proxy: Proxying, headers: tuple[str, ...]) -> None:
    assert proxy.ask("/api/v1/own", *(one.replace("PORT", str(proxy.port)) for one in headers)).status == 200


def test_a_navigation_that_writes_is_refused(proxy: Proxying) -> None:
    headers = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    assert proxy.ask("/api/v1/form", *headers, method="POST", body=b"{}").status == 403


def test_an_upgrade_is_a_tunnel_in_both_directions_and_half_closes(proxy: Proxying, upstream: Upstream) -> None:
    def script(exchange: Exchange) -> None:
        websocket(exchange, early=b"early")
        data = b""
        while more := exchange.receive():
            data += more
        exchange.wire.send(b"after the end: " + data)
        exchange.leave()

    upstream.at("/api/v1/tunnel", script)
    with proxy.dial() as client:
        answer = client.ask(request("GET", "/api/v1/tunnel", *WEBSOCKET, host="localhost"))
        assert answer.status == 101
        assert client.exactly(5) == b"early"
        client.wire.send(b"\x00bytes\xff")
        client.wire.end()
        assert client.rest() == b"after the end: \x00bytes\xff"
    assert upstream.seen("/api/v1/tunnel")[0].values("authorization") == ["Bearer token-of-the-person"]


def test_a_spdy_upgrade_by_post(proxy: Proxying, upstream: Upstream) -> None:
    upstream.at("/api/v1/spdy", lambda exchange: exchange.switch("SPDY/3.1", early=b"frames"))
    headers = ("Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io")
    with proxy.dial() as client:
        assert client.ask(request("POST", "/api/v1/spdy", *headers, host="localhost")).status == 101
        assert client.exactly(6) == b"frames"


def test_a_refused_upgrade_is_an_answer_and_no_tunnel(proxy: Proxying, upstream: Upstream) -> None:
    upstream.at("/api/v1/no-tunnel", lambda exchange: exchange.reply(400, body=b"no"))
    answer = proxy.ask("/api/v1/no-tunnel", *WEBSOCKET)
    assert (answer.status, answer.body) == (400, b"no")


def test_exec_is_refused_by_default_with_the_rule(proxy: Proxying, upstream: Upstream) -> None:
    answer = proxy.ask("/api/v1/namespaces/d/pods/p/exec?command=ls", *WEBSOCKET)
    assert answer.status == 403
    assert "--reject-paths" in answer.json["message"]
    assert upstream.seen("/api/v1/namespaces/d/pods/p/exec") == []


def test_a_watch_comes_without_delay(proxy: Proxying, upstream: Upstream) -> None:
    def script(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"one")
        exchange.receive()
        exchange.leave()

    upstream.at("/api/v1/watched", script)
    with proxy.dial() as client:
        client.wire.send(request("GET", "/api/v1/watched?watch=1", host="localhost"))
        assert client.head().status == 200
        assert client.chunk() == b"one"


def test_redirects_of_the_server_are_passed_on_and_not_followed(proxy: Proxying, upstream: Upstream) -> None:
    upstream.at("/api/v1/moved", lambda exchange: exchange.reply(302, "Location: https://elsewhere.example/x"))
    answer = proxy.ask("/api/v1/moved")
    assert (answer.status, answer.header("location")) == (302, "https://elsewhere.example/x")


def test_an_answer_that_is_none_is_502_as_a_status(proxy: Proxying, upstream: Upstream) -> None:
    def script(exchange: Exchange) -> None:
        exchange.body()
        exchange.wire.send(b"this is no HTTP\r\n\r\n")
        exchange.leave()

    upstream.at("/api/v1/garbage", script)
    answer = proxy.ask("/api/v1/garbage", method="POST", body=b"{}")
    assert (answer.status, answer.json["kind"], answer.json["reason"]) == (502, "Status", "BadGateway")


@pytest.mark.parametrize(("name", "kept"), [("Keep-Alive: 5", False), ("Te: gzip", False), ("Te: trailers", True)])
def test_headers_of_one_hop(proxy: Proxying, upstream: Upstream, name: str, kept: bool) -> None:
    path = f"/api/v1/hop/{name.split(':')[0]}{kept}"
    assert proxy.ask(path, name).status == 200
    assert bool(upstream.seen(path)[0].values(name.split(":")[0].lower())) == kept


def test_a_host_of_somebody_else_is_refused(proxy: Proxying) -> None:
    answer = proxy.ask("/api/v1/pods", host="evil.example")
    assert answer.status == 403
    assert "--accept-hosts" in answer.json["message"]


def test_an_idle_connection_stays(proxy: Proxying) -> None:
    with proxy.dial() as client:
        assert client.ask(request("GET", "/api/v1/idle", host="localhost")).status == 200
        client.wire.socket.settimeout(1.5)
        with pytest.raises(TimeoutError):
            client.wire.receive()
        client.wire.socket.settimeout(PATIENCE_SECONDS)
        assert client.ask(request("GET", "/api/v1/idle", host="localhost")).status == 200


@pytest.mark.parametrize(("method", "repeated"), [("GET", True), ("POST", False)])
def test_after_a_pause_a_read_is_repeated_where_its_connection_breaks_and_a_write_is_not(
    proxy: Proxying, upstream: Upstream, method: str, repeated: bool
) -> None:
    path = f"/api/v1/breaks/{method}"

    def script(exchange: Exchange) -> None:
        if len(upstream.seen(path)) == 1:
            exchange.leave()
        else:
            answer_ok(exchange)

    upstream.at(path, script)
    with proxy.dial() as client:
        assert client.ask(request("GET", "/api/v1/before", host="localhost")).status == 200
        time.sleep(3)
        body = b"{}" if method == "POST" else None
        if repeated:
            assert client.ask(request(method, path, host="localhost", body=body)).status == 200
        else:
            with pytest.raises(NoAnswer):
                client.ask(request(method, path, host="localhost", body=body))
    assert len(upstream.seen(path)) == (2 if repeated else 1)


def test_it_starts_without_its_server_and_recovers(person: Home) -> None:
    server = Upstream()
    server.close()
    file = kubeconfig(person.path / "config", f"https://127.0.0.1:{server.port}")
    with proxying("--kubeconfig", str(file), "--port=0", home=person) as proxy:
        answer = proxy.ask("/version")
        assert (answer.status, answer.json["kind"]) == (503, "Status")
        server.start()
        try:
            eventually(lambda: proxy.ask("/version").status == 200, "it has recovered")
        finally:
            server.close()
