"""kubectl through other engines, each with the set that was rendered for it, in front of the real API servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.conftest import Client
from tests.e2e.declared import FIRST_HOST, upstream, write_front
from tests.e2e.targets import kubeconfig
from tests.support.engines import ENGINES, Running, engine_of, render
from tests.support.expose import home
from tests.support.run import gate_file


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Running]:
    """The engine, in front of both API servers of the cluster."""
    with home() as place:
        (place.path / f"{cluster.name}-ca.crt").write_bytes(cluster.ca.certificate.read_bytes())
        declared = {"name": "first", "hosts": [FIRST_HOST], "certificate": write_front(place.path), "upstream": upstream(cluster)}
        document = gate_file(place.path, declared)
        folder, _ = render(request.param, document, place)
        with engine_of(request.param, folder, document) as running:
            # The API server itself answers, and wants to know who asks.
            running.until(403, FIRST_HOST)
            yield running


@pytest.fixture
def client(engine: Running, cluster: Cluster, tmp_path: Path) -> Client:
    """kubectl as the developer."""
    return Client(cluster, engine.engine, kubeconfig(tmp_path / "config", engine.port, cluster.accounts["developer"]))


def test_get_nodes_as_the_admin(engine: Running, cluster: Cluster, tmp_path: Path) -> None:
    admin = Client(cluster, engine.engine, kubeconfig(tmp_path / "config", engine.port, cluster.accounts["admin-token"]))
    assert cluster.node_name in admin.text("get", "nodes")


def test_callers_keep_their_own_rights(client: Client) -> None:
    assert "developer" in client.text("auth", "whoami")
    refused = client.run("get", "nodes", "--as", "somebody", check=False)
    assert b'User "developer" cannot impersonate' in refused.stderr


@pytest.mark.parametrize("websockets", ["true", "false"], ids=["websocket", "spdy"])
def test_exec_carries_input_output_and_exit_code(client: Client, pod: str, websockets: str) -> None:
    # kubectl's own switch; without it exec is SPDY/3.1.
    speaking = Client(client.cluster, client.mode, client.kubeconfig, {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": websockets})
    assert speaking.text("exec", "-i", "-n", "dev", pod, "--", "cat", input=b"to and fro\n") == "to and fro\n"
    failed = speaking.run("exec", "-n", "dev", pod, "--", "sh", "-c", "exit 7", check=False)
    assert failed.returncode == 7


def test_a_watch_shows_changes_as_they_come(client: Client) -> None:
    client.run("delete", "configmap", "rendered", "-n", "dev", "--ignore-not-found")
    with client.running("get", "configmaps", "-n", "dev", "-w", "--output-watch-events") as watch:
        assert watch.stdout is not None
        assert any("kube-root-ca.crt" in watch.stdout.readline() for _ in range(10))
        client.run("create", "configmap", "rendered", "-n", "dev")
        client.run("delete", "configmap", "rendered", "-n", "dev")
        events: list[str] = []
        for line in watch.stdout:
            event, name, *_ = line.split()
            events += [event] if name == "rendered" else []
            if events[-1:] == ["DELETED"]:
                break
    assert events == ["ADDED", "DELETED"]
