"""What may be sent twice, and what never is; counted where it arrives."""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from kubegate.model.address import Endpoint
from kubegate.system.network import free_port
from tests.support.gate import Gate, plan, quick_checks
from tests.support.rawhttp import NoAnswer, request
from tests.support.upstream import Exchange, Upstream, answer_ok, eventually

pytestmark = pytest.mark.haproxy

_numbers = itertools.count()
WRITES = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def second() -> Iterator[Upstream]:
    """Another API server of the same cluster."""
    with Upstream() as second:
        yield second


@pytest.fixture(scope="module")
def pair(upstream: Upstream, second: Upstream) -> Iterator[Gate]:
    """A gate in front of both."""
    with Gate(plan(upstream.endpoint, second.endpoint)) as gate:
        yield gate


def leave(exchange: Exchange) -> None:
    """Close instead of an answer."""
    exchange.leave()


def leave_first(times: int) -> Callable[[Exchange], None]:
    """Close instead of an answer this many times, then answer."""
    left = itertools.count()
    return lambda exchange: exchange.leave() if next(left) < times else answer_ok(exchange)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_is_repeated_where_no_answer_began(gate: Gate, upstream: Upstream, version: str, method: str) -> None:
    path = f"{PODS}/again-{next(_numbers)}"
    upstream.at(path, leave_first(2))
    assert gate.ask(version, method, path).status == 200
    assert len(upstream.seen(path)) == 3
    assert len({arrived.head for arrived in upstream.seen(path)}) == 1


def test_a_read_is_not_repeated_for_ever(gate: Gate, upstream: Upstream, version: str) -> None:
    path = f"{PODS}/never-{next(_numbers)}"
    upstream.at(path, leave)
    answer = gate.ask(version, "GET", path)
    assert (answer.status, answer.json["reason"]) == (502, "BadGateway")
    assert len(upstream.seen(path)) == 3


def test_a_read_is_repeated_at_the_other_server(pair: Gate, upstream: Upstream, second: Upstream) -> None:
    path = f"{PODS}/other-{next(_numbers)}"
    upstream.at(path, leave)
    for _ in range(10):
        assert pair.ask("h1", "GET", path).json["server"] == second.port
    assert upstream.seen(path)


def test_a_read_whose_answer_began_is_not_repeated(gate: Gate, upstream: Upstream) -> None:
    path = f"{PODS}/began-{next(_numbers)}"

    def begin(exchange: Exchange) -> None:
        exchange.wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        exchange.leave()

    upstream.at(path, begin)
    with gate.h1() as client:
        client.wire.send(request("GET", path))
        assert client.head().status == 200
        assert client.rest() == b"half"
    assert len(upstream.seen(path)) == 1


def without_pool(gate: Gate, *upstreams: Upstream) -> None:
    """Let the gate have no connection to any of them."""
    for upstream in upstreams:
        upstream.cut()
    eventually(lambda: not any(int(idle) for one in upstreams for idle in gate.stat("idle_conn_cur", str(one.endpoint))))


@pytest.mark.parametrize("method", WRITES)
def test_anything_else_is_never_sent_twice(pair: Gate, upstream: Upstream, second: Upstream, version: str, method: str) -> None:
    path = f"{PODS}/once-{next(_numbers)}"
    upstream.at(path, leave)
    second.at(path, leave)
    without_pool(pair, upstream, second)
    answer = pair.ask(version, method, path, body=b"{}")
    assert (answer.status, answer.json["reason"]) == (502, "BadGateway")
    assert len(upstream.seen(path) + second.seen(path)) == 1


@pytest.mark.parametrize("method", WRITES)
def test_a_write_on_a_pooled_connection_that_breaks_gets_no_answer(
    gate: Gate, upstream: Upstream, version: str, method: str
) -> None:
    """Sent once too, but HAProxy closes (HTTP/1) or resets (HTTP/2) instead of a 502, so that the client may repeat it."""
    path = f"{PODS}/pooled-{next(_numbers)}"
    upstream.at(path, leave)
    assert gate.ask(version, "GET", "/warm").status == 200
    with pytest.raises(NoAnswer):
        gate.ask(version, method, path, body=b"{}")
    assert len(upstream.seen(path)) == 1


@pytest.mark.parametrize(
    "end",
    [
        "/exec?command=sh",
        "/attach",
        "/portforward?ports=80",
        "/proxy",
        "/proxy/run",
        "/%65xec?command=sh",
        "/exe%63",
        "/%61ttach",
        "/portforwar%64",
        "/%70roxy/run",
        "%2Fexec",
        "?watch=true",
        "/log?follow=true",
    ],
)
def test_a_read_that_may_run_something_is_never_sent_twice(
    pair: Gate, upstream: Upstream, second: Upstream, version: str, end: str
) -> None:
    path = f"{PODS}/once-{next(_numbers)}"
    upstream.at(path, leave)
    second.at(path, leave)
    assert pair.ask(version, "GET", f"{path}{end}").status == 502
    assert len(upstream.seen(path) + second.seen(path)) == 1


@pytest.mark.parametrize("protocol", ["websocket", "SPDY/3.1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upgrade_is_never_sent_twice(pair: Gate, upstream: Upstream, second: Upstream, protocol: str, method: str) -> None:
    path = f"/apis/any/v1/once-{next(_numbers)}"
    upstream.at(path, leave)
    second.at(path, leave)
    key = ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
    asked = request(method, path, "Connection: Upgrade", f"Upgrade: {protocol}", *key)
    assert pair.once(asked).status == 502
    assert len(upstream.seen(path) + second.seen(path)) == 1


def test_a_server_that_is_gone_costs_nobody_an_answer(upstream: Upstream) -> None:
    """One of two dies under load, connections and all: no read fails, and writes still find the other."""
    second = Upstream()
    with contextlib.closing(second), Gate(plan(upstream.endpoint, second.endpoint)) as gate:
        statuses: list[int] = []
        half, lock = threading.Event(), threading.Lock()

        def ask_many(_: int) -> None:
            with gate.h1() as client:
                for _ in range(60):
                    status = client.ask(request("GET", f"{PODS}/many")).status
                    with lock:
                        statuses.append(status)
                        if len(statuses) > 120:
                            half.set()

        with ThreadPoolExecutor(8) as pool:
            running = pool.map(ask_many, range(8))
            half.wait(20)
            second.close()
            list(running)
        assert statuses == [200] * 480
        assert second.seen(f"{PODS}/many")
        assert gate.ask("h1", "POST", f"{PODS}/many", body=b"{}").status == 200
        eventually(lambda: any(f"{second.endpoint} is down" in said for said in gate.said), "the dead server is noticed")


def test_writes_find_the_server_that_listens(upstream: Upstream) -> None:
    dead = Endpoint("127.0.0.1", free_port("127.0.0.1"))
    with Gate(plan(dead, upstream.endpoint)) as gate:
        for number in range(4):
            assert gate.ask("h1", "POST", f"{PODS}/found-{number}", body=b"{}").status == 200
            assert gate.ask("h1", "GET", f"{PODS}/found-{number}?watch=true").status == 200
            assert [seen.method for seen in upstream.seen(f"{PODS}/found-{number}")] == ["POST", "GET"]


def test_a_server_that_comes_back_is_used_again() -> None:
    with Upstream() as upstream, Gate(plan(upstream.endpoint), quick_checks) as gate:
        upstream.close()
        assert gate.ask("h1", "GET", "/gone").status == 503
        assert gate.ask("h2", "POST", "/gone", body=b"{}").json["reason"] == "ServiceUnavailable"
        eventually(lambda: gate.said, "the dead server is noticed")
        upstream.start()
        eventually(lambda: gate.ask("h1", "GET", "/back").status == 200, "it is used again")
        eventually(lambda: f"API server {upstream.endpoint} answers again" in gate.said)


@pytest.mark.parametrize(("status", "alive"), [(200, True), (401, True), (403, True), (500, False), (404, False), (302, False)])
def test_what_health_checks_make_of_readyz(status: int, alive: bool) -> None:
    upstream = Upstream(leaf=None, ready=status)
    with upstream, Gate(plan(upstream.endpoint, tls=False)) as gate:
        if alive:
            eventually(lambda: gate.stat("check_status", str(upstream.endpoint))[0] == "L7OK", "the check is through")
            assert gate.ask("h1", "GET", "/alive").status == 200
            assert not gate.said
        else:
            eventually(lambda: {"DOWN"} == set(gate.stat("status", str(upstream.endpoint))), "it is down, for streams too")
            assert gate.ask("h1", "GET", "/dead").status == 503
            assert gate.ask("h1", "GET", "/dead?watch").status == 503
            assert not upstream.seen("/dead")
            assert str(status) in gate.said[0]
