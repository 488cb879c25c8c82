"""An API server that dies in the middle of sixteen clients' traffic, or says that it is not ready, and who notices what of it."""

import contextlib
import csv
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from kubegate.model.gate_status import ServerStatus, healthy
from tests.support.expose import Home, home
from tests.support.load import Asked, Load
from tests.support.rawhttp import NoAnswer
from tests.support.rawhttp import request as ask
from tests.support.run import Running, cluster, gate_file, run
from tests.support.separate import HELD, Separate, hold
from tests.support.tls import API_NAME
from tests.support.upstream import Exchange, Upstream, eventually

pytestmark = pytest.mark.haproxy

WEBSOCKET = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
)
# What may run something in a pod, or stays open.
COMMANDS = itertools.cycle(["/exec?command=sh", "/attach", "/portforward?ports=80", "/proxy/run", "?watch=true", "/log?follow=1"])


class Mixture:
    """Requests of all kinds, the kind in the path: as long as `dying` holds none of a kind, such as it would hold."""

    def __init__(self, version: str, dying: Upstream | Separate) -> None:
        self.kinds = ["get", "head", "write", "command", *(["upgrade"] if version == "h1" else [])]
        self._dying = dying

    def lacking(self) -> list[str]:
        """The kinds of which nothing is held."""
        held = [path for path in self._dying.paths() if HELD in path]
        return [kind for kind in self.kinds if not any(f"/{kind}-" in path for path in held)]

    def __call__(self, number: int) -> tuple[str, str, Sequence[tuple[str, str]]]:
        """Method, target and headers."""
        kind = self.kinds[number % len(self.kinds)]
        namespace = "held" if kind in self.lacking() else "usual"
        method = {"head": "HEAD", "write": "POST"}.get(kind, "GET")
        end = next(COMMANDS) if kind == "command" else "/exec?command=sh" if kind == "upgrade" else ""
        return method, f"/api/v1/namespaces/{namespace}/pods/{kind}-{number}{end}", WEBSOCKET if kind == "upgrade" else ()


@dataclass
class Aftermath:
    """What clients got, and how often each path arrived at the server that died and at the other."""

    asked: list[Asked]
    died: Counter[str]
    lived: Counter[str]

    def of(self, *kinds: str) -> list[Asked]:
        """The requests of these kinds."""
        found = [one for one in self.asked if any(f"/{kind}-" in one.target for kind in kinds)]
        assert len(found) > 20
        return found

    def arrived(self, one: Asked) -> int:
        """How often it was sent to an API server."""
        path = one.target.partition("?")[0]
        return self.died[path] + self.lived[path]

    def held(self, *kinds: str) -> list[str]:
        """The paths of these kinds that the server held when it died."""
        return [path for path in self.died if HELD in path and any(f"/{kind}-" in path for kind in kinds)]


@pytest.fixture(
    scope="module",
    params=[("reset", "h1"), ("reset", "h2"), ("SIGKILL", "h1"), ("SIGKILL", "h2")],
    ids=lambda param: "-".join(param),
)
def aftermath(request: pytest.FixtureRequest) -> Iterator[Aftermath]:
    """Sixteen clients ask two servers for everything; one of these is killed while it holds some of each kind."""
    how, version = request.param
    with contextlib.ExitStack() as stack:
        person = stack.enter_context(home())
        lives = stack.enter_context(Upstream())
        dies: Any = stack.enter_context(Upstream() if how == "reset" else Separate())
        if how == "reset":
            dies.at("/", hold)
        gate = stack.enter_context(run(gate_file(person.path, cluster(person.path, "one", lives, dies)), person))
        gate.until_up("one", 2)
        mixture = Mixture(version, dies)
        with Load(gate, mixture, version=version) as load:
            eventually(lambda: not mixture.lacking(), "some of each kind is held")
            load.until(100)
            if how == "reset":
                dies.close(reset=True)
            else:
                dies.kill()
            load.until(300)
        yield Aftermath(load.stop(), Counter(dies.paths()), Counter(lives.paths()))


def test_no_read_fails(aftermath: Aftermath) -> None:
    assert {one.status for one in aftermath.of("get", "head")} == {200}


def test_reads_that_the_server_held_were_answered_by_the_other_one(aftermath: Aftermath) -> None:
    held = aftermath.held("get", "head")
    assert held
    assert {aftermath.lived[path] for path in held} == {1}


@pytest.mark.parametrize("kinds", [("write",), ("command", "upgrade")], ids=["writes", "commands"])
def test_what_changes_or_runs_something_is_never_sent_twice(aftermath: Aftermath, kinds: tuple[str, ...]) -> None:
    assert aftermath.held(*kinds)
    for one in aftermath.of(*kinds):
        # Once, or not at all where the connection broke before it was read.
        assert aftermath.arrived(one) == 1 or (aftermath.arrived(one) == 0 and one.status in (0, 502)), one


def test_only_what_the_server_had_begun_fails(aftermath: Aftermath) -> None:
    """By a 502; or, on a connection that had been used before (HTTP/1) or by a reset (HTTP/2), without an answer."""
    failed = [one for one in aftermath.asked if one.status != 200]
    assert {one.status for one in failed} <= {0, 502}
    assert not [one for one in failed if aftermath.lived[one.target.partition("?")[0]]]
    assert len(failed) <= 16


@dataclass
class Pair:
    """Two API servers behind a gate, and what every watch has been told so far."""

    gate: Running
    servers: tuple[Upstream, Upstream]
    open: dict[int, list[Exchange]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for server in self.servers:
            self.open[server.port] = []
            server.at(WATCHED, self._watch)

    def _watch(self, exchange: Exchange) -> None:
        """Begin an endless answer."""
        exchange.begin()
        # Before the client can count it.
        self.open[exchange.wire.socket.getsockname()[1]].append(exchange)
        exchange.chunk(b"begun")
        if not exchange.receive():
            exchange.leave()

    def until_open(self, count: int) -> None:
        """Wait until so many watches are open in all."""
        eventually(lambda: sum(map(len, self.open.values())) >= count, f"{count} watches are open")

    def asked(self, server: Upstream, end: str = "") -> int:
        """How many of twenty requests, one after another, come to a server."""
        path = f"/apis/one/{next(_numbers)}"
        for _ in range(20):
            assert self.gate.ask(f"{path}{end}").status == 200
        return len(server.seen(path))

    def state(self, server: Upstream) -> ServerStatus:
        """The status of a server."""
        return next(one for one in self.gate.cluster("one").servers if one.address == str(server.endpoint))

    def shares(self, server: Upstream) -> list[int]:
        """How much of its share a server is given of requests and of streams, in percent; nothing where it is down."""
        rows = csv.DictReader(self.gate.tell("show stat -1 4 -1").removeprefix("# ").splitlines())
        own = [row for row in rows if row["svname"].startswith(f"{server.endpoint}_")]
        return [int(row["throttle"] or 100) if row["status"].startswith("UP") else 0 for row in own]


WATCHED = "/api/v1/namespaces"
_numbers = itertools.count()


@pytest.fixture
def pair(person: Home) -> Iterator[Pair]:
    """Two API servers of one test alone."""
    with Upstream() as a, Upstream() as b, run(gate_file(person.path, cluster(person.path, "one", a, b)), person) as gate:
        gate.until_up("one", 2)
        yield Pair(gate, (a, b))


@pytest.fixture
def joined(person: Home) -> Iterator[Pair]:
    """The same, but the first of them was added while the gate ran."""
    with Upstream() as a, Upstream() as b, run(gate_file(person.path, cluster(person.path, "one", b)), person) as gate:
        both = cluster(person.path, "one", b, a)["upstream"]["servers"]
        gate.edit(lambda document: document["clusters"][0]["upstream"].update(servers=both))
        assert gate.status().reloads == 0
        gate.until_up("one", 2)
        yield Pair(gate, (a, b))


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_watches_of_a_server_that_dies_end_and_resume_at_the_other(pair: Pair, reset: bool) -> None:
    dies, lives = pair.servers
    target = f"{WATCHED}?watch=true"
    with contextlib.ExitStack() as stack:
        watching = [stack.enter_context(pair.gate.dial()) for _ in range(8)]
        for client in watching:
            client.wire.send(ask("GET", target, host="one.test"))
            assert client.head().status == 200
            assert client.chunk() == b"begun"
        shared = stack.enter_context(pair.gate.dial2())
        streams = [shared.start("GET", target, host="one.test") for _ in range(8)]
        assert {shared.data(stream) for stream in streams if shared.head(stream).status == 200} == {b"begun"}
        assert all(len(exchanges) >= 4 for exchanges in pair.open.values())
        dies.close(reset=reset)
        for exchange in pair.open[lives.port]:
            exchange.chunk(b"more")
        ended = sum(not told(client.chunk) for client in watching)
        ended2 = sum(not told(functools.partial(shared.data, stream)) for stream in streams)
        assert ended + ended2 == len(pair.open[dies.port])
        assert min(ended, ended2) > 0
        # Each of them asks again; over HTTP/2 the connection is still good.
        for _ in range(ended):
            again = stack.enter_context(pair.gate.dial())
            again.wire.send(ask("GET", target, host="one.test"))
            assert again.head().status == 200
            assert again.chunk() == b"begun"
        for _ in range(ended2):
            stream = shared.start("GET", target, host="one.test")
            assert shared.head(stream).status == 200
            assert shared.data(stream) == b"begun"
    assert len(pair.open[lives.port]) == 16


def told(more: Callable[[], bytes]) -> bool:
    """Whether a watch goes on, and tells what is new; else it ended, or broke off."""
    try:
        return more() == b"more"
    except NoAnswer:
        return False


def test_a_watch_that_its_server_ends_ends_as_it_does_without_a_gate(pair: Pair) -> None:
    """As API servers end them when their time is over, or when they are stopped: by the last chunk."""
    with pair.gate.dial() as client, pair.gate.dial2() as client2:
        client.wire.send(ask("GET", f"{WATCHED}?watch=true", host="one.test"))
        stream = client2.start("GET", f"{WATCHED}?watch=true", host="one.test")
        pair.until_open(2)
        for exchange in [exchange for exchanges in pair.open.values() for exchange in exchanges]:
            exchange.chunk(b"")
        assert client.answer().body == b"begun"
        assert client.ask(ask("GET", "/after", host="one.test")).status == 200
        assert client2.answer(stream).body == b"begun"
        assert client2.ask(target="/after", host="one.test").status == 200


@pytest.mark.parametrize("when", ["pair", "joined"])
def test_a_server_that_is_not_ready_gets_nothing_new_and_comes_back_gradually(request: pytest.FixtureRequest, when: str) -> None:
    pair: Pair = request.getfixturevalue(when)
    unready, other = pair.servers
    haproxy = pair.gate.haproxy.pid, pair.gate.workers()
    assert 0 < pair.asked(unready) < 20
    with pair.gate.dial() as one, pair.gate.dial() as two:
        for client in (one, two):
            client.wire.send(ask("GET", f"{WATCHED}?watch=true", host="one.test"))
            assert client.head().status == 200
            assert client.chunk() == b"begun"
        unready.ready = 500
        eventually(lambda: pair.shares(unready) == [0, 0], "it is taken out")
        assert pair.state(unready).state == "down"
        assert pair.state(unready).why == "is not ready (500 to /readyz)"
        pair.gate.wait_for(f"API server {unready.endpoint} is down")
        assert pair.asked(unready) == 0
        assert pair.asked(unready, end="?watch=true") == 0
        # What it carries it goes on to carry.
        for exchange in [exchange for exchanges in pair.open.values() for exchange in exchanges]:
            exchange.chunk(b"more")
        assert {one.chunk(), two.chunk()} == {b"more"}
    unready.ready = 200
    eventually(lambda: all(pair.shares(unready)), "it is taken in again")
    assert max(pair.shares(unready)) < 100
    assert pair.shares(other) == [100, 100]
    pair.gate.wait_for(f"API server {unready.endpoint} answers again")
    eventually(lambda: pair.asked(unready) > 0, "it is used again")
    eventually(lambda: pair.asked(unready, end="?watch=true") > 0, "it is used for streams again")
    assert (pair.gate.haproxy.pid, pair.gate.workers()) == haproxy


@pytest.fixture
def addresses(person: Home) -> Iterator[Pair]:
    """The same, but the name by which they are verified is only known from their certificates."""
    with Upstream() as a, Upstream() as b:
        declared = cluster(person.path, "one", a, b)
        del declared["upstream"]["serverName"]
        with run(gate_file(person.path, declared), person) as gate:
            assert gate.cluster("one").verified_name == API_NAME
            yield Pair(gate, (a, b))


@pytest.mark.parametrize("how", ["pair", "addresses"])
def test_both_die_and_come_back(request: pytest.FixtureRequest, how: str) -> None:
    """Meanwhile the file changes: nobody forgets where they were and how they are verified."""
    pair: Pair = request.getfixturevalue(how)
    a, b = pair.servers
    for server in pair.servers:
        server.close(reset=True)
    for method, target in (("GET", "/gone"), ("POST", "/gone"), ("GET", "/gone?watch=true")):
        answer = pair.gate.ask(target, method=method)
        assert (answer.status, answer.json["kind"], answer.json["reason"]) == (503, "Status", "ServiceUnavailable")
        assert "no API server of this cluster can be reached" in answer.json["message"]
    with pair.gate.dial2() as client:
        assert client.ask(target="/gone", host="one.test").json["code"] == 503
    eventually(lambda: {pair.state(server).state for server in pair.servers} == {"down"}, "both are known to be down")
    assert not healthy(pair.gate.status())
    pair.gate.edit(lambda document: document["clusters"][0].update(allow=["127.0.0.0/8"]))
    assert {server.address for server in pair.gate.cluster("one").servers} == {str(a.endpoint), str(b.endpoint)}
    for server in pair.servers:
        server.start()
        eventually(lambda: pair.gate.ask("/back").status == 200, "it is used again")
    eventually(lambda: pair.gate.ask("/back").status == 200 and a.seen("/back") and b.seen("/back"), "both are used again")
    assert pair.gate.status().reloads == 0
