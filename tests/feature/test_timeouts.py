"""Nothing cuts a stream that is merely silent, silence of other kinds ends soon, and dead peers are found."""

import re
import socket
import time
from pathlib import Path

import pytest

from tests.support.gate import Edit, Gate, plan
from tests.support.rawhttp import Client, request
from tests.support.tls import client_context, cluster_authority
from tests.support.upstream import Exchange, Upstream, eventually, late

pytestmark = pytest.mark.haproxy

DAY = 24 * 3600
UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY}


def shorter(**timeouts: str) -> Edit:
    """An edit that shortens timeouts of `defaults` and of the plain backend, underscores standing for dashes."""

    def edit(config: str) -> str:
        for name, value in timeouts.items():
            keyword = f"timeout {name.replace('_', '-')}"
            config, count = re.subn(rf"{keyword} \S+", f"{keyword} {value}", config, count=1)
            assert count == 1
        return config

    return edit


def seconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)([smhd])", text)
    assert match, text
    return int(match[1]) * UNITS[match[2]]


def timeouts(gate: Gate) -> dict[str, dict[str, int]]:
    """The timeouts of each section, with those of `defaults` where it has none of its own."""
    found: dict[str, dict[str, int]] = {}
    for text in gate.config.split("\n\n"):
        head, *lines = text.splitlines()
        own = dict(re.findall(r"^  timeout (\S+) (\S+)$", "\n".join(lines), re.MULTILINE))
        found[head] = {**found.get("defaults", {}), **{name: seconds(value) for name, value in own.items()}}
    return found


def hold(exchange: Exchange) -> None:
    """A watch, or a tunnel, on which nothing happens but at the beginning and after a second."""
    if exchange.request.values("upgrade"):
        exchange.switch("SPDY/3.1", early=b"first")
        time.sleep(1)
        exchange.wire.send(b"last")
    else:
        exchange.begin()
        exchange.chunk(b"first")
        time.sleep(1)
        exchange.chunk(b"last")
        exchange.chunk(b"")


def test_a_stream_may_be_silent_for_more_than_a_day(gate: Gate) -> None:
    assert timeouts(gate)["backend test:stream"]["server"] > DAY
    assert timeouts(gate)["backend test:stream"]["tunnel"] > DAY
    assert seconds(re.findall(r"hard-stop-after (\S+)", gate.config)[0]) > DAY


def test_a_pause_of_the_reader_may_last_an_hour(gate: Gate) -> None:
    assert timeouts(gate)["frontend gate"]["client"] == 3600


def test_an_ordinary_request_may_not_take_long(gate: Gate) -> None:
    assert timeouts(gate)["backend test"]["server"] <= 600
    assert timeouts(gate)["backend test"]["connect"] <= 30
    assert timeouts(gate)["frontend gate"]["http-request"] <= 30
    assert timeouts(gate)["frontend gate"]["http-keep-alive"] <= 300


def test_streams_obey_no_timeout_but_their_own(upstream: Upstream) -> None:
    """Whatever is short here is so for others: the stream and the tunnel are silent for longer."""
    short = shorter(client="300ms", server="300ms", http_request="300ms", http_keep_alive="300ms", queue="300ms")
    upstream.at("/held", hold)
    with Gate(plan(upstream.endpoint), short) as gate:
        with gate.h1() as client, gate.h1() as tunnel, gate.h2() as other:
            client.wire.send(request("GET", "/held?watch=true"))
            tunnel.wire.send(request("POST", "/held", "Connection: Upgrade", "Upgrade: SPDY/3.1"))
            stream = other.start("GET", "/held?watch=true")
            assert client.answer().body == b"firstlast"
            assert other.answer(stream).body == b"firstlast"
            assert tunnel.head().status == 101
            assert tunnel.rest() == b"firstlast"
        upstream.at("/slow", late(0.6))
        assert gate.once(request("GET", "/slow")).status == 504


def test_passed_through_everything_may_be_a_stream() -> None:
    with Upstream() as upstream, Gate(plan(upstream.endpoint, passthrough=True), shorter(client="300ms", server="300ms")) as gate:
        upstream.at("/held", hold)
        assert re.findall(r"timeout tunnel (\S+)", gate.config) == ["7d"]
        with gate.through(client_context(cluster_authority())) as client:
            client.wire.send(request("GET", "/held"))
            assert client.answer().body == b"firstlast"
            assert_kept_alive(gate, client, upstream)


def test_both_sides_of_a_stream_are_kept_alive(gate: Gate, upstream: Upstream) -> None:
    upstream.at("/held", hold)
    with gate.h1() as client:
        client.wire.send(request("GET", "/held?watch=true"))
        client.head()
        assert client.chunk() == b"first"
        assert_kept_alive(gate, client, upstream)
        assert client.chunk() == b"last"
        assert client.chunk() == b""


def assert_kept_alive(gate: Gate, client: Client, upstream: Upstream) -> None:
    """That the kernel probes, from the gate, the client's connection and one to the API server."""
    front = (gate.listen.port, client.wire.socket.getsockname()[1])
    # While something is unacknowledged another timer runs in its place.
    eventually(lambda: front in keepalive_timers(), "the client's connection is probed")
    eventually(lambda: any(peer == upstream.port for _, peer in keepalive_timers()), "the API server's connection is probed")


def keepalive_timers() -> set[tuple[int, int]]:
    """(own port, peer's port) of each TCP connection over IPv4 for which a keepalive timer runs (proc_pid_net(5), `tr`)."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, own, peer, state, _, timer, *_ = line.split()
        if int(state, 16) == 1 and timer.startswith("02:"):
            found.add((int(own.split(":")[1], 16), int(peer.split(":")[1], 16)))
    return found


@pytest.mark.parametrize("sent", [b"", b"GET /endless HTTP/1.1\r\nHost: gate.test\r\nX: "], ids=["nothing", "half a request"])
def test_a_client_that_does_not_come_to_the_point_is_cut_off(upstream: Upstream, sent: bytes) -> None:
    with Gate(plan(upstream.endpoint), shorter(http_request="300ms", http_keep_alive="300ms")) as gate:
        with gate.h1() as client:
            client.wire.send(sent)
            assert client.wire.receive_rest().startswith(b"HTTP/1.1 408 " if sent else b"")
        with gate.h2() as other:
            other.wire.receive_rest()
    assert not upstream.seen("/endless")


def test_a_client_that_does_not_even_shake_hands_is_cut_off(upstream: Upstream) -> None:
    with (
        Gate(plan(upstream.endpoint), shorter(client="300ms")) as gate,
        socket.create_connection((gate.listen.host, gate.listen.port), timeout=10) as silent,
    ):
        assert silent.recv(1) == b""


@pytest.mark.parametrize("query", ["watch", "follow"])
def test_a_stream_whose_client_has_left_ends_at_the_server(gate: Gate, upstream: Upstream, version: str, query: str) -> None:
    """Even if there is nothing to write on it by which to notice."""
    path = f"/left-{version}-{query}"
    left: list[bytes] = []

    def listen(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"first")
        left.append(exchange.receive())
        exchange.leave()
        upstream.announce()

    upstream.at(path, listen)
    if version == "h1":
        with gate.h1() as client:
            client.wire.send(request("GET", f"{path}?{query}"))
            client.head()
            assert client.chunk() == b"first"
    else:
        with gate.h2() as other:
            assert other.data(other.start("GET", f"{path}?{query}")) == b"first"
    upstream.wait_until(lambda: left == [b""])


def test_an_http2_stream_that_is_reset_ends_at_the_server_and_alone(gate: Gate, upstream: Upstream) -> None:
    left: list[bytes] = []

    def listen(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"first")
        left.append(exchange.receive())
        exchange.leave()
        upstream.announce()

    upstream.at("/reset", listen)
    with gate.h2() as client:
        first, second = client.start("GET", "/reset?watch"), client.start("GET", "/reset?watch")
        assert client.data(first) == client.data(second) == b"first"
        client.reset(first)
        upstream.wait_until(lambda: left == [b""])
        assert client.ask("GET", "/beside").status == 200
        assert left == [b""]
    upstream.wait_until(lambda: left == [b"", b""])
