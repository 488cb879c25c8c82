"""A declared gate that runs, and a certificate of the cluster's own CA that appears in an API server's place."""

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.declared import DeclaredGate, declared_gate
from tests.e2e.impostor import impostor
from tests.e2e.traffic import connected
from tests.support.expose import home
from tests.support.upstream import eventually


@pytest.fixture(scope="module")
def gate(cluster: Cluster, second_cluster: Cluster) -> Iterator[DeclaredGate]:
    """The gate, in front of both."""
    with home() as folder, declared_gate(folder, cluster, second_cluster) as running:
        yield running


def test_a_kubelet_that_takes_the_place_of_an_api_server_gets_nothing(gate: DeclaredGate, cluster: Cluster) -> None:
    kubelet = cluster.pki / "kubelet" / "kubelet-server-current.pem"
    gone = cluster.servers[1]
    with connected(gate, "first") as caller:
        cluster.stop_apiserver(1)
        try:
            with impostor(cluster.listen(gone.address, gone.port), kubelet) as received:
                eventually(lambda: _state(gate, f"{gone.address}:{gone.port}") == "down", "the impostor is found out")
                # Reads may be sent again, writes may not: each must find the one that is what it says.
                statuses = [caller.get("/version").status_code for _ in range(20)]
                statuses += [caller.post("/api/v1/namespaces/none/configmaps", json={}).status_code for _ in range(20)]
                assert _state(gate, f"{gone.address}:{gone.port}") == "down"
                assert not [words for words in received if words]
            assert set(statuses[:20]) == {200}
            assert not set(statuses[20:]) & {200, 201, 502, 503}
        finally:
            cluster.start_apiserver(1)
        gate.running.until_up("first", 2)


def _state(gate: DeclaredGate, address: str) -> str:
    return next(one.state for one in gate.running.cluster("first").servers if one.address == address)
