"""At the bound on old workers a reload waits; what needs none does not, and the reload comes by itself."""

from collections.abc import Iterator

import pytest

from kubegate.model.gate_status import GateStatus
from tests.support.expose import Home
from tests.support.rawhttp import Client, request
from tests.support.run import Running, cluster, front_leaf, gate_file, run, write_pair
from tests.support.upstream import Exchange, Upstream, eventually

pytestmark = pytest.mark.haproxy

BOUND = {"maxOldWorkers": 1, "oldWorkerWait": "10m"}


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as api:
        api.at("/watched", watch)
        yield api


def watch(exchange: Exchange) -> None:
    exchange.begin()
    exchange.chunk(b"first")
    exchange.wire.receive_rest()


def opened(gate: Running) -> Client:
    """A watch that is open."""
    client = gate.dial()
    client.wire.send(request("GET", "/watched?watch=1", host="one.test"))
    assert client.head().status == 200
    assert client.chunk() == b"first"
    return client


def timeout(gate: Running, minutes: int) -> None:
    """A change that needs a reload; it is not waited for."""
    document = gate.document
    document["clusters"][0]["timeouts"] = {"request": f"{minutes}m"}
    gate.rewrite(document)


def waits(status: GateStatus) -> bool:
    return any(one.code == "gate.waiting" for one in status.warnings)


def test_runtime_changes_do_not_wait_behind_a_reload(person: Home, upstream: Upstream) -> None:
    declared = cluster(person.path, "one", upstream, allow=["127.0.0.0/8"])
    with run(gate_file(person.path, declared, dataPlane=BOUND), person) as gate, opened(gate) as held:
        generation = gate.status().generation
        timeout(gate, 6)
        gate.next_generation(generation)
        assert gate.status().reloads == 1
        timeout(gate, 7)
        eventually(lambda: waits(gate.status()), "a reload waits")
        assert "a reload waits" in gate.said

        renewed = front_leaf("one.test", "127.0.0.1")
        write_pair(person.path, "one", renewed)
        eventually(lambda: shown(gate) == renewed.certificate.serial_number, "the renewed certificate is shown")
        # It fits into a place that waits for such a cluster.
        new = cluster(person.path, "two", upstream, timeouts={"request": "6m"})
        gate.edit(lambda document: document["clusters"].append(new))
        assert gate.ask(name="two.test").status == 200
        assert gate.status().reloads == 1
        assert waits(gate.status())

        # This ends the watch, and so the worker that holds up the reload.
        gate.edit(lambda document: document["clusters"][0].update(allow=["192.0.2.0/24"]))
        assert gate.ask().status == 403
        assert held.ended()
        eventually(lambda: gate.status().reloads == 2, "the reload is made")
        assert not waits(gate.status())
        assert "timeout server 7m" in (gate.folders.kept / "current" / "haproxy.cfg").read_text()


def test_what_waits_is_forgotten_when_it_is_taken_back(person: Home, upstream: Upstream) -> None:
    with run(gate_file(person.path, cluster(person.path, "one", upstream), dataPlane=BOUND), person) as gate, opened(gate):
        generation = gate.status().generation
        timeout(gate, 6)
        gate.next_generation(generation)
        timeout(gate, 7)
        eventually(lambda: waits(gate.status()), "a reload waits")
        timeout(gate, 6)
        eventually(lambda: not waits(gate.status()), "nothing waits")
        assert gate.status().reloads == 1


def shown(gate: Running) -> int:
    """The serial number of the certificate that the gate shows."""
    with gate.dial() as client:
        return int(str(client.wire.peer["serialNumber"]), 16)
