"""An upstream CA that is taken away: nobody whom it alone vouches for gets another request, however he was reached before."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.support.expose import Home, home
from tests.support.forge import Forged, forge
from tests.support.rawhttp import request
from tests.support.run import Document, Running, cluster, gate_file, run
from tests.support.tls import API_NAME, authority, cluster_authority
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy

OTHER = authority("other cluster CA")


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as place:
        yield place


@pytest.fixture
def other() -> Iterator[Upstream]:
    """An API server that the other CA vouches for."""
    with Upstream(leaf=forge("kube-apiserver", OTHER, names=[API_NAME])) as upstream:
        yield upstream


@pytest.fixture
def api() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def trust(place: Home, *authorities: Forged) -> None:
    """Put these in the place of the CA file, in one step."""
    fresh = place.path / "one-ca.new"
    fresh.write_bytes(b"".join(one.pem for one in authorities))
    fresh.replace(place.path / "one-ca.crt")


def trusted(gate: Running, *authorities: Forged) -> None:
    """Trust these alone and wait until that is said to run; it takes no reload."""
    before = gate.status()
    trust(gate.home, *authorities)
    gate.wait_for(f"generation {before.generation + 1}, while running: cluster one: ")
    assert gate.status().reloads == before.reloads


@pytest.fixture
def gate(place: Home, other: Upstream, api: Upstream) -> Iterator[Running]:
    """A gate in front of both, which takes either CA's word."""
    document = gate_file(place.path, cluster(place.path, "one", other, api))
    trust(place, cluster_authority(), OTHER)
    with run(document, place) as gate:
        gate.until_up("one", 2)
        yield gate


def test_new_connections(gate: Running, other: Upstream, api: Upstream) -> None:
    assert {gate.ask("/before").json["server"] for _ in range(20)} == {api.port, other.port}
    trusted(gate, cluster_authority())
    assert {gate.ask("/after").json["server"] for _ in range(20)} == {api.port}
    assert not other.seen("/after")
    trusted(gate, cluster_authority(), OTHER)
    gate.until_up("one", 2)
    assert {gate.ask("/both").json["server"] for _ in range(20)} == {api.port, other.port}
    trusted(gate, OTHER)
    assert {gate.ask("/last").json["server"] for _ in range(20)} == {other.port}
    assert not api.seen("/last")


def test_pooled_connections(gate: Running, other: Upstream, api: Upstream) -> None:
    """Upstream connections lie idle, of clients that stay connected and of any other, when the CA goes."""
    with gate.dial() as h1, gate.dial2() as h2:
        for _ in range(10):
            assert h1.ask(request(target="/before", host="one.test")).status == 200
            assert h2.ask("GET", "/before", host="one.test").status == 200
        before = other.seen("/before")
        assert 0 < len({id(one.wire) for one in before}) < len(before), "no connection was used twice"
        trusted(gate, cluster_authority())
        for _ in range(10):
            assert h1.ask(request(target="/after", host="one.test")).status == 200
            assert h2.ask("GET", "/after", host="one.test").status == 200
            assert gate.ask("/after").status == 200
        assert not other.seen("/after")
        assert len(api.seen("/after")) == 30


def test_with_nobody_else_there_is_an_error_and_no_answer(gate: Running, other: Upstream, api: Upstream) -> None:
    """The connections of clients, and those to the API server, are older than the change."""
    with gate.dial() as h1, gate.dial2() as h2:
        for _ in range(10):
            assert h1.ask(request(target="/before", host="one.test")).status == 200
            assert h2.ask("GET", "/before", host="one.test").status == 200
        trusted(gate, cluster_authority())
        api.close()
        eventually(lambda: all(one.state == "down" for one in gate.cluster("one").servers), "nobody is left")
        for _ in range(5):
            answers = [h1.ask(request(target="/after", host="one.test")), h2.ask("GET", "/after", host="one.test")]
            for answer in (*answers, gate.ask("/after")):
                assert (answer.status, answer.json["kind"]) == (503, "Status")
        assert not other.seen("/after")


def test_a_ca_exchanged_twice_while_the_api_server_is_down(place: Home) -> None:
    """Who waits to take another one's place is not forgotten by the next change, nor is one left that takes nothing."""
    api = Upstream()
    document = gate_file(place.path, cluster(place.path, "one", api, limits={"connections": 100}))
    with run(document, place) as gate:
        gate.until_up("one")
        api.close()
        eventually(lambda: [one.state for one in gate.cluster("one").servers] == ["down"], "it is down")
        for number, authorities in enumerate(
            [(cluster_authority(), OTHER), (cluster_authority(),), (OTHER, cluster_authority())]
        ):
            trusted(gate, *authorities)
            gate.edit(partial(_limit, 200 + number))
        with Upstream(port=api.port) as again:
            eventually(lambda: gate.ask("/again").status == 200, "it serves again")
            eventually(lambda: gate.status().leaving_servers == 0, "the old ones have gone")
            assert {gate.ask("/last").status for _ in range(20)} == {200}
            assert len(again.seen("/last")) == 20
        assert len(gate.cluster("one").servers) == 1


def _limit(connections: int, document: Document) -> None:
    document["clusters"][0]["limits"].update(connections=connections)


def resumed(upstream: Upstream, target: str) -> bool:
    """Whether the last of these requests came on a connection whose TLS session was resumed."""
    seen = upstream.seen(target)
    tls = seen[-1].wire.tls if seen else None
    return tls is not None and bool(tls.session_reused)


def test_resumed_sessions(gate: Running, other: Upstream, api: Upstream) -> None:
    """Resuming leaves out the certificate, so that nothing would be verified."""

    def asked_again() -> bool:
        other.cut()
        return {gate.ask("/before").status for _ in range(4)} == {200} and resumed(other, "/before")

    eventually(asked_again, "a session is resumed")
    trusted(gate, cluster_authority())
    other.cut()
    assert {gate.ask("/after").json["server"] for _ in range(20)} == {api.port}
    assert not other.seen("/after")


def test_a_ca_that_vouches_for_no_api_server_at_all_is_refused(gate: Running) -> None:
    before = gate.status()
    trust(gate.home, authority("nobody's CA"))
    eventually(lambda: gate.status().refused, "it is refused")
    assert all(
        f"{gate.file}:" in one.where and "signed by a CA that is not trusted" in one.message for one in gate.status().refused
    )
    assert gate.ask("/still").status == 200
    assert gate.status().generation == before.generation
    trusted(gate, cluster_authority())
    assert not gate.status().refused
