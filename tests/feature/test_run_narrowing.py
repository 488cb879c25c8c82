"""What is not allowed any more is refused at once, in every worker, and its streams end; what else is open lives on."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import yaml

from tests.support.expose import home, kubegate
from tests.support.rawh2 import Client as Client2
from tests.support.rawhttp import Client, NoAnswer, request
from tests.support.run import Document, Running, client, cluster, front_leaf, gate_file, run, write_pair
from tests.support.upstream import Exchange, Upstream
from tests.support.wire import PATIENCE_SECONDS, Wire

pytestmark = pytest.mark.haproxy

NEAR, FAR = "127.0.0.1", "127.0.0.2"
Narrow = Callable[[Document], object]


@dataclass
class World:
    """A gate in front of two clusters, of which the first has a second name, and what their API servers wait for."""

    gate: Running
    news: threading.Event
    stack: contextlib.ExitStack
    upstreams: list[Upstream]

    def dial(self, name: str, source: str) -> Client:
        """A connection from this address, open until the end of the test."""
        dialled = socket.create_connection((NEAR, self.gate.port), PATIENCE_SECONDS, source_address=(source, 0))
        self.stack.callback(dialled.close)
        return Client(Wire(dialled, client(), name=name))

    def watch(self, name: str, source: str) -> Client:
        """A watch that has begun."""
        found = self.dial(name, source)
        found.wire.send(request("GET", "/watch?watch=1", host=name))
        assert found.head().status == 200
        assert found.chunk() == b"begun"
        return found

    def held(self, name: str, source: str) -> tuple[Client2, int]:
        """A connection that a watch keeps with its worker, and the watch."""
        dialled = socket.create_connection((NEAR, self.gate.port), PATIENCE_SECONDS, source_address=(source, 0))
        self.stack.callback(dialled.close)
        context = client()
        context.set_alpn_protocols(["h2"])
        found = Client2(Wire(dialled, context, name=name))
        stream = found.start("GET", "/watch?watch=1", host=name)
        assert found.head(stream).status == 200
        assert found.data(stream) == b"begun"
        return found, stream

    def reload(self) -> None:
        """Change what only a reload changes, so that there is an old worker."""
        self.gate.edit(lambda document: document["clusters"][0].update(timeouts={"request": "7m"}))
        status = self.gate.status()
        assert status.reloads == 1
        assert len(status.old_workers) == 1

    def announced(self, change: Narrow) -> int:
        """How many streams would end, by `kubegate diff`."""
        document = self.gate.document
        change(document)
        fresh = self.gate.file.with_name("other.yaml")
        fresh.write_text(yaml.safe_dump(document, sort_keys=False))
        done = kubegate("diff", "-c", str(fresh), "--gate", str(self.gate.file), "--output", "json", home=self.gate.home)
        assert done.returncode == 0, done.stdout + done.stderr
        return int(json.loads(done.stdout)["streams_ended"])


@pytest.fixture
def world() -> Iterator[World]:
    news = threading.Event()

    def answer(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"begun")
        news.wait(PATIENCE_SECONDS)
        exchange.chunk(b"news")
        exchange.chunk(b"")

    with contextlib.ExitStack() as stack:
        place = stack.enter_context(home())
        clusters, upstreams = [], []
        for name in ("one", "two"):
            upstream = stack.enter_context(Upstream())
            upstream.at("/watch", answer)
            upstreams.append(upstream)
            pair = write_pair(place.path, f"pair-{name}", front_leaf(f"{name}.test", f"also-{name}.test"))
            hosts = [f"{name}.test", f"also-{name}.test"]
            clusters.append(cluster(place.path, name, upstream, certificate=pair, hosts=hosts, allow=["127.0.0.0/8"]))
        gate = stack.enter_context(run(gate_file(place.path, *clusters), place))
        for name in ("one", "two"):
            gate.until_up(name)
        yield World(gate, news, stack, upstreams)


def without_a_range(document: Document) -> None:
    document["clusters"][1]["allow"] = [f"{NEAR}/32"]


def without_a_name(document: Document) -> None:
    document["clusters"][1]["hosts"] = ["two.test"]


def without_a_cluster(document: Document) -> None:
    document["clusters"].pop()


NARROWINGS = [
    pytest.param(without_a_range, ("two.test", FAR), ("two.test", NEAR), id="range"),
    pytest.param(without_a_cluster, ("two.test", NEAR), ("one.test", NEAR), id="cluster"),
]
Who = tuple[str, str]


def refused(connection: Client2, name: str) -> bool:
    """Whether a request is refused, or its connection has ended."""
    try:
        return connection.ask("GET", "/after", host=name).status in (403, 421)
    except (NoAnswer, OSError):
        return True


def turned_away(world: World, name: str, source: str) -> bool:
    """Whether a request on a new connection is refused, or there is no connection."""
    try:
        return world.dial(name, source).ask(request(target="/after", host=name)).status in (403, 421)
    except (NoAnswer, OSError):
        return True


@pytest.mark.parametrize(("narrow", "gone", "stays"), NARROWINGS)
def test_in_all_workers_it_is_refused_and_its_streams_end(world: World, narrow: Narrow, gone: Who, stays: Who) -> None:
    gate = world.gate
    cut, living = [world.watch(*gone)], [world.watch(*stays), world.watch("one.test", FAR)]
    holding, stays_held = [world.held(*gone)], [world.held(*stays)]
    world.reload()
    cut += [world.watch(*gone), world.watch(*gone)]
    living.append(world.watch(*stays))
    holding.append(world.held(*gone))
    stays_held.append(world.held(*stays))
    announced = world.announced(narrow)
    assert gate.status().streams_ended == 0
    gate.edit(narrow)
    count = len(cut) + len(holding)
    gate.wait_for(f"{count} open streams were ended")
    assert gate.status().reloads == 1
    assert gate.status().streams_ended == count
    assert announced == count
    for connection, _ in holding:
        assert refused(connection, gone[0])
    assert turned_away(world, *gone)
    assert not [path for upstream in world.upstreams for path in upstream.paths() if path == "/after"]
    for watch in cut:
        with pytest.raises(NoAnswer):
            watch.chunk()
    for connection, _ in stays_held:
        assert connection.ask("GET", "/fine", host=stays[0]).status == 200
    world.news.set()
    assert [watch.chunk() for watch in living] == [b"news"] * len(living)
    assert [connection.data(stream) for connection, stream in stays_held] == [b"news"] * len(stays_held)


def test_a_name_that_is_removed_is_refused_in_all_workers(world: World) -> None:
    """Whoever came by the cluster's other name goes on."""
    name = "also-two.test"
    holding, fine = [world.held(name, NEAR)], [world.held("two.test", NEAR)]
    world.reload()
    holding.append(world.held(name, NEAR))
    fine.append(world.held("two.test", NEAR))
    world.gate.edit(without_a_name)
    world.gate.wait_for(f"the name {name} is gone")
    for connection, _ in holding:
        assert refused(connection, name)
    assert turned_away(world, name, NEAR)
    assert not [path for upstream in world.upstreams for path in upstream.paths() if path == "/after"]
    for connection, _ in fine:
        assert connection.ask("GET", "/fine", host="two.test").status == 200
    world.news.set()
    assert [connection.data(stream) for connection, stream in fine] == [b"news"] * len(fine)
