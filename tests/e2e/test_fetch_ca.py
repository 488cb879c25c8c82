"""`kubegate certs fetch-ca` on the real cluster, whose own bootstrap signer signs cluster-info."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kubegate.cluster.cluster_info import PATH
from tests.cluster.cluster import Cluster
from tests.e2e.commands import until
from tests.support.commands import facts, said
from tests.support.expose import Home, home
from tests.support.tls import authority

ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: kubegate-test-cluster-info, namespace: kube-public}
rules: [{apiGroups: [""], resources: [configmaps], resourceNames: [cluster-info], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: kubegate-test-cluster-info, namespace: kube-public}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: kubegate-test-cluster-info}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:anonymous"}]
"""


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as folder:
        yield folder


@pytest.fixture(scope="module")
def cluster_info(cluster: Cluster) -> Iterator[None]:
    """The ConfigMap as kubeadm makes it, and who may read it; the cluster itself signs it."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    public = {"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "", "cluster": config["clusters"][0]["cluster"]}]}
    kubectl = cluster.kubectl
    kubectl("create", "configmap", "cluster-info", "-n", "kube-public", f"--from-literal=kubeconfig={yaml.safe_dump(public)}")
    kubectl("apply", "-f", "-", input=ROLE)
    key = f"jws-kubeconfig-{cluster.bootstrap_token.partition('.')[0]}"
    try:
        until(lambda: key in kubectl("get", "configmap", "cluster-info", "-n", "kube-public", "-o", "yaml").stdout, 90)
        yield
    finally:
        kubectl("delete", "configmap", "cluster-info", "-n", "kube-public")
        kubectl("delete", "-f", "-", input=ROLE)


def pin(cluster: Cluster) -> str:
    """As kubeadm's documentation has people make it."""
    words = ["openssl", "x509", "-pubkey", "-noout", "-in", str(cluster.ca.certificate)]
    public = subprocess.run(words, capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"], input=public, capture_output=True, check=True).stdout
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def server(cluster: Cluster) -> str:
    return f"{cluster.servers[0].address}:{cluster.servers[0].port}"


@pytest.mark.usefixtures("cluster_info")
def test_cluster_info_that_the_cluster_signed(cluster: Cluster, place: Home) -> None:
    token, out = place.path / "token", place.path / "ca.crt"
    token.write_text(cluster.bootstrap_token + "\n")
    before = {event["auditID"] for event in cluster.audit_events()}
    words = ("certs", "fetch-ca", "--from", "cluster-info", "--server", server(cluster), "--token-file", str(token))
    found = facts(*words, "--pin", pin(cluster), "--out", str(out), home=place)
    assert out.read_bytes() == Path(cluster.ca.certificate).read_bytes()
    assert "signed it" in found["remarks"][0]
    assert found["proven"]
    # Another token, of the same id.
    token.write_text(cluster.bootstrap_token[:-1] + ("0" if cluster.bootstrap_token[-1] != "0" else "1"))
    text = said(*words, "--pin", pin(cluster), home=place, code=1)
    assert "was not made with the bootstrap token" in text
    # The API servers have seen nothing but anonymous requests for it.
    now = [event for event in cluster.audit_events() if event["auditID"] not in before]
    reads = [event for event in now if event["requestURI"] == PATH and "kubegate" in event["userAgent"]]
    assert len({event["auditID"] for event in reads}) == 3
    assert {event["user"]["username"] for event in reads} == {"system:anonymous"}


def test_the_config_map_of_every_namespace(cluster: Cluster, place: Home) -> None:
    out = place.path / "ca.crt"
    words = ("certs", "fetch-ca", "--from", "configmap", "--kubeconfig", str(cluster.kubeconfig), "-n", "dev")
    found = facts(*words, "--out", str(out), home=place)
    assert out.read_bytes() == Path(cluster.ca.certificate).read_bytes()
    assert found["confirmed"] == "this kubeconfig trusts it already"
    assert found["authorities"][0]["pin"] == pin(cluster)
    refused = said(*words[:-1], "none", home=place, code=1)
    assert "--namespace NAME" in refused


def test_the_api_server_shows_its_leaf_alone(cluster: Cluster, place: Home) -> None:
    text = said("certs", "fetch-ca", "--from", "handshake", "--server", server(cluster), home=place, code=1)
    assert "sends its own certificate alone" in text
    assert "kubernetes.default.svc" in text


def test_what_was_fetched_is_what_kubectl_verifies_by(cluster: Cluster, place: Home) -> None:
    out, other = place.path / "ca.crt", place.path / "other.crt"
    facts("certs", "fetch-ca", "--kubeconfig", str(cluster.kubeconfig), "--out", str(out), home=place)
    other.write_bytes(authority("another CA").pem)
    for ca, works in ((out, True), (other, False)):
        config = cluster.write_kubeconfig(place.path / "config", cluster.admin, server=f"https://{server(cluster)}", ca=ca)
        assert (cluster.kubectl("get", "namespaces", kubeconfig=config, check=False).returncode == 0) is works


@pytest.mark.usefixtures("cluster_info")
def test_the_commands_of_the_page(cluster: Cluster, place: Home) -> None:
    page = Path(__file__).parents[2] / "docs" / "trust.md"
    commands = [line for line in page.read_text().splitlines() if line.startswith("kubegate ")]
    assert len(commands) >= 6
    (place.path / "token").write_text(cluster.bootstrap_token)
    environ = cluster.environment() | place.environ()
    environ["PATH"] = f"{Path(__file__).parents[2] / '.venv' / 'bin'}:{cluster.environment()['PATH']}"
    for line in commands:
        line = line.replace("sha256:HEX", pin(cluster)).replace("203.0.113.7:6443", server(cluster))
        done = subprocess.run(
            ["sh", "-c", line], env=environ, cwd=place.path, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
