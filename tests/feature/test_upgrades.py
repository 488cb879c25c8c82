"""WebSocket and SPDY/3.1 become tunnels that carry every byte both ways; other upgrades do not, and failed ones end there."""

import contextlib
import itertools
import threading
from collections.abc import Callable

import pytest

from tests.support.gate import Gate
from tests.support.rawh2 import Refused
from tests.support.rawhttp import Client, NoAnswer, request
from tests.support.upstream import Exchange, Upstream, websocket

pytestmark = pytest.mark.haproxy

KEY = ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
TOKEN = "base64url.bearer.authorization.k8s.io.ZXlKaGJHY2lPaUpTVXpJMU5pSjku"
WEBSOCKET = ["Connection: Upgrade", "Upgrade: websocket", *KEY, f"Sec-WebSocket-Protocol: {TOKEN}, v5.channel.k8s.io"]
SPDY = ["Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io"]
EVERY_BYTE = bytes(range(256)) * 1000
_numbers = itertools.count()


def accept(exchange: Exchange, early: bytes = b"") -> None:
    """Say 101 to whatever protocol is asked for."""
    [protocol] = exchange.request.values("upgrade")
    if protocol == "websocket":
        websocket(exchange, "Sec-WebSocket-Protocol: v5.channel.k8s.io", early=early)
    else:
        exchange.switch(protocol, "X-Stream-Protocol-Version: v4.channel.k8s.io", early=early)


def echo(exchange: Exchange) -> None:
    """Accept, and send back what comes, until it ends."""
    accept(exchange)
    while data := exchange.receive():
        exchange.wire.send(data)


def upgrade(upstream: Upstream, script: Callable[[Exchange], None], method: str, headers: list[str]) -> tuple[str, bytes]:
    """A path with a script, and the request for it."""
    path = f"/api/v1/namespaces/default/pods/p{next(_numbers)}/exec"
    upstream.at(path, script)
    return path, request(method, f"{path}?command=sh&stdin=true", *headers)


both = pytest.mark.parametrize(("method", "headers"), [("GET", WEBSOCKET), ("POST", SPDY)], ids=["websocket", "spdy"])


@both
def test_tunnel_carries_every_byte_both_ways(gate: Gate, upstream: Upstream, method: str, headers: list[str]) -> None:
    path, asked = upgrade(upstream, echo, method, headers)
    with gate.h1() as client:
        client.wire.send(asked)
        answer = client.head()
        assert answer.status == 101
        assert answer.header("upgrade") == headers[1].partition(" ")[2]
        assert answer.header("connection").lower() == "upgrade"
        sender = threading.Thread(target=client.wire.send, args=(EVERY_BYTE,))
        sender.start()
        assert client.exactly(len(EVERY_BYTE)) == EVERY_BYTE
        sender.join()
    [arrived] = upstream.seen(path)
    sent = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in headers)]
    assert sorted(arrived.headers) == sorted([*sent, ("host", "gate.test"), ("x-forwarded-for", "127.0.0.1")])


@both
def test_early_data_of_both_sides_arrives(gate: Gate, upstream: Upstream, method: str, headers: list[str]) -> None:
    def early(exchange: Exchange) -> None:
        accept(exchange, early=b"first of the server")
        exchange.wire.send(b", got " + exchange.receive())

    _, asked = upgrade(upstream, early, method, headers)
    with gate.h1() as client:
        client.wire.send(asked + b"first of the client")
        assert client.head().status == 101
        assert client.rest() == b"first of the server, got first of the client"


@both
def test_end_of_the_client_reaches_the_server_which_may_go_on(
    gate: Gate, upstream: Upstream, method: str, headers: list[str]
) -> None:
    def late(exchange: Exchange) -> None:
        accept(exchange)
        data = b""
        while more := exchange.receive():
            data += more
        exchange.wire.send(b"after the end: " + data)

    _, asked = upgrade(upstream, late, method, headers)
    with gate.h1() as client:
        client.wire.send(asked)
        assert client.head().status == 101
        client.wire.send(b"all there is")
        client.wire.end()
        assert client.rest() == b"after the end: all there is"


@both
def test_end_of_the_server_reaches_the_client_which_may_go_on(
    gate: Gate, upstream: Upstream, method: str, headers: list[str]
) -> None:
    """Not where the end comes in one read with the 101: HAProxy then closes both directions at times."""
    received = bytearray()

    def done_early(exchange: Exchange) -> None:
        accept(exchange)
        exchange.wire.send(exchange.receive() + b" all there is")
        exchange.wire.end()
        while data := exchange.receive():
            received.extend(data)
            upstream.announce()

    _, asked = upgrade(upstream, done_early, method, headers)
    with gate.h1() as client:
        client.wire.send(asked)
        assert client.head().status == 101
        client.wire.send(b"go:")
        assert client.rest() == b"go: all there is"
        client.wire.send(b"after the end")
        upstream.wait_until(lambda: received == b"after the end")


@pytest.mark.parametrize("protocol", ["WebSocket", "spdy/3.1", "SPDY/3.1", "websocket"])
def test_case_of_the_protocol_does_not_matter(gate: Gate, upstream: Upstream, protocol: str) -> None:
    path = f"/case-{protocol}"
    upstream.at(path, lambda exchange: exchange.reply(403))
    asked = request("POST" if "/" in protocol else "GET", path, "Connection: upgrade", f"Upgrade: {protocol}", *KEY)
    assert gate.once(asked).status == 403
    assert upstream.seen(path)[0].values("upgrade") == [protocol]


@pytest.mark.parametrize(
    "headers",
    [
        ["Connection: Upgrade", "Upgrade: foo"],
        ["Connection: Upgrade", "Upgrade: foo, websocket", *KEY],
        ["Connection: Upgrade", "Upgrade: websocket, foo", *KEY],
        ["Connection: Upgrade", "Upgrade: websocket,SPDY/3.1", *KEY],
        ["Connection: Upgrade", "Upgrade: websocket", "Upgrade: SPDY/3.1", *KEY],
        ["Connection: Upgrade", "Upgrade: websocket", "Upgrade: websocket", *KEY],
        ["Connection: Upgrade", "Upgrade: SPDY/3.1", "Upgrade: foo"],
        ["Connection: Upgrade", "Upgrade: SPDY/3"],
        ["Connection: Upgrade", "Upgrade: TLS/1.0"],
        ["Connection: Upgrade", "Upgrade: connect-udp"],
        ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"],
        ["Connection: Upgrade", "Upgrade: websocket, h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", *KEY],
        ["Connection: HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"],
    ],
    ids=lambda headers: "|".join(line for line in headers if line not in KEY),
)
def test_other_upgrades_are_refused(gate: Gate, upstream: Upstream, headers: list[str]) -> None:
    path, asked = upgrade(upstream, accept, "GET", headers)
    answer = gate.once(asked)
    assert answer.status == 400
    assert "upgrade" in answer.json["message"]
    assert not upstream.seen(path)


@pytest.mark.parametrize(
    "headers",
    [
        ["Connection: Upgrade", "Upgrade: h2c"],
        ["Connection: Upgrade", "Upgrade: H2C"],
        ["Connection: Upgrade", "Upgrade: h2"],
        ["Connection: Upgrade", "Upgrade:"],
        ["Connection: Upgrade"],
        ["Upgrade: foo"],
        ["Upgrade: websocket", *KEY],
        ["Upgrade: SPDY/3.1"],
    ],
    ids=lambda headers: "|".join(line for line in headers if line not in KEY),
)
def test_upgrades_that_haproxy_itself_removes(gate: Gate, upstream: Upstream, headers: list[str]) -> None:
    path = f"/removed-{next(_numbers)}"
    assert gate.once(request("GET", path, *headers)).status == 200
    [arrived] = upstream.seen(path)
    assert not arrived.values("upgrade")
    assert not arrived.values("connection")


@pytest.mark.parametrize("upgrades", [["websocket, h2c"], ["h2c, websocket"], ["websocket", "h2c"]], ids=str)
def test_h2c_beside_a_websocket_is_not_passed_on(gate: Gate, upstream: Upstream, upgrades: list[str]) -> None:
    """HAProxy drops the one word before any rule sees it: what is left is an honest upgrade to websocket."""
    path = f"/beside-{next(_numbers)}"
    upstream.at(path, lambda exchange: exchange.reply(403))
    lines = [f"Upgrade: {value}" for value in upgrades]
    assert gate.once(request("GET", path, "Connection: Upgrade", *lines, *KEY)).status == 403
    [arrived] = upstream.seen(path)
    assert arrived.values("upgrade") == ["websocket"]


def test_upgrade_in_http_1_0_is_refused(gate: Gate, upstream: Upstream) -> None:
    path = f"/old-{next(_numbers)}"
    assert gate.once(request("GET", path, *WEBSOCKET, version="HTTP/1.0")).status == 400
    assert not upstream.seen(path)


def answers_on(client: Client) -> list[int]:
    """The statuses of every answer up to the end."""
    statuses = []
    try:
        while True:
            statuses.append(client.answer().status)
    except NoAnswer:
        return statuses


@both
@pytest.mark.parametrize("status", [200, 204, 301, 307, 403, 404, 500])
def test_after_a_failed_upgrade_there_is_no_tunnel(
    gate: Gate, upstream: Upstream, method: str, headers: list[str], status: int
) -> None:
    """The second request is judged by itself: what it must not say is removed, and a hostile one is refused."""

    def fail(exchange: Exchange) -> None:
        exchange.reply(status, "Location: https://elsewhere.test/", body=b"no")

    path, asked = upgrade(upstream, fail, method, headers)
    marker = f"/second-{next(_numbers)}"
    second = request("GET", marker, "X-Remote-User: joe", "X-Remote-Group: system:masters")
    hostile = request("GET", f"{marker}-hostile", "X_Remote_User: joe")
    with gate.h1() as client:
        client.wire.send(asked + second + hostile)
        # A refusal ends the connection.
        statuses = answers_on(client)
    assert statuses in ([status], [status, 200, 400])
    assert len(upstream.seen(path)) == 1
    assert all(not arrived.values("x-remote-user") for arrived in upstream.seen(marker))
    assert not upstream.seen(f"{marker}-hostile")
    assert b"joe" not in upstream.received()


@both
def test_a_failed_upgrade_with_nothing_after_it_is_just_an_answer(
    gate: Gate, upstream: Upstream, method: str, headers: list[str]
) -> None:
    _, asked = upgrade(upstream, lambda exchange: exchange.reply(403, body=b"no such luck"), method, headers)
    answer = gate.once(asked)
    assert (answer.status, answer.body) == (403, b"no such luck")


def test_an_upgrade_with_a_body_is_one_request(gate: Gate, upstream: Upstream) -> None:
    path = f"/with-body-{next(_numbers)}"
    inner = request("GET", "/inside-a-body", "X-Remote-User: joe")
    with gate.h1() as client:
        assert client.ask(request("POST", path, *SPDY, body=inner)).status == 200
        client.wire.end()
        assert client.ended()
    assert upstream.seen(path)[0].body == inner
    assert not upstream.seen("/inside-a-body")


def test_websocket_over_http2_becomes_an_upgrade(gate: Gate, upstream: Upstream) -> None:
    path = "/over-h2"
    upstream.at(path, echo)
    with gate.h2() as client:
        stream = client.send_fields(extended_connect(path, "websocket"), end=False)
        assert client.head(stream).status == 200
        client.send(stream, EVERY_BYTE[:40_000])
        data = b""
        while len(data) < 40_000:
            data += client.data(stream)
        assert data == EVERY_BYTE[:40_000]
        client.send(stream, b"", end=True)
        assert client.data(stream) == b""
    [arrived] = upstream.seen(path)
    assert arrived.method == "GET"
    assert arrived.values("upgrade") == ["websocket"]
    assert arrived.values("connection") == ["Upgrade"]
    assert arrived.values("sec-websocket-protocol") == [f"{TOKEN}, v5.channel.k8s.io"]
    assert not arrived.values("x-remote-user")


@pytest.mark.parametrize("protocol", ["foo", "h2c", "connect-udp", "SPDY/3.1", "websocket, h2c", ""])
def test_other_protocols_over_http2_are_refused(gate: Gate, upstream: Upstream, protocol: str) -> None:
    path = f"/over-h2-{next(_numbers)}"
    with gate.h2() as client:
        stream = client.send_fields(extended_connect(path, protocol), end=False)
        with contextlib.suppress(Refused):
            assert client.head(stream).status == 400
    assert not upstream.seen(path)


def extended_connect(path: str, protocol: str) -> list[tuple[str, str]]:
    """The header block of RFC 8441, section 4."""
    return [
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "https"),
        (":path", path),
        (":authority", "gate.test"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", f"{TOKEN}, v5.channel.k8s.io"),
        ("x-remote-user", "joe"),
    ]
