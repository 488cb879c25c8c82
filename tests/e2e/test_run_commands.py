"""Every kubectl command through `run` with two clusters behind one port, while the file changes every second.

One API server of the first cluster is killed and comes back in the middle of its list.
"""

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.changes import Changing
from tests.e2e.commands import Commands
from tests.e2e.conftest import Client, ClientMaker
from tests.e2e.declared import DeclaredGate, declared_gate
from tests.support.expose import home

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
    """The file changes all the time."""
    with Changing(gate) as made:
        yield made
    print(gate.running.said)


class TestCommands(Commands):
    """The list."""
