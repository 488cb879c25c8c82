"""kubectl through a gate that asks for client certificates: get, exec and a watch, until its certificate is revoked."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.e2e.conftest import Client
from tests.e2e.declared import upstream, write_front
from tests.support.commands import facts
from tests.support.expose import Home, home
from tests.support.run import Running, gate_file, run
from tests.support.tls import front_authority
from tests.support.upstream import eventually


@pytest.fixture
def gate(cluster: Cluster) -> Iterator[Running]:
    """The gate, its CA, and certificates for two people; the cluster knows them by their tokens."""
    with home() as folder:
        yield from _gate(cluster, folder)


def _gate(cluster: Cluster, person: Home) -> Iterator[Running]:
    ca = person.path / "ca"
    facts("certs", "ca", "init", str(ca), home=person)
    for user in ("alice", "bob"):
        facts("certs", "issue", "client", "--ca", str(ca), "--user", user, "--out", str(person.path / user), home=person)
    (person.path / f"{cluster.name}-ca.crt").write_bytes(cluster.ca.certificate.read_bytes())
    declared = {"name": "first", "certificate": write_front(person.path), "upstream": upstream(cluster)}
    listener = {"clientCertificates": {"ca": "ca/ca.crt", "revoked": "ca/revoked"}}
    with run(gate_file(person.path, declared, listener=listener), person) as running:
        running.until_up("first", len(cluster.servers))
        yield running


def client(cluster: Cluster, gate: Running, user: str | None) -> Client:
    """kubectl of the developer, with the certificate of this person."""
    account = cluster.accounts["developer"]
    credential: dict[str, str] = {"token": account.token or ""}
    if user is not None:
        credential |= {"client-certificate": f"{user}.crt", "client-key": f"{user}.key"}
    entry = {
        "server": f"https://127.0.0.1:{gate.port}",
        "certificate-authority-data": base64.b64encode(front_authority().pem).decode(),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": entry}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x", "namespace": "dev"}}],
        "users": [{"name": "x", "user": credential}],
    }
    path = gate.file.parent / f"{user}.yaml"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document))
    return Client(cluster, f"as {user}", path, {})


def said(client: Client, *words: str | Path) -> str:
    """What kubectl says when it fails."""
    done = client.run(*words, check=False)
    assert done.returncode != 0
    return (done.stdout + done.stderr).decode()


def test_kubectl_gets_in_by_a_certificate_until_it_is_revoked(
    cluster: Cluster, gate: Running, make_pod: Callable[[Cluster], str]
) -> None:
    alice, bob, nobody = (client(cluster, gate, user) for user in ("alice", "bob", None))
    pod = make_pod(cluster)
    assert pod in alice.text("get", "pods", "-o", "name")
    assert alice.text("exec", pod, "--", "echo", "through the gate") == "through the gate\n"
    assert "client certificate" in said(nobody, "get", "pods")
    with alice.running("exec", pod, "--", "sleep", "1000") as carried:
        eventually(lambda: carried.poll() is not None or gate.cluster("first").streams, "it is carried")
        assert carried.poll() is None
        facts("certs", "revoke", "alice", "--ca", str(gate.file.parent / "ca"), home=gate.home)
        gate.wait_for("1 open streams were ended")
        assert carried.wait(30) != 0
    assert "revoked" in said(alice, "get", "pods")
    assert "revoked" in said(alice, "exec", pod, "--", "true")
    assert pod in bob.text("get", "pods", "-o", "name")
    assert gate.status().reloads == 0


def test_the_real_cluster_inspected(cluster: Cluster, person: Home) -> None:
    """A kube-apiserver sends its own certificate alone, and the kubeconfig trusts it all the same."""
    shown, ca, admin = facts("certs", "inspect", str(cluster.kubeconfig), home=person)["found"]
    assert len(shown["chain"]) == 1
    assert shown["missing"] == ca["bundle"][0]["subject"]
    assert shown["kubeconfig"]["trusted"] is True
    assert shown["browser"]["trusted"] is False
    assert admin["key_belongs"] is True
