"""Connections to the API server: pooled for plain requests, own ones for streams, and no reader that stalls holds up another."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.gate import Gate, plan
from tests.support.rawhttp import request
from tests.support.upstream import Exchange, Upstream

pytestmark = pytest.mark.haproxy

_numbers = itertools.count()
FIFTY_MEGABYTES = 50_000_000


def test_plain_requests_share_connections_in_http_1(gate: Gate, upstream: Upstream, version: str) -> None:
    path = f"/pooled-{version}"
    for _ in range(20):
        assert gate.ask(version, "GET", path).status == 200
    arrived = upstream.seen(path)
    assert len(arrived) == 20
    assert len({id(request.wire) for request in arrived}) <= 2
    assert all(request.head.split(b"\r\n")[0].endswith(b" HTTP/1.1") for request in arrived)


def test_http_1_is_spoken_where_http_2_is_offered() -> None:
    with Upstream() as upstream:
        assert upstream.context is not None
        upstream.context.set_alpn_protocols(["h2", "http/1.1"])
        with Gate(plan(upstream.endpoint)) as gate:
            for target in ("/plain", "/stream?watch"):
                assert gate.ask("h2", "GET", target).status == 200
            upstream.wait_until(lambda: upstream.health_checks)
        with Gate(plan(upstream.endpoint, passthrough=True)):
            upstream.wait_until(lambda: len(upstream.health_checks) > 1)
        assert all(request.head.split(b"\r\n")[0].endswith(b" HTTP/1.1") for request in upstream.requests)


def test_requests_of_one_http2_connection_run_side_by_side(gate: Gate, upstream: Upstream) -> None:
    """Each waits for all: they cannot have been queued one behind another."""
    count = 30

    def together(exchange: Exchange) -> None:
        upstream.wait_for("/together", count)
        exchange.reply()

    upstream.at("/together", together)
    with gate.h2() as client:
        streams = [client.start("GET", f"/together/{number}") for number in range(count)]
        assert [client.answer(stream).status for stream in streams] == [200] * count


def test_a_stream_has_a_connection_of_its_own(gate: Gate, upstream: Upstream) -> None:
    """Also where the same caller has just used another, and where an upgrade fails."""
    before = {id(wire) for wire in upstream.wires}
    upgrade = request("POST", "/own/exec", "Connection: Upgrade", "Upgrade: SPDY/3.1")
    with gate.h1() as client, gate.h2() as other:
        for _ in range(3):
            assert client.ask(request("GET", "/own?watch")).status == 200
            assert client.ask(upgrade).status == 200
            assert other.ask("GET", "/own?watch").status == 200
    wires = {id(arrived.wire) for arrived in upstream.seen("/own")}
    assert len(wires) == 9
    assert not wires & before
    assert gate.ask("h1", "GET", "/plain").status == 200
    assert id(upstream.seen("/plain")[0].wire) not in wires


def large(exchange: Exchange) -> None:
    """50 MB, as fast as they are taken."""
    exchange.body()
    exchange.wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % FIFTY_MEGABYTES)
    block = bytes(1_000_000)
    for _ in range(FIFTY_MEGABYTES // len(block)):
        exchange.wire.send(block)


@pytest.mark.parametrize("query", ["", "?watch=true"], ids=["list", "watch"])
def test_a_stalled_reader_blocks_nobody_else(version: str, query: str) -> None:
    """He has taken the head and no more; the others, on his own HTTP/2 connection too, get their answers."""

    def stalls(exchange: Exchange) -> None:
        try:
            large(exchange)
        except OSError:
            exchange.leave()

    with Upstream() as upstream, Gate(plan(upstream.endpoint)) as gate:
        upstream.at("/large", stalls)
        if version == "h1":
            with gate.h1() as client:
                client.wire.send(request("GET", f"/large{query}"))
                assert client.head().status == 200
                others_are_served(gate)
        else:
            with gate.h2() as other:
                stream = other.start("GET", f"/large{query}")
                other.stall(stream)
                assert other.head(stream).status == 200
                assert other.ask("GET", "/beside").status == 200
                others_are_served(gate)
                assert other.ask("GET", "/beside").status == 200


def others_are_served(gate: Gate) -> None:
    def ask(number: int) -> int:
        return gate.ask("h2" if number % 2 else "h1", "GET", f"/others/{number}").status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(40))) == {200}


def test_a_large_answer_arrives_whole(gate: Gate, upstream: Upstream, version: str) -> None:
    upstream.at("/whole", large)
    assert len(gate.ask(version, "GET", "/whole").body) == FIFTY_MEGABYTES
