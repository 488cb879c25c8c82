"""Whose streams end when fewer addresses may come: by the clients' own, whatever stands between them and HAProxy."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from kubegate.system.network import free_port
from tests.support.expose import Home, home
from tests.support.rawh2 import Client as Client2
from tests.support.rawhttp import Client, NoAnswer, request
from tests.support.run import Document, Running, client, cluster, gate_file, run
from tests.support.tls import API_NAME, cluster_authority
from tests.support.upstream import Exchange, Upstream, eventually
from tests.support.wire import PATIENCE_SECONDS, Wire

pytestmark = pytest.mark.haproxy

# `main` opens TLS itself, `mixed` does so behind a hop, and to `balanced` a load balancer says who is calling.
WAYS = [
    pytest.param(listener, name, version, id=f"{listener}-{'opened' if name == 'one.test' else 'passed'}-{version}")
    for listener, name, version in (
        ("main", "one.test", "h1"),
        ("main", "one.test", "h2"),
        ("mixed", "one.test", "h1"),
        ("mixed", "one.test", "h2"),
        ("mixed", API_NAME, "h1"),
        ("balanced", "one.test", "h1"),
        ("balanced", "one.test", "h2"),
        ("balanced", API_NAME, "h1"),
    )
]
NEAR, FAR = ("127.0.0.1", "192.0.2.1"), ("127.0.0.2", "192.0.2.2", "2001:db8::2")
EVERYBODY = ["127.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"]
ONLY_NEAR = [f"{address}/32" for address in NEAR]


@dataclass
class World:
    """A gate in front of two clusters, of which the second is passed through, and what their API servers wait for."""

    gate: Running
    news: threading.Event

    def watch(self, stack: contextlib.ExitStack, listener: str, name: str, version: str, source: str) -> Callable[[], bytes]:
        """A watch that has begun, from this address; returns what gives its next event, or raises NoAnswer at its end."""
        balanced = listener == "balanced"
        at = ("127.0.0.1", self.gate.port_of(listener))
        dialled = socket.create_connection(at, PATIENCE_SECONDS, source_address=("127.0.0.1" if balanced else source, 0))
        stack.callback(dialled.close)
        if balanced:
            protocol = "TCP6" if ":" in source else "TCP4"
            dialled.sendall(f"PROXY {protocol} {source} {'::1' if ':' in source else '127.0.0.1'} 1 2\r\n".encode())
        context = client(cluster_authority() if name == API_NAME else None)
        context.set_alpn_protocols(["h2" if version == "h2" else "http/1.1"])
        wire = stack.enter_context(Wire(dialled, context, name=name))
        if version == "h2":
            second = Client2(wire)
            stream = second.start("GET", "/watch?watch=1", host=name)
            assert second.head(stream).status == 200
            assert second.data(stream) == b"begun"
            return lambda: second.data(stream)
        first = Client(wire)
        wire.send(request("GET", "/watch?watch=1", host=name))
        assert first.head().status == 200
        assert first.chunk() == b"begun"
        return first.chunk

    def allow(self, ranges: list[str]) -> None:
        """Declare who may come to both clusters, and wait until it is so."""

        def change(document: Document) -> None:
            for declared in document["clusters"]:
                declared["allow"] = ranges

        if any(declared.get("allow") != ranges for declared in self.gate.document["clusters"]):
            self.gate.edit(change)
        eventually(lambda: all(list(one.allow) == ranges for one in self.gate.status().clusters))

    def reload(self) -> None:
        """Declare something that a running HAProxy cannot be told."""
        reloads = self.gate.status().reloads
        self.gate.edit(lambda document: document["clusters"][0].update(timeouts={"request": f"{6 + reloads}m"}))
        eventually(lambda: self.gate.status().reloads == reloads + 1)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    news = threading.Event()

    def answer(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"begun")
        news.wait(PATIENCE_SECONDS)
        exchange.chunk(b"news")
        exchange.chunk(b"")

    with contextlib.ExitStack() as stack:
        place: Home = stack.enter_context(home())
        upstreams = [stack.enter_context(Upstream()) for _ in range(2)]
        for upstream in upstreams:
            upstream.at("/watch", answer)
        clusters = [
            cluster(place.path, "one", upstreams[0]),
            cluster(place.path, "two", upstreams[1], mode="passthrough", hosts=[API_NAME]),
        ]
        document = gate_file(place.path, *clusters, listener={"clusters": ["one"]})
        for name, more in {"mixed": {}, "balanced": {"proxyProtocol": {"from": ["127.0.0.0/8"]}}}.items():
            document["listeners"].append({"name": name, "address": f"127.0.0.1:{free_port('127.0.0.1')}"} | more)
        gate = stack.enter_context(run(document, place))
        for declared in clusters:
            gate.until_up(declared["name"])
        yield World(gate, news)


def sources(listener: str, among: tuple[str, ...]) -> list[str]:
    """The addresses that can come to a listener: those of this machine, or any by a load balancer's word."""
    return [address for address in among if address.startswith("127.") != (listener == "balanced")]


@pytest.mark.parametrize(("listener", "name", "version"), WAYS)
def test_of_all_streams_those_end_whose_address_may_not_come_any_more(
    world: World, listener: str, name: str, version: str
) -> None:
    world.news.clear()
    world.allow(EVERYBODY)
    with contextlib.ExitStack() as stack:
        near = [world.watch(stack, listener, name, version, source) for source in sources(listener, NEAR)]
        far = [world.watch(stack, listener, name, version, source) for source in sources(listener, FAR)]
        before = world.gate.status().streams_ended
        world.allow([*EVERYBODY, "198.51.100.0/24"])
        assert world.gate.status().streams_ended == before
        world.allow(ONLY_NEAR)
        for watch in far:
            with pytest.raises(NoAnswer):
                watch()
        world.news.set()
        assert [watch() for watch in near] == [b"news"] * len(near)
        eventually(lambda: world.gate.status().streams_ended == before + len(far))


@pytest.mark.parametrize(("listener", "name", "version"), WAYS)
def test_they_end_in_a_worker_of_an_earlier_configuration_too(world: World, listener: str, name: str, version: str) -> None:
    world.news.clear()
    world.allow(EVERYBODY)
    with contextlib.ExitStack() as stack:
        near = [world.watch(stack, listener, name, version, source) for source in sources(listener, NEAR)]
        far = [world.watch(stack, listener, name, version, source) for source in sources(listener, FAR)]
        world.reload()
        world.allow(ONLY_NEAR)
        for watch in far:
            with pytest.raises(NoAnswer):
                watch()
        world.news.set()
        assert [watch() for watch in near] == [b"news"] * len(near)
