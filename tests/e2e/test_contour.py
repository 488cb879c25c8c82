"""What is rendered for Contour, served by the real Contour and Envoy in front of the real cluster."""

import base64
import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.cluster.accounts import Account
from tests.cluster.cluster import Cluster
from tests.e2e.conftest import Client
from tests.e2e.declared import upstream
from tests.support.commands import facts
from tests.support.contour import CRDS, Running, contour, custom_resources
from tests.support.expose import Home
from tests.support.host_names import host_names
from tests.support.run import front_leaf, write_pair
from tests.support.tls import authority, front_authority

HOST, CLOSED, PASSED = "prod.contour.test", "closed.contour.test", "api.kubegate.test"
NAMESPACE = "gates"
SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}


@dataclass(frozen=True)
class Served:
    """The rendered gate, served."""

    cluster: Cluster
    running: Running
    folder: Path

    def client(self, host: str, account: Account, ca: bytes | None = None, extra: dict[str, str] | None = None) -> Client:
        """kubectl as an account, to a name of the gate."""
        path = self.folder / f"{host}-{account.name}.yaml"
        trusted = self.folder / f"{host}-ca.crt"
        trusted.write_bytes(ca or front_authority().pem)
        self.cluster.write_kubeconfig(path, account, server=f"https://{host}:{self.running.port}", ca=trusted)
        return Client(self.cluster, "contour", path, extra or {})

    def until(self, check: Callable[[], bool], what: str, seconds: float = 40) -> None:
        """Wait for something that is going to be true."""
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, f"not yet: {what}: {self.running.said()[-3000:]}"
            time.sleep(0.2)

    def patch_ca(self, pem: bytes) -> None:
        """Put another CA in the place of the one that verifies the API servers."""
        change = json.dumps({"data": {"ca.crt": base64.b64encode(pem).decode()}})
        self.cluster.kubectl("patch", "secret", "kubegate-prod-ca", "-n", NAMESPACE, "--type=merge", "-p", change)


def declare(folder: Path, cluster: Cluster) -> Path:
    """The file, with what it names: two clusters that are opened, one of them for nobody here, and one that is passed through."""
    (folder / f"{cluster.name}-ca.crt").write_bytes(cluster.ca.certificate.read_bytes())
    reached = {"upstream": upstream(cluster)}
    opened = {"name": "prod", "hosts": [HOST], "certificate": write_pair(folder, "prod", front_leaf(HOST)), **reached}
    closed = {"name": "closed", "hosts": [CLOSED], "certificate": write_pair(folder, "closed", front_leaf(CLOSED)), **reached}
    clusters = [
        opened,
        closed | {"allow": ["203.0.113.0/24"]},
        {"name": "vault", "hosts": [PASSED], "mode": "passthrough", **reached},
    ]
    document = {
        "apiVersion": "kubegate.dev/v1alpha1",
        "kind": "Gate",
        "listeners": [{"name": "public", "address": "0.0.0.0:443"}],
        "clusters": clusters,
    }
    file = folder / "kubegate.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return file


@pytest.fixture(scope="module")
def served(cluster: Cluster, person: Home) -> Iterator[Served]:
    """The gate, rendered by the command, applied on the server's side, and served."""
    folder = person.path / "contour"
    folder.mkdir()
    file = declare(folder, cluster)
    out = folder / "out"
    facts("render", "contour", "-c", str(file), "--out", str(out), "--namespace", NAMESPACE, home=person)
    with contextlib.ExitStack() as stack:
        stack.enter_context(host_names(HOST, CLOSED))
        custom_resources(cluster, *CRDS)
        stack.callback(cluster.kubectl, "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true")
        cluster.kubectl("apply", "--server-side", "--validate=strict", "-f", out)
        running = stack.enter_context(contour(cluster, folder))
        made = Served(cluster, running, folder)
        proxies = ("httpproxy", "--all", "-n", NAMESPACE)
        cluster.kubectl("wait", "--for=jsonpath={.status.currentStatus}=valid", "--timeout=40s", *proxies)
        admin = made.client(HOST, cluster.admin_token)
        made.until(lambda: admin.run("version", check=False).returncode == 0, "it answers")
        yield made


@pytest.fixture(scope="module")
def client(served: Served) -> Client:
    """kubectl as the developer, through it."""
    return served.client(HOST, served.cluster.developer)


@pytest.fixture
def pod(served: Served, make_pod: Callable[[Cluster], str]) -> str:
    """A pod that answers HTTP, echoes, and logs."""
    return make_pod(served.cluster)


def test_nodes(served: Served) -> None:
    assert served.cluster.node_name in served.client(HOST, served.cluster.admin_token).text("get", "nodes")


def test_who_is_calling_is_for_the_api_server_to_say(served: Served, client: Client) -> None:
    stranger = Account("stranger", (), Path(), token="no-such-token")
    assert b"Unauthorized" in served.client(HOST, stranger).run("get", "pods", "-n", "dev", check=False).stderr
    assert b"Forbidden" in client.run("get", "nodes", check=False).stderr


def test_exec_logs_and_port_forward_over_websocket(client: Client, pod: str) -> None:
    assert client.text("exec", "-i", "-n", "dev", pod, "--", "cat", input=b"to and fro\n") == "to and fro\n"
    failed = client.run("exec", "-n", "dev", pod, "--", "sh", "-c", "exit 7", check=False)
    assert failed.returncode == 7
    with client.running("logs", "-f", "--tail=1", "-n", "dev", pod) as logs:
        assert logs.stdout is not None
        first, *rest = [int(logs.stdout.readline().split()[1]) for _ in range(5)]
    assert rest == list(range(first + 1, first + 5))
    with client.running("port-forward", "-n", "dev", f"pod/{pod}", ":8080") as forward:
        assert forward.stdout is not None
        assert "Forwarding from 127.0.0.1" in forward.stdout.readline()


def test_exec_over_spdy_is_refused(served: Served, pod: str) -> None:
    spdy = served.client(HOST, served.cluster.developer, extra=SPDY)
    refused = spdy.run("exec", "-n", "dev", pod, "--", "true", check=False)
    assert refused.returncode != 0
    assert b"unable to upgrade connection" in refused.stderr, refused.stderr
    # Envoy writes its access log every ten seconds.
    served.until(
        lambda: bool(re.search(r'"POST /[^"]*/exec\?[^"]*" 403 ', served.running.said())), "Envoy says that it answered 403"
    )


def test_a_watch_is_carried(client: Client) -> None:
    client.run("delete", "configmap", "seen", "-n", "dev", "--ignore-not-found")
    with client.running("get", "configmaps", "-n", "dev", "-w", "--output-watch-events") as watch:
        assert watch.stdout is not None
        assert any("kube-root-ca.crt" in watch.stdout.readline() for _ in range(10))
        client.run("create", "configmap", "seen", "-n", "dev")
        assert any(line.split()[:2] == ["ADDED", "seen"] for line in (watch.stdout.readline() for _ in range(10)))
    client.run("delete", "configmap", "seen", "-n", "dev")


def test_sources_that_are_not_allowed_get_403(served: Served) -> None:
    closed = served.client(CLOSED, served.cluster.admin_token)
    refused = closed.run("get", "nodes", check=False)
    assert refused.returncode != 0
    assert b"RBAC: access denied" in refused.stderr or b"Forbidden" in refused.stderr, refused.stderr


def test_passed_through_a_client_certificate_counts(served: Served) -> None:
    # The API server's own certificate, so its name: it leads to the API servers, and is asked for at Envoy's address here.
    assert served.cluster.api_name == PASSED
    through = served.client(HOST, served.cluster.admin, served.cluster.ca.certificate.read_bytes())
    found = through.text("get", "nodes", f"--tls-server-name={PASSED}", "-o", "name")
    assert found.strip() == f"node/{served.cluster.node_name}"


def test_whoever_does_not_trust_its_certificate_gets_nothing(served: Served) -> None:
    mistrusting = served.client(HOST, served.cluster.admin_token, authority("somebody else").pem)
    refused = mistrusting.run("get", "nodes", check=False)
    assert refused.returncode != 0
    assert b"certificate signed by unknown authority" in refused.stderr


def test_api_servers_of_another_ca_get_no_request(served: Served) -> None:
    admin = served.client(HOST, served.cluster.admin_token)
    other = authority("another CA")
    right = served.cluster.ca.certificate.read_bytes()

    def refused() -> bool:
        done = admin.run("get", "--raw", "/version", check=False)
        return done.returncode != 0 and b"gitVersion" not in done.stdout

    try:
        served.patch_ca(other.pem)
        served.until(refused, "nothing is answered")
        before = len(served.cluster.audit_events())
        done = admin.run("get", "nodes", check=False)
        assert b"503" in done.stderr or b"unavailable" in done.stderr.lower() or b"unable to handle" in done.stderr, done.stderr
        seen = [event for event in served.cluster.audit_events()[before:] if event.get("userAgent", "").startswith("kubectl")]
        assert not [event for event in seen if event["user"].get("username") == served.cluster.admin_token.name]
    finally:
        served.patch_ca(right)
        served.until(lambda: not refused(), "it answers again")


def test_an_address_with_the_name_in_tls_alone_is_refused(served: Served) -> None:
    by_name = served.client(HOST, served.cluster.admin_token)
    words = ("get", "--raw", "/version", f"--server=https://127.0.0.1:{served.running.port}", f"--tls-server-name={HOST}")
    refused = by_name.run(*words, check=False)
    assert refused.returncode != 0
    assert b"421" in refused.stderr or b"Misdirected" in refused.stderr, refused.stderr
