"""Through a declared gate: who a caller is, and bytes that arrive as they were sent while the gate is reloaded and taken over."""

import concurrent.futures
import hashlib
import http.client
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.changes import Changes, Disturbed
from tests.e2e.conftest import Client
from tests.e2e.declared import DeclaredGate, declared_gate
from tests.e2e.traffic import connected
from tests.support.expose import home
from tests.support.upstream import eventually

BLOCK = 1 << 20
MEGABYTES = 24


@pytest.fixture(scope="module")
def gate(cluster: Cluster, second_cluster: Cluster) -> Iterator[DeclaredGate]:
    """The gate, in front of both."""
    with home() as folder, declared_gate(folder, cluster, second_cluster) as running:
        yield running
        # The last one of those that took over.
        running.running.end()


@pytest.fixture(scope="module")
def changes(gate: DeclaredGate) -> Changes:
    """Every second one of a kind undoes the one before, so they are counted for all tests."""
    return Changes(gate)


@pytest.fixture(params=["first", "second"])
def client(request: pytest.FixtureRequest, gate: DeclaredGate, tmp_path: Path) -> Client:
    """kubectl as the developer of a cluster: the first one's TLS is opened, the second one's is not."""
    name: str = request.param
    cluster = gate.clusters[name]
    return Client(cluster, name, gate.kubeconfig(tmp_path / "config", name, cluster.accounts["developer"]))


def sent(folder: Path) -> Path:
    """A file in which no two blocks are the same."""
    path, block = folder / "sent", os.urandom(BLOCK)
    with path.open("wb") as file:
        for number in range(MEGABYTES):
            file.write(number.to_bytes(8, "big") + block[8:])
    return path


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.timeout(240)
def test_copies_are_whole(gate: DeclaredGate, changes: Changes, client: Client, pod: str, tmp_path: Path) -> None:
    path = sent(tmp_path)
    wanted = digest(path.read_bytes())
    with Disturbed(gate, changes) as disturbed:
        for number in range(3):
            client.run("cp", path, f"dev/{pod}:/tmp/copy{number}", timeout=60)
            assert client.text("exec", "-n", "dev", pod, "--", "sha256sum", f"/tmp/copy{number}").split()[0] == wanted
            read = client.run("exec", "-n", "dev", pod, "--", "cat", f"/tmp/copy{number}", timeout=60)
            assert digest(read.stdout) == wanted
            client.run("exec", "-n", "dev", pod, "--", "rm", f"/tmp/copy{number}")
    assert disturbed.rounds > 0


@pytest.mark.timeout(240)
def test_a_forwarded_port_carries_every_byte_both_ways(gate: DeclaredGate, changes: Changes, client: Client, pod: str) -> None:
    """The pod's port 8080 answers each connection; the one on which the tunnel lives was opened before all that."""
    with client.running("port-forward", "-n", "dev", f"pod/{pod}", ":8080", "--address", "127.0.0.1") as forward:
        assert forward.stdout is not None
        match = re.search(r"127\.0\.0\.1:(\d+) ->", forward.stdout.readline())
        assert match
        fetch = _fetching(int(match[1]))
        with Disturbed(gate, changes) as disturbed, concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(fetch, range(400)))
    assert answers == [b"hello\n"] * 400
    assert disturbed.rounds > 0


def _fetching(port: int) -> Callable[[int], bytes]:
    def fetch(_: int) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read()
        finally:
            connection.close()

    return fetch


@pytest.mark.timeout(240)
def test_a_shell_that_was_opened_before_all_that_answers_each_line(
    gate: DeclaredGate, changes: Changes, client: Client, pod: str
) -> None:
    with client.running("exec", "-i", "-n", "dev", pod, "--", "cat") as shell, Disturbed(gate, changes) as disturbed:
        assert shell.stdin is not None
        assert shell.stdout is not None
        lines = 0
        while disturbed.rounds < 2:
            word = secrets.token_hex(2000)
            shell.stdin.write(f"{word}\n")
            shell.stdin.flush()
            assert shell.stdout.readline() == f"{word}\n"
            lines += 1
    assert lines > 10


def test_the_audit_log_has_the_caller_and_the_callers_address(gate: DeclaredGate, cluster: Cluster) -> None:
    """Through the hop, too: this listener also passes TLS through. What a caller says about its address counts for nothing."""
    mark = secrets.token_hex(8)
    with connected(gate, "first") as caller:
        forged = {"X-Forwarded-For": "192.0.2.9", "X-Real-Ip": "192.0.2.9"}
        assert caller.get(f"/api?mark={mark}", headers=forged).status_code == 200
    # The API server writes it down after it has answered.
    eventually(lambda: _noted(cluster, mark), "the API server has noted it")
    [event] = _noted(cluster, mark)
    assert event["user"]["username"] == "developer"
    assert event["sourceIPs"][0] == "127.0.0.1"
    assert "192.0.2.9" not in event["sourceIPs"]


def _noted(cluster: Cluster, mark: str) -> list[dict[str, Any]]:
    return [one for one in cluster.audit_events() if f"mark={mark}" in one["requestURI"] and one["stage"] == "ResponseComplete"]


def test_a_token_of_one_cluster_is_nobodys_in_the_other(gate: DeclaredGate) -> None:
    path = "/api/v1/namespaces/dev/configmaps"
    tokens = {name: one.accounts["developer"].token for name, one in gate.clusters.items()}
    for name in gate.clusters:
        with connected(gate, name) as caller:
            found = {whose: caller.get(path, headers={"Authorization": f"Bearer {token}"}) for whose, token in tokens.items()}
        assert {whose: answer.status_code for whose, answer in found.items()} == {
            whose: 200 if whose == name else 401 for whose in tokens
        }
