"""The API servers of the real cluster, followed by its own EndpointSlices as they join, leave and crash."""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.accounts import write_kubeconfig
from tests.cluster.cluster import ApiServer, Cluster
from tests.e2e.declared import FIRST_HOST, DeclaredGate, write_front
from tests.e2e.traffic import Asking
from tests.support.expose import home
from tests.support.run import gate_file, run
from tests.support.upstream import eventually

# All that the user of the kubeconfig has to be allowed.
RIGHTS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: gate, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: gate, namespace: default}
rules:
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: gate, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: gate}
subjects: [{kind: ServiceAccount, name: gate, namespace: default}]
"""


@pytest.fixture(scope="module")
def token(cluster: Cluster) -> Iterator[str]:
    """The token of an account that may read the EndpointSlices and nothing else."""
    cluster.kubectl("apply", "-f", "-", input=RIGHTS)
    try:
        yield cluster.kubectl("create", "token", "gate", "-n", "default", "--duration", "1h").stdout.strip()
    finally:
        cluster.kubectl("delete", "-f", "-", input=RIGHTS)


@pytest.fixture(scope="module")
def gate(cluster: Cluster, token: str) -> Iterator[DeclaredGate]:
    """A gate that asks the first API server, and then whoever is there."""
    with home() as person:
        source = write_kubeconfig(
            person.path / "gate.yaml", server=cluster.servers[0].url, ca=cluster.ca.certificate, token=token
        )
        declared = {
            "name": "first",
            "hosts": [FIRST_HOST],
            "certificate": write_front(person.path),
            "upstream": {"kubeconfig": source.name, "discover": True},
            "health": {"interval": "1s"},
        }
        with run(gate_file(person.path, declared), person) as running:
            running.until_up("first", 2)
            yield DeclaredGate(running, cluster, cluster)


def follows(gate: DeclaredGate, *servers: ApiServer) -> None:
    """Wait until the gate has just these API servers."""
    wanted = {f"{server.address}:{server.port}" for server in servers}
    eventually(
        lambda: {one.address for one in gate.running.cluster("first").servers if one.state != "draining"} == wanted,
        f"it has {wanted}",
    )


def test_one_joins_and_leaves_without_a_reload(cluster: Cluster, gate: DeclaredGate) -> None:
    follows(gate, *cluster.servers)
    with Asking(gate, "first", http2=False) as asking:
        cluster.add_apiserver(cluster.spare.index)
        try:
            follows(gate, *cluster.servers, cluster.spare)
            gate.running.until_up("first", 3)
            # Its certificate is for its own address; the gate verifies it by the name that no node has.
            assert gate.running.cluster("first").verified_name == "kubernetes.default.svc"
        finally:
            cluster.remove_apiserver(cluster.spare.index)
        follows(gate, *cluster.servers)
    # One that says goodbye may ask clients to come again.
    assert not [failure for failure in asking.failed if not failure.startswith("429")]
    assert asking.asked > 50
    assert gate.running.status().reloads == 0


def until_even(gate: DeclaredGate) -> None:
    """Wait until no server takes its share step by step any more, so that what comes is spread over all of them."""
    deadline = time.monotonic() + 60
    while min(one.seconds or 0 for one in gate.running.cluster("first").servers) < 12:
        assert time.monotonic() < deadline, "a server does not stay up"
        time.sleep(0.2)


def test_the_one_of_the_kubeconfig_crashes_and_nobody_waits_in_vain(cluster: Cluster, gate: DeclaredGate, tmp_path: Path) -> None:
    """What the other one says is followed; whoever watches goes on by himself."""
    config = gate.kubeconfig(tmp_path / "client.yaml", "first", cluster.developer)
    until_even(gate)
    cluster.kubectl("create", "configmap", "crash", "-n", "dev", "--from-literal=over=no")
    with contextlib.ExitStack() as stack:
        stack.callback(cluster.kubectl, "delete", "configmap", "crash", "-n", "dev")
        condition = "--for=jsonpath={.data.over}=yes"
        waiting = [
            stack.enter_context(
                subprocess.Popen(
                    [cluster.kubectl_path, "wait", condition, "configmap/crash", "-n", "dev", "--timeout=60s"],
                    env=cluster.environment(config),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            )
            for _ in range(6)
        ]
        eventually(lambda: gate.running.cluster("first").streams >= 6, "all of them watch")
        assert {one.carried > 0 for one in gate.running.cluster("first").servers} == {True}
        with Asking(gate, "first", http2=True) as asking:
            try:
                cluster.remove_apiserver(0, signal.SIGKILL)
                follows(gate, cluster.servers[1])
                assert [one.message for one in gate.running.status().warnings if one.code == "upstream.members"] == []
                patch = json.dumps({"data": {"over": "yes"}})
                cluster.kubectl("patch", "configmap", "crash", "-n", "dev", "-p", patch, kubeconfig=config)
                said = [process.communicate(timeout=60)[0].decode() for process in waiting]
            finally:
                cluster.add_apiserver(0)
            follows(gate, *cluster.servers)
        assert asking.failed == []
    assert [process.returncode for process in waiting] == [0] * 6, said
    gate.running.until_up("first", 2)
    assert gate.running.status().reloads == 0
