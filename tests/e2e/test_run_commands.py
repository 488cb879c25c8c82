"""Every kubectl command through `run` with two clusters behind one port, while the file changes every second.

In the middle of each list of the first cluster one of its API servers is killed, and later it comes back.
"""

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.changes import Changing
from tests.e2e.commands import Commands
from tests.e2e.conftest import Client, ClientMaker
from tests.e2e.declared import DeclaredGate, declared_gate
from tests.support.expose import home
from tests.support.upstream import eventually

OUT = 1
KILLED_BEFORE = "test_exec_half_close_is_carried"
BACK_BEFORE = "test_kubectl_proxy"
WAYS = [
    pytest.param((way, http), id=f"{way}-{http}")
    for way in ("first-name", "first-address", "second-name")
    for http in ("h1", "h2")
]


@pytest.fixture(scope="module")
def gate(cluster: Cluster, second_cluster: Cluster) -> Iterator[DeclaredGate]:
    """The gate, in front of both."""
    with home() as folder, declared_gate(folder, cluster, second_cluster) as running:
        yield running


@pytest.fixture(scope="module")
def make_client(gate: DeclaredGate) -> ClientMaker:
    """Clients through this gate: `make_client("first-name", account, http="h1")`."""

    def make(way: str, account: str = "developer", *, http: str = "h2") -> Client:
        name, _, by = way.partition("-")
        cluster = gate.clusters[name]
        path = gate.running.home.path / f"{way}-{account}.yaml"
        gate.kubeconfig(path, name, cluster.accounts[account], by_address=by == "address")
        return Client(cluster, way, path, {"DISABLE_HTTP2": "1"} if http == "h1" else {})

    return make


@pytest.fixture(params=WAYS, scope="module")
def client(request: pytest.FixtureRequest, make_client: ClientMaker) -> Client:
    """kubectl as the developer, in every way there is."""
    way, http = request.param
    return make_client(way, "developer", http=http)


@pytest.fixture(scope="module", autouse=True)
def changing(gate: DeclaredGate) -> Iterator[Changing]:
    """The file changes all the time; in the end all of it was taken, and cost nobody a stream."""
    with Changing(gate) as made:
        yield made
    eventually(
        lambda: all(one.state == "up" for name in gate.clusters for one in gate.running.cluster(name).servers), "all are up"
    )
    status = gate.running.status()
    assert status.refused == ()
    assert status.streams_ended == 0
    assert "was ended, with" not in gate.running.said
    assert status.live_changes > status.reloads > 0
    assert sum(made.changes.made.values()) >= status.reloads


@pytest.fixture(scope="module")
def outages(gate: DeclaredGate) -> Iterator[list[str]]:
    """Who was out, while whom was spoken to; whatever happens, the API server runs in the end."""
    told: list[str] = []
    yield told
    first = gate.clusters["first"]
    if not first.runs(OUT):
        first.start_apiserver(OUT)


@pytest.fixture(autouse=True)
def outage(request: pytest.FixtureRequest, client: Client, outages: list[str]) -> None:
    """An API server is killed, not stopped, before one command, and is back before another one."""
    name = getattr(request.node, "originalname", "")
    if client.cluster.name != "first":
        return
    if name == KILLED_BEFORE:
        client.cluster.stop_apiserver(OUT)
        outages.append(client.mode)
    elif name == BACK_BEFORE and not client.cluster.runs(OUT):
        client.cluster.start_apiserver(OUT)


class TestCommands(Commands):
    """The list."""

    def test_an_api_server_was_out(self, client: Client, outages: list[str]) -> None:
        assert client.cluster.name != "first" or outages[-1] == client.mode
