"""A worker of an earlier configuration that hangs: what is not allowed any more reaches it once it answers, or it is ended."""

import contextlib
from collections.abc import Iterator

import psutil
import pytest

from tests.support.expose import Home
from tests.support.rawhttp import Client, request
from tests.support.run import Running, cluster, gate_file, run
from tests.support.upstream import Exchange, Upstream, eventually

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(180)]


@pytest.fixture
def api() -> Iterator[Upstream]:
    with Upstream() as api:
        api.at("/watched", watch)
        yield api


def watch(exchange: Exchange) -> None:
    exchange.begin()
    exchange.chunk(b"first")
    exchange.wire.receive_rest()


@contextlib.contextmanager
def with_an_old_worker(person: Home, api: Upstream) -> Iterator[tuple[Running, Client, psutil.Process]]:
    """A gate, a watch, and the worker of an earlier configuration that carries it."""
    with run(gate_file(person.path, cluster(person.path, "one", api, allow=["127.0.0.0/8"])), person) as gate:
        gate.until_up("one")
        [old] = gate.workers()
        with gate.dial() as client:
            client.wire.send(request("GET", "/watched?watch=1", host="one.test"))
            assert client.head().status == 200
            assert client.chunk() == b"first"
            gate.edit(lambda document: document["clusters"][0].update(timeouts={"request": "6m"}))
            assert old in gate.workers()
            yield gate, client, psutil.Process(old)


def narrow(gate: Running) -> None:
    document = gate.document
    document["clusters"][0]["allow"] = ["192.0.2.0/24"]
    gate.rewrite(document)


def test_it_is_told_once_it_answers(person: Home, api: Upstream) -> None:
    with with_an_old_worker(person, api) as (gate, client, old):
        old.suspend()
        try:
            narrow(gate)
            gate.wait_for(f"worker {old.pid} does not answer, and goes on with what is not allowed any more")
            assert gate.said.count("does not answer") == 1
        finally:
            old.resume()
        gate.wait_for("HAProxy answers again, and knows what is not allowed any more; 1 open streams were ended")
        assert client.ended()
        assert gate.status().streams_ended == 1


def test_it_is_ended_where_it_never_does(person: Home, api: Upstream) -> None:
    with with_an_old_worker(person, api) as (gate, client, old):
        old.suspend()
        narrow(gate)
        gate.wait_for(f"worker {old.pid} of an earlier configuration hangs, and is ended", seconds=90)
        eventually(lambda: old.pid not in gate.workers(), "it is gone")
        assert client.ended()
        assert len(gate.workers()) == 1


def test_the_bound_ends_one_that_hangs(person: Home, api: Upstream) -> None:
    with with_an_old_worker(person, api) as (gate, client, old):
        old.suspend()
        document = gate.document
        document["dataPlane"] = {"maxOldWorkers": 1, "oldWorkerWait": "1s"}
        document["clusters"][0]["timeouts"] = {"request": "7m"}
        gate.rewrite(document)
        gate.wait_for("the oldest was ended, with all that it carried, for it did not answer", seconds=90)
        eventually(lambda: old.pid not in gate.workers(), "it is gone")
        assert client.ended()
