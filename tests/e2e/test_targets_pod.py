"""The target `kubernetes`, running: the rendered pods with everything that was rendered, but for the image.

No image can be fetched or built here. In its place is one with nothing but busybox, which sees Python, kubegate and HAProxy of
this machine, read-only; so the namespace lets pods see folders of the node. User, groups, read-only root, volumes, rights stay.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.cluster.layout import BUSYBOX_IMAGE
from tests.e2e.conftest import Client
from tests.e2e.declared import upstream
from tests.support.commands import said
from tests.support.expose import Home
from tests.support.run import front_leaf, write_pair
from tests.support.tls import front_authority

ROOT = Path(__file__).parents[2]
NAMESPACE, HOST, OWN = "pods", "prod.gate.test", "own.gate.test"
SEEN = dict.fromkeys([Path("/lib"), Path("/lib64"), Path("/usr/lib"), Path(sys.base_prefix), Path(sys.prefix), ROOT / "src"])
Document = dict[str, Any]


def declare(folder: Path, cluster: Cluster) -> Path:
    """A cluster whose API servers are listed, and the one that the pods run in."""
    (folder / f"{cluster.name}-ca.crt").write_bytes(cluster.ca.certificate.read_bytes())
    listed = {
        "name": "prod",
        "hosts": [HOST],
        "certificate": write_pair(folder, "prod", front_leaf(HOST)),
        "upstream": upstream(cluster),
    }
    own = {
        "name": "own",
        "hosts": [OWN],
        "certificate": write_pair(folder, "own", front_leaf(OWN)),
        "upstream": {"discover": True},
    }
    document = {
        "apiVersion": "kubegate.dev/v1alpha1",
        "kind": "Gate",
        "listeners": [{"name": "public", "address": "0.0.0.0:443"}],
        "clusters": [listed, own],
        "dataPlane": {"maxConnections": 200, "drain": "2s"},
    }
    file = folder / "kubegate.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return file


def with_this_machine(deployment: Document) -> None:
    """Let the pods see the programs of this machine."""
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    for number, path in enumerate(SEEN):
        pod["volumes"].append({"name": f"seen-{number}", "hostPath": {"path": str(path.resolve())}})
        container["volumeMounts"].append({"name": f"seen-{number}", "mountPath": str(path), "readOnly": True})
    container["env"].append({"name": "PATH", "value": f"{sys.prefix}/bin:/bin"})


@pytest.fixture(scope="module")
def gate(cluster: Cluster, person: Home) -> Iterator[Path]:
    """The pods, ready; gives the folder with kubeconfigs."""
    folder = person.path / "pods"
    folder.mkdir()
    out = folder / "out"
    words = ("render", "kubernetes", "-c", str(declare(folder, cluster)), "--out", str(out), "--namespace", NAMESPACE)
    said(*words, "--image", BUSYBOX_IMAGE, home=person, extra={"KUBECONFIG": str(cluster.kubeconfig)})
    objects = [one for path in sorted(out.iterdir()) for one in yaml.safe_load_all(path.read_text())]
    for one in objects:
        if one["kind"] == "Namespace":
            one["metadata"]["labels"] = {"pod-security.kubernetes.io/enforce": "privileged"}
        if one["kind"] == "Deployment":
            with_this_machine(one)
    try:
        cluster.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(objects))
        rolled = cluster.kubectl(
            "rollout", "status", "deployment/kubegate", "-n", NAMESPACE, "--timeout=75s", check=False, timeout=90
        )
        assert rolled.returncode == 0, rolled.stderr + logs(cluster)
        yield folder
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            cluster.kubectl("delete", "role,rolebinding", f"kubegate-{NAMESPACE}", "-n", "default", "--ignore-not-found")
            cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", timeout=120)


def logs(cluster: Cluster) -> str:
    """What the pods say, and what is said of them."""
    said = cluster.kubectl("logs", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=kubegate", "--tail=50", check=False)
    told = cluster.kubectl("get", "events", "-n", NAMESPACE, "--sort-by=.lastTimestamp", check=False)
    return said.stdout + said.stderr + told.stdout[-4000:]


@pytest.fixture(scope="module", params=[HOST, OWN])
def client(request: pytest.FixtureRequest, cluster: Cluster, gate: Path) -> Client:
    """kubectl as an admin, through the Service."""
    address = cluster.kubectl("get", "service", "kubegate", "-n", NAMESPACE, "-o", "jsonpath={.spec.clusterIP}").stdout
    ca = gate / "front-ca.crt"
    ca.write_bytes(front_authority().pem)
    path = cluster.write_kubeconfig(gate / f"{request.param}.yaml", cluster.admin_token, server=f"https://{address}", ca=ca)
    document = yaml.safe_load(path.read_text())
    document["clusters"][0]["cluster"]["tls-server-name"] = request.param
    path.write_text(yaml.safe_dump(document))
    return Client(cluster, "pod", path)


def test_nodes_through_the_service(client: Client) -> None:
    assert client.cluster.node_name in client.text("get", "nodes")


def test_the_gate_in_the_pod_knows_every_api_server(client: Client) -> None:
    words = ("exec", "-n", NAMESPACE, "deployment/kubegate", "--", "kubegate", "status", "--output", "json")
    found = json.loads(client.text(*words))
    servers = {one["name"]: {server["address"] for server in one["servers"]} for one in found["clusters"]}
    every = {f"{server.address}:{server.port}" for server in client.cluster.servers}
    assert servers == {"prod": every, "own": every}
    assert {one["code"] for one in found["warnings"]} <= {"haproxy.holes", "listen.open", "front.trust.pinned"}


def test_its_account_may_do_nothing_else(client: Client) -> None:
    account = f"--as=system:serviceaccount:{NAMESPACE}:kubegate"
    assert client.text("auth", "can-i", "list", "endpointslices.discovery.k8s.io", "-n", "default", account).strip() == "yes"
    for verb, what in (("get", "secrets"), ("list", "pods"), ("create", "pods"), ("watch", "endpointslices.discovery.k8s.io")):
        assert client.run("auth", "can-i", verb, what, "-n", "default", account, check=False).stdout.strip() == b"no"
    assert client.run("auth", "can-i", "list", "secrets", "-n", NAMESPACE, account, check=False).stdout.strip() == b"no"


def test_the_pods_run_as_nobody_with_nothing_to_write_to(client: Client) -> None:
    script = "id -u; touch /etc/kubegate/x /x 2>/dev/null || echo refused; grep CapEff /proc/1/status"
    shown = client.text("exec", "-n", NAMESPACE, "deployment/kubegate", "--", "sh", "-c", script).split()
    assert shown == ["65532", "refused", "CapEff:", "0000000000000000"]
