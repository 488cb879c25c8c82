"""How many workers of earlier configurations live on with their streams, and how servers that are removed leave."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.expose import Home, home
from tests.support.rawhttp import Client, NoAnswer, request
from tests.support.run import Document, Running, cluster, gate_file, run
from tests.support.upstream import Exchange, Upstream, eventually
from tests.support.wire import PATIENCE_SECONDS

pytestmark = pytest.mark.haproxy


@dataclass
class World:
    """A gate that keeps two old workers, in front of two API servers whose watches wait for news."""

    gate: Running
    upstreams: list[Upstream]
    news: threading.Event
    stack: contextlib.ExitStack

    def watch(self) -> Client:
        """A watch that has begun."""
        client = self.stack.enter_context(self.gate.dial())
        client.wire.send(request("GET", "/watch?watch=1", host="one.test"))
        assert client.head().status == 200
        assert client.chunk() == b"begun"
        return client

    def reload(self) -> None:
        """Change what only a reload changes, and wait until that is said to run."""
        before = self.gate.status()

        def change(document: Document) -> None:
            document["clusters"][0]["timeouts"] = {"request": f"{6 + before.reloads}m"}

        self.gate.edit(change)
        self.gate.wait_for(f"generation {before.generation + 1}, by a reload")


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
        place: Home = stack.enter_context(home())
        upstreams = [stack.enter_context(Upstream()) for _ in range(2)]
        for upstream in upstreams:
            upstream.at("/watch", answer)
        plane = {"maxOldWorkers": 2, "oldWorkerWait": "1s"}
        gate = stack.enter_context(run(gate_file(place.path, cluster(place.path, "one", *upstreams), dataPlane=plane), place))
        gate.until_up("one", 2)
        yield World(gate, upstreams, news, stack)


def test_a_reload_beyond_the_bound_ends_the_oldest_worker_alone(world: World) -> None:
    watches = []
    for _ in range(2):
        watches.append(world.watch())
        world.reload()
    before = world.gate.status()
    assert [worker.carried for worker in before.old_workers] == [1, 1]
    assert before.max_old_workers == 2
    assert "maxOldWorkers" not in world.gate.said
    watches.append(world.watch())
    world.reload()
    with pytest.raises(NoAnswer):
        watches[0].chunk()
    world.gate.wait_for("workers of earlier configurations lived, which is the bound (maxOldWorkers); the oldest was ended")
    after = world.gate.status()
    assert [worker.carried for worker in after.old_workers] == [1, 1]
    assert after.old_workers[0].pid == before.old_workers[1].pid
    world.news.set()
    assert [watch.chunk() for watch in watches[1:]] == [b"news", b"news"]


def test_a_server_that_is_removed_carries_its_watch_to_the_end_and_is_deleted_then(world: World) -> None:
    watches: list[Client] = []
    while not all(upstream.seen("/watch") for upstream in world.upstreams):
        assert len(watches) < 20
        watches.append(world.watch())
    gone, left = world.upstreams
    world.gate.edit(lambda document: document["clusters"][0]["upstream"].update(servers=[str(left.endpoint)]))
    world.gate.wait_for(f"API server {gone.endpoint} is gone")
    assert world.gate.status().reloads == 0
    assert {world.gate.ask("/after").json["server"] for _ in range(20)} == {left.port}
    assert not gone.seen("/after")
    # With its watch it is still there, though nothing else of it is needed.
    eventually(lambda: world.gate.status().leaving_servers == 1, "it leaves the section without streams")
    assert str(gone.endpoint) in world.gate.tell("show servers state")
    world.news.set()
    assert [watch.chunk() for watch in watches] == [b"news"] * len(watches)
    eventually(lambda: str(gone.endpoint) not in world.gate.tell("show servers state"), "it is deleted")
    assert world.gate.status().leaving_servers == 0
