"""Names that come to lead elsewhere: connections that are open follow at once, also those of workers before a reload."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.support.expose import Home, home
from tests.support.rawh2 import Client as Client2
from tests.support.rawhttp import Client, NoAnswer, request
from tests.support.run import Document, Running, cluster, front_leaf, gate_file, run, write_pair
from tests.support.upstream import Exchange, Upstream

pytestmark = pytest.mark.haproxy


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as place:
        yield place


@pytest.fixture
def upstreams() -> Iterator[list[Upstream]]:
    with Upstream() as first, Upstream() as second:
        yield [first, second]


def two_clusters(place: Home, upstreams: list[Upstream]) -> list[Document]:
    """Clusters `one` and `two`; a third name leads to the first, and either's certificate is good for it."""
    found = []
    for name, upstream in zip(("one", "two"), upstreams, strict=True):
        pair = write_pair(place.path, f"both-{name}", front_leaf(f"{name}.test", "shared.test", "127.0.0.1"))
        found.append(cluster(place.path, name, upstream, certificate=pair))
    found[0]["hosts"] = ["one.test", "shared.test"]
    return found


def move(document: Document) -> None:
    """The shared name leads to the second cluster."""
    document["clusters"][0]["hosts"] = ["one.test"]
    document["clusters"][1]["hosts"] = ["two.test", "shared.test"]


def answered(connection: Client | Client2, host: str, upstreams: list[Upstream]) -> str:
    """Which cluster answers a request on this connection, or the status of the refusal."""
    answer = (
        connection.ask("GET", "/", host=host)
        if isinstance(connection, Client2)
        else connection.ask(request("GET", "/", host=host))
    )
    if answer.status != 200:
        return str(answer.status)
    return next(name for name, one in zip(("one", "two"), upstreams, strict=True) if one.port == answer.json["server"])


def test_open_connections_follow_a_name_to_another_cluster(place: Home, upstreams: list[Upstream]) -> None:
    document = gate_file(place.path, *two_clusters(place, upstreams))
    with (
        run(document, place) as gate,
        gate.dial("shared.test") as h1,
        gate.dial2("shared.test") as h2,
        gate.dial2("one.test") as other,
    ):
        assert [answered(one, "shared.test", upstreams) for one in (h1, h2, other)] == ["one", "one", "one"]
        gate.edit(move)
        assert gate.status().reloads == 0
        assert [answered(one, "shared.test", upstreams) for one in (h1, h2)] == ["two", "two"]
        assert answered(other, "shared.test", upstreams) == "421"
        assert answered(other, "one.test", upstreams) == "one"


def test_open_connections_follow_the_default_cluster(place: Home, upstreams: list[Upstream]) -> None:
    document = gate_file(place.path, *two_clusters(place, upstreams), listener={"defaultCluster": "one"})
    with run(document, place) as gate, gate.dial(None) as h1, gate.dial2(None) as h2:
        assert [answered(one, "127.0.0.1", upstreams) for one in (h1, h2)] == ["one", "one"]
        gate.edit(lambda document: document["listeners"][0].update(defaultCluster="two"))
        assert gate.status().reloads == 0
        assert [answered(one, "127.0.0.1", upstreams) for one in (h1, h2)] == ["two", "two"]
        gate.edit(lambda document: document["listeners"][0].pop("defaultCluster"))
        assert answered(h2, "127.0.0.1", upstreams) == "421"
        assert answered(h1, "127.0.0.1", upstreams) == "421"


def test_open_connections_to_a_cluster_that_is_removed_reach_nobody(place: Home, upstreams: list[Upstream]) -> None:
    with run(gate_file(place.path, *two_clusters(place, upstreams)), place) as gate:
        with gate.dial("two.test") as h1, gate.dial2("two.test") as h2:
            assert [answered(one, "two.test", upstreams) for one in (h1, h2)] == ["two", "two"]
            gate.edit(lambda document: document["clusters"].pop())
            for connection in (h1, h2):
                # A connection may also be ended.
                with contextlib.suppress(NoAnswer):
                    assert answered(connection, "two.test", upstreams) in ("403", "421")
        assert gate.ask("/", "one.test").status == 200


def held(gate: Running, upstream: Upstream, name: str) -> Client2:
    """A connection that a watch keeps with its worker."""
    begun = gate.dial2(name)

    def watch(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"first")
        exchange.wire.receive()

    upstream.at("/held", watch)
    stream = begun.start("GET", "/held?watch=true", host=name)
    assert begun.head(stream).status == 200
    assert begun.data(stream) == b"first"
    return begun


def reload_for(document: Document) -> None:
    """Change what only a reload changes."""
    for one in document["clusters"]:
        one["health"] = {"interval": "300ms", "rise": 3}


def test_a_connection_of_an_earlier_worker_follows_a_name_too(place: Home, upstreams: list[Upstream]) -> None:
    document = gate_file(place.path, *two_clusters(place, upstreams))
    with run(document, place) as gate, held(gate, upstreams[0], "shared.test") as connection:

        def change(document: Document) -> None:
            move(document)
            reload_for(document)

        gate.edit(change)
        assert gate.status().reloads == 1
        assert [worker.carried for worker in gate.status().old_workers] == [1]
        assert answered(connection, "shared.test", upstreams) == "two"


def test_a_connection_of_an_earlier_worker_follows_the_default_cluster_too(place: Home, upstreams: list[Upstream]) -> None:
    document = gate_file(place.path, *two_clusters(place, upstreams), listener={"defaultCluster": "one"})
    with run(document, place) as gate, held(gate, upstreams[0], "one.test"), gate.dial2(None) as connection:
        assert answered(connection, "127.0.0.1", upstreams) == "one"
        stream = connection.start("GET", "/held?watch=true", host="127.0.0.1")
        assert connection.data(stream) == b"first"

        def change(document: Document) -> None:
            document["listeners"][0]["defaultCluster"] = "two"
            reload_for(document)

        gate.edit(change)
        assert gate.status().reloads == 1
        assert answered(connection, "127.0.0.1", upstreams) == "two"


@pytest.mark.parametrize("sni", ["one.test", "anything.test", None])
@pytest.mark.parametrize("host", ["one.test", "anything.test", "127.0.0.1:6443", "[::1]:6443"])
def test_a_cluster_without_names_that_stands_alone_gets_everybody(
    everybody: Running, version: str, sni: str | None, host: str
) -> None:
    if version == "h2":
        with everybody.dial2(sni, verify=False) as connection:
            assert connection.ask("GET", "/", host=host).status == 200
    else:
        assert everybody.ask("/", sni, host, verify=False).status == 200


@pytest.fixture(scope="module")
def everybody() -> Iterator[Running]:
    """A gate with one cluster that has no names."""
    with home() as place, Upstream() as upstream:
        declared = cluster(place.path, "one", upstream)
        del declared["hosts"]
        with run(gate_file(place.path, declared), place) as gate:
            gate.until_up("one")
            yield gate
