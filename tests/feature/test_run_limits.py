"""Who may come to a cluster, how much at one time and in a second, and how long the gate waits."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from kubegate.runtime.control import ask
from kubegate.system.network import free_port
from tests.support.expose import Home, home, kubegate
from tests.support.rawhttp import Answer, Client, request
from tests.support.run import Running, client, cluster, gate_file, run
from tests.support.upstream import Exchange, Upstream, eventually, late
from tests.support.wire import Wire

pytestmark = pytest.mark.haproxy


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as place:
        yield place


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.at("/watch", watch)
        yield upstream


def watch(exchange: Exchange) -> None:
    """A watch with one event, until the caller leaves."""
    exchange.begin()
    exchange.chunk(b"event")
    while exchange.receive():
        pass


def hold(gate: Running, name: str = "one.test") -> Client:
    """An open watch."""
    connection = gate.dial(name)
    connection.wire.send(request("GET", "/watch?watch=true", host=name))
    assert connection.head().status == 200
    assert connection.chunk() == b"event"
    return connection


def from_address(gate: Running, source: str, path: str = "/", *, listener: str = "main", name: str = "one.test") -> Answer:
    """One request from another address of this machine, over IPv6 if it is one."""
    to = ("::1" if ":" in source else "127.0.0.1", gate.port_of(listener))
    with Client(Wire(socket.create_connection(to, source_address=(source, 0)), client(), name=name)) as connection:
        return connection.ask(request("GET", path, host=name))


def refused(answer: Answer) -> tuple[int, str]:
    """Status and reason of a refusal, which must be a Status object."""
    assert answer.json["kind"] == "Status"
    assert answer.json["code"] == answer.status
    return answer.status, answer.json["reason"]


@pytest.mark.parametrize("allow", [["127.0.0.0/30", "::1"], ["127.0.0.2", "127.0.0.1/32", "::/64"]])
def test_only_ranges_that_are_allowed_reach_a_cluster_whatever_the_family(
    place: Home, upstream: Upstream, allow: list[str]
) -> None:
    document = gate_file(place.path, cluster(place.path, "one", upstream, allow=allow), cluster(place.path, "two", upstream))
    document["listeners"].append({"name": "both", "address": f"[::]:{free_port('::')}"})
    with run(document, place) as gate:
        for source, listener in (("127.0.0.1", "main"), ("127.0.0.2", "main"), ("127.0.0.2", "both"), ("::1", "both")):
            assert from_address(gate, source, f"/from/{source}", listener=listener).status == 200
            assert upstream.seen(f"/from/{source}")[-1].values("x-forwarded-for") == [source]
        for path in ("/strange", "/strange/watch?watch=true"):
            for listener in ("main", "both"):
                assert refused(from_address(gate, "127.0.0.9", path, listener=listener)) == (403, "Forbidden")
        assert not upstream.seen("/strange")
        assert from_address(gate, "127.0.0.9", "/", name="two.test").status == 200
        assert list(gate.cluster("one").allow) == [
            one.removesuffix("/32") if "/" not in one else one for one in gate.cluster("one").allow
        ]


def test_all_of_one_family_is_nothing_of_the_other(place: Home, upstream: Upstream) -> None:
    document = gate_file(place.path, cluster(place.path, "one", upstream, allow=["0.0.0.0/0"]))
    document["listeners"].append({"name": "both", "address": f"[::]:{free_port('::')}"})
    with run(document, place) as gate:
        assert from_address(gate, "127.0.0.2", "/", listener="both").status == 200
        assert refused(from_address(gate, "::1", "/", listener="both")) == (403, "Forbidden")
        gate.edit(lambda document: document["clusters"][0].update(allow=["::/0"]))
        assert gate.status().reloads == 0
        assert from_address(gate, "::1", "/", listener="both").status == 200
        assert refused(from_address(gate, "127.0.0.2", "/", listener="both")) == (403, "Forbidden")


def test_requests_and_streams_at_one_time_are_limited_for_each_cluster(place: Home, upstream: Upstream) -> None:
    limits = {"connections": 2}
    clusters = [cluster(place.path, name, upstream, limits=limits) for name in ("one", "two")]
    with run(gate_file(place.path, *clusters), place) as gate, contextlib.ExitStack() as stack:
        first = stack.enter_context(hold(gate))
        assert gate.ask("/").status == 200
        stack.enter_context(hold(gate))
        assert gate.cluster("one").streams == 2
        with gate.dial() as connection:
            for _ in range(2):
                answer = connection.ask(request("GET", "/", host="one.test"))
                assert refused(answer) == (429, "TooManyRequests")
                assert answer.header("retry-after") == "1"
        assert refused(gate.ask("/watch?watch=true")) == (429, "TooManyRequests")
        with gate.dial2() as other:
            assert refused(other.ask("GET", "/", host="one.test")) == (429, "TooManyRequests")
        stack.enter_context(hold(gate, "two.test"))
        assert gate.ask("/", "two.test").status == 200
        first.wire.close()
        eventually(lambda: gate.ask("/").status == 200, "a place is free")
        stack.enter_context(hold(gate))

        def change(document: dict[str, list[dict[str, object]]]) -> None:
            document["clusters"][0]["limits"] = {"connections": 4}

        gate.edit(change)
        assert gate.status().reloads == 0
        stack.enter_context(hold(gate))
        assert gate.ask("/").status == 200
        stack.enter_context(hold(gate))
        assert gate.ask("/").status == 429


def test_requests_in_a_second_are_limited_for_each_cluster_and_caller(place: Home, upstream: Upstream) -> None:
    """Over ten seconds, so that a client may begin quickly."""
    clusters = [cluster(place.path, name, upstream, limits={"requestsPerSecond": 1}) for name in ("one", "two")]
    with run(gate_file(place.path, *clusters), place) as gate, gate.dial() as connection:
        answers = [connection.ask(request("GET", f"/{number}", host="one.test")) for number in range(8)]
        answers.append(gate.ask("/list?watch=true"))
        with gate.dial2() as second:
            answers.append(second.ask("GET", "/10", host="one.test"))
            assert [answer.status for answer in answers] == [200] * 10
            # On a slow machine some of the ten may be more than ten seconds ago.
            eventually(lambda: second.ask("GET", "/more", host="one.test").status == 429, "the limit is reached")
            assert refused(second.ask("GET", "/11", host="one.test")) == (429, "TooManyRequests")
        answer = connection.ask(request("POST", "/12", host="one.test", body=b"{}"))
        assert refused(answer) == (429, "TooManyRequests")
        assert answer.header("retry-after") == "1"
        assert refused(gate.ask("/watch?watch=true")) == (429, "TooManyRequests")
        assert from_address(gate, "127.0.0.2").status == 200
        assert gate.ask("/", "two.test").status == 200
        gate.edit(lambda document: document["clusters"][0].update(limits={"requestsPerSecond": 100}))
        assert gate.status().reloads == 0
        assert gate.ask("/13").status == 200
    assert not upstream.seen("/11") + upstream.seen("/12")


def test_an_answer_that_does_not_come_in_time_is_said_to_be_late(place: Home, upstream: Upstream) -> None:
    upstream.at("/late", late(5))
    timeouts = {"request": "400ms", "stream": "1500ms"}
    with run(gate_file(place.path, cluster(place.path, "one", upstream, timeouts=timeouts)), place) as gate:
        assert refused(gate.ask("/late")) == (504, "Timeout")
        assert refused(gate.ask("/late/watch?watch=true")) == (504, "Timeout")
        with hold(gate) as connection:
            assert connection.rest() == b""


def test_requests_are_spread_as_declared(place: Home, upstream: Upstream) -> None:
    with Upstream() as other:
        document = gate_file(place.path, cluster(place.path, "one", upstream, other, balance="roundrobin"))
        with run(document, place) as gate, gate.dial() as connection:
            gate.until_up("one", 2)
            for number in range(10):
                assert connection.ask(request("GET", f"/spread/{number}", host="one.test")).status == 200
            assert [len(one.seen("/spread")) for one in (upstream, other)] == [5, 5]


def test_threads_and_connections_are_as_declared_and_checks_of_many_servers_are_rarer(place: Home, upstream: Upstream) -> None:
    declared = cluster(place.path, "one", upstream)
    declared["upstream"]["servers"] += [f"127.0.0.1:{free_port('127.0.0.1')}" for _ in range(30)]
    document = gate_file(place.path, declared, dataPlane={"threads": 2, "maxConnections": 50})
    with run(document, place) as gate, contextlib.ExitStack() as stack:
        gate.until_up("one")
        shown = asyncio.run(ask(gate.folders.run / "admin.sock", "show info"))
        assert {"Nbthread: 2", "Maxconn: 50"} <= set(shown.splitlines())
        # 31 servers, checked for requests and for streams, at 1.1 ms each: a twentieth of a core is reached at 1.4 s.
        assert gate.cluster("one").check_seconds == 2.4
        assert "checked every 2.4 s" in kubegate("status", "-c", str(gate.file), home=place).stdout
        connections = [stack.enter_context(gate.dial()) for _ in range(50)]
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(gate.dial)
            assert connections[0].ask(request("GET", "/", host="one.test")).status == 200
            assert not waiting.done()
            connections[1].wire.close()
            with waiting.result(20) as last:
                assert last.ask(request("GET", "/", host="one.test")).status == 200
