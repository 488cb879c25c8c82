"""`kubegate approver` on the real API servers, with the rights of `examples/approver/rights.yaml` and no more."""

import base64
import contextlib
import json
import os
import secrets
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from kubegate.bootstrap.signers import KUBELET_CLIENT, KUBELET_SERVING
from kubegate.system.network import free_port
from tests.cluster.cluster import Cluster
from tests.support.expose import Home, command
from tests.support.requests import NODES, names, request, subject

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "approver"
WORKERS = "system:bootstrappers:workers"
CLIENT = ("digital signature", "client auth")
SERVER = ("digital signature", "server auth")
PATIENCE_SECONDS = 60.0
T = TypeVar("T")


def until(found: Callable[[], T | None], what: str) -> T:
    """What is found once it is there."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come")


class Replica:
    """One process of the approver, what it decides, and what it says."""

    def __init__(self, file: Path, kubeconfig: Path, person: Home, *more: str) -> None:
        words = command("approver", "-c", str(file), "--output", "json", *more)
        environ = person.environ({"KUBECONFIG": str(kubeconfig)})
        self.process = subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        self.decided: list[dict[str, Any]] = []
        self.said: list[str] = []
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._read_decided, self._read_said)]
        for one in self._threads:
            one.start()

    def _read_decided(self) -> None:
        assert self.process.stdout
        for text in self.process.stdout:
            self.decided.append(json.loads(text))

    def _read_said(self) -> None:
        assert self.process.stderr
        self.said.extend(self.process.stderr)

    def about(self, name: str) -> dict[str, Any]:
        """What was decided about a request last, as soon as something was."""
        return until(lambda: next((one for one in reversed(self.decided) if one["name"] == name), None), f"a decision on {name}")

    def leads(self) -> "Replica":
        """Itself, once it leads."""
        until(lambda: any("leads" in text for text in self.said) or None, "the lead")
        return self

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(30)
        for one in self._threads:
            one.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        text = "".join(self.said)
        assert "Traceback" not in text, text


class Place:
    """A namespace with the rights, a declaration, and replicas that are ended at the end."""

    def __init__(self, cluster: Cluster, person: Home, folder: Path) -> None:
        self.cluster = cluster
        self.person = person
        self.folder = folder
        self.namespace = f"approver-{secrets.token_hex(3)}"
        self.replicas: list[Replica] = []
        self.made: list[str] = []
        self.rights = (EXAMPLES / "rights.yaml").read_text().replace("kubegate-approver", self.namespace)
        cluster.kubectl("apply", "-f", "-", input=self.rights)
        token = cluster.kubectl("-n", self.namespace, "create", "token", self.namespace).stdout.strip()
        self.kubeconfig = folder / "config"
        account = cluster.accounts["viewer"]
        cluster.write_kubeconfig(self.kubeconfig, account, server=cluster.servers[0].url)
        document = yaml.safe_load(self.kubeconfig.read_text())
        document["users"][0]["user"] = {"token": token}
        self.kubeconfig.write_text(yaml.safe_dump(document))

    def start(self, *more: str, inventory: dict[str, list[str]] | None = None, **changes: Any) -> Replica:
        """A replica by the example's declaration, changed."""
        document = yaml.safe_load((EXAMPLES / "approver.yaml").read_text()) | {"namespace": self.namespace} | changes
        (self.folder / "approver.yaml").write_text(yaml.safe_dump(document))
        (self.folder / "nodes.yaml").write_text(yaml.safe_dump({"nodes": inventory or {}}))
        replica = Replica(self.folder / "approver.yaml", self.kubeconfig, self.person, *more)
        self.replicas.append(replica)
        return replica

    def ask(self, pem: bytes, *, node: str = "", group: str = WORKERS) -> str:
        """Make a request: of a serving certificate as a node, if one is named, else of a client's with a bootstrap token."""
        name = f"test-{secrets.token_hex(4)}"
        signer, usages = (KUBELET_SERVING, SERVER) if node else (KUBELET_CLIENT, CLIENT)
        spec = {
            "request": base64.b64encode(pem).decode(),
            "signerName": signer,
            "usages": list(usages),
            "expirationSeconds": 3600,
        }
        body = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name},
            "spec": spec,
        }
        user, groups = (f"system:node:{node}", [NODES]) if node else ("system:bootstrap:abcdef", ["system:bootstrappers", group])
        acting = ["--as", user, *(word for one in (*groups, "system:authenticated") for word in ("--as-group", one))]
        self.cluster.kubectl("create", *acting, "-f", "-", input=json.dumps(body))
        self.made.append(name)
        return name

    def get(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.cluster.kubectl("get", "csr", name, "-o", "json").stdout)
        return found

    def conditions(self, name: str) -> list[tuple[str, str]]:
        return [(one["type"], one["reason"]) for one in self.get(name)["status"].get("conditions", [])]

    def events(self, name: str) -> list[str]:
        words = ("get", "events", "-o", "json", "--field-selector", f"involvedObject.name={name}")
        return [one["message"] for one in json.loads(self.cluster.kubectl(*words).stdout)["items"]]

    def close(self) -> None:
        for one in self.replicas:
            one.end(signal.SIGKILL)
        if self.made:
            self.cluster.kubectl("delete", "csr", *self.made, "--ignore-not-found")
        self.cluster.kubectl("delete", "--wait=false", "--ignore-not-found", "-f", "-", input=self.rights)


@pytest.fixture
def place(cluster: Cluster, person: Home, tmp_path: Path) -> Iterator[Place]:
    bound = f"bootstrapper-{secrets.token_hex(3)}"
    cluster.kubectl("create", "clusterrolebinding", bound, "--clusterrole=system:node-bootstrapper", f"--group={WORKERS}")
    found = Place(cluster, person, tmp_path)
    yield found
    found.close()
    cluster.kubectl("delete", "clusterrolebinding", bound)


def new_name() -> str:
    return f"worker-{secrets.randbelow(10**9)}"


def test_a_new_node_once_and_its_name_is_taken(place: Place) -> None:
    replica = place.start().leads()
    node = new_name()
    first = place.ask(request(node))
    assert replica.about(first)["reason"] == "NewNode"
    until(lambda: place.get(first)["status"].get("certificate"), "the certificate")
    assert place.conditions(first) == [("Approved", "KubegateNewNode")]
    second = place.ask(request(node))
    assert (replica.about(second)["verdict"], replica.about(second)["reason"]) == ("wait", "CertificateExists")
    assert place.conditions(second) == []
    event = until(lambda: place.events(second), "the event")[0]
    assert f"kubegate csr approve {second}" in event
    # A person allows it.
    environ = place.person.environ({"KUBECONFIG": str(place.cluster.kubeconfig)})
    allowed = subprocess.run(command("csr", "approve", second, "--yes"), env=environ, timeout=60, check=False)
    assert allowed.returncode == 0
    until(lambda: place.get(second)["status"].get("certificate"), "the certificate")


def test_what_was_decided_is_known_to_the_next_one(place: Place) -> None:
    first = place.start().leads()
    node = new_name()
    assert first.about(place.ask(request(node)))["verdict"] == "approve"
    first.end(signal.SIGKILL)
    second = place.start().leads()
    assert second.about(place.ask(request(node)))["reason"] == "CertificateExists"


def test_a_node_that_is_there_is_not_given_away(place: Place) -> None:
    replica = place.start(names=[".*"]).leads()
    name = place.ask(request(place.cluster.node_name))
    assert (replica.about(name)["verdict"], replica.about(name)["reason"]) == ("wait", "NodeExists")
    assert place.conditions(name) == []


def test_forgeries_are_denied_for_good(place: Place) -> None:
    replica = place.start().leads()
    node = new_name()
    forged = {
        place.ask(request("master-1")): "NameNotAllowed",
        place.ask(request(node, names(node))): "WrongShape",
        place.ask(request(of=subject(f"system:node:{node}", NODES, "other"))): "WrongShape",
        place.ask(b"x" + request(node) + request("master-1")): "NotOneRequest",
    }
    for name, reason in forged.items():
        assert replica.about(name)["reason"] == reason
        until(lambda name=name: place.conditions(name) or None, "the condition")  # type: ignore[misc]
        assert place.conditions(name) == [("Denied", f"Kubegate{reason}")]


def test_names_of_a_serving_certificate(place: Place) -> None:
    node, other = new_name(), new_name()
    api = place.cluster.servers[0].address
    inventory = {node: ["203.0.113.7", "front.example.com"], other: ["203.0.113.8"]}
    replica = place.start(inventory=inventory).leads()
    proven = place.ask(request(node, names(node, "203.0.113.7", "front.example.com")), node=node)
    assert replica.about(proven)["reason"] == "NamesProven"
    until(lambda: place.get(proven)["status"].get("certificate"), "the certificate")
    for claimed in ("203.0.113.8", api, "kubernetes.default.svc", place.cluster.node_name):
        assert replica.about(place.ask(request(node, names(node, claimed)), node=node))["reason"] == "NameOfAnother", claimed
    unproven = place.ask(request(node, names(node, "203.0.113.99")), node=node)
    assert (replica.about(unproven)["verdict"], replica.about(unproven)["reason"]) == ("wait", "NotProven")
    # What a person confirms is proven from then on.
    place.cluster.kubectl("certificate", "approve", unproven)
    until(lambda: place.get(unproven)["status"].get("certificate"), "the certificate")
    time.sleep(1)
    assert replica.about(place.ask(request(node, names(node, "203.0.113.99")), node=node))["reason"] == "NamesProven"
    # The file is read again when it changes.
    (place.folder / "nodes.yaml").write_text(yaml.safe_dump({"nodes": inventory | {node: ["203.0.113.50"]}}))
    assert replica.about(place.ask(request(node, names("203.0.113.50")), node=node))["reason"] == "NamesProven"
    assert replica.about(place.ask(request(node, names("203.0.113.7")), node=node))["reason"] == "NotProven"


def test_a_key_of_another_node_is_refused(place: Place) -> None:
    from tests.support.requests import key

    shared, one, two = key(), new_name(), new_name()
    replica = place.start().leads()
    assert replica.about(place.ask(request(one, by=shared)))["verdict"] == "approve"
    assert replica.about(place.ask(request(two, by=shared)))["reason"] == "KeyReused"


def test_a_dry_run_changes_nothing(place: Place) -> None:
    replica = place.start("--dry-run").leads()
    name = place.ask(request(new_name()))
    assert (replica.about(name)["verdict"], replica.about(name)["dryRun"]) == ("approve", True)
    time.sleep(1)
    assert place.conditions(name) == []
    assert json.loads(place.cluster.kubectl("-n", place.namespace, "get", "configmaps", "-o", "json").stdout)["items"][0][
        "metadata"
    ]["name"].startswith("kube-root-ca")


def test_one_of_two_decides_and_the_other_goes_on(place: Place) -> None:
    first = place.start().leads()
    second = place.start()
    names_ = [place.ask(request(new_name())) for _ in range(3)]
    assert all(first.about(name)["verdict"] == "approve" for name in names_)
    assert second.decided == []
    first.process.send_signal(signal.SIGSTOP)
    try:
        name = place.ask(request(new_name()))
        assert second.leads().about(name)["verdict"] == "approve"
    finally:
        first.process.send_signal(signal.SIGCONT)
    # It does not lead any more, and says so.
    until(lambda: any("does not lead" in text for text in first.said) or None, "the end of the lead")
    name = place.ask(request(new_name()))
    assert second.about(name)["verdict"] == "approve"
    assert all(one["name"] != name for one in first.decided)


def test_a_lead_that_is_given_back_is_taken_at_once(place: Place) -> None:
    first = place.start().leads()
    second = place.start()
    first.end()
    second.leads()
    assert second.about(place.ask(request(new_name())))["verdict"] == "approve"


def test_it_outlives_api_servers_that_are_away(place: Place) -> None:
    replica = place.start().leads()
    for index in range(len(place.cluster.servers)):
        place.cluster.stop_apiserver(index)
    # Longer than the Lease may go without being renewed.
    until(lambda: any("does not lead any more" in text for text in replica.said) or None, "the end of the lead")
    for index in range(len(place.cluster.servers)):
        place.cluster.start_apiserver(index)
    assert replica.process.poll() is None
    name = place.ask(request(new_name()))
    assert replica.about(name)["verdict"] == "approve"
    until(lambda: place.get(name)["status"].get("certificate"), "the certificate")


def test_kills_at_any_moment_lose_nothing_and_approve_nothing_twice(place: Place) -> None:
    made = [place.ask(request(new_name())) for _ in range(12)]
    for pause in (1.2, 1.5, 1.8, 2.1):
        replica = place.start()
        time.sleep(pause)
        replica.end(signal.SIGKILL)
        with contextlib.suppress(Exception):
            # Whoever was killed holds the Lease until it runs out; this is about decisions, not about waiting.
            place.cluster.kubectl("-n", place.namespace, "delete", "lease", "--all")
    place.start().leads()
    for name in made:
        until(lambda name=name: place.get(name)["status"].get("certificate"), "the certificate")  # type: ignore[misc]
        assert place.conditions(name) == [("Approved", "KubegateNewNode")]


def test_the_built_in_approver_is_told_of(place: Place) -> None:
    bound = f"bypass-{secrets.token_hex(3)}"
    role = "system:certificates.k8s.io:certificatesigningrequests:nodeclient"
    place.cluster.kubectl("create", "clusterrolebinding", bound, f"--clusterrole={role}", f"--group={WORKERS}")
    port = free_port("127.0.0.1")
    try:
        replica = place.start(metrics=f"127.0.0.1:{port}").leads()
        until(lambda: any(f"approves requests of {WORKERS}" in text for text in replica.said) or None, "the warning")
        until(lambda: "kubegate_approver_bypassed 1" in _fetched(port, "/metrics") or None, "the metric")
        assert json.loads(_fetched(port, "/status"))["bypassedBy"] == [WORKERS]
    finally:
        place.cluster.kubectl("delete", "clusterrolebinding", bound)


def test_metrics_and_status(place: Place) -> None:
    port = free_port("127.0.0.1")
    replica = place.start(metrics=f"127.0.0.1:{port}").leads()
    replica.about(place.ask(request("master-1")))
    replica.about(place.ask(request(new_name())))
    until(lambda: "kubegate_approver_leading 1" in _fetched(port, "/metrics") or None, "the lead")
    text = _fetched(port, "/metrics")
    assert f'decisions_total{{signer="{KUBELET_CLIENT}",verdict="deny",reason="NameNotAllowed"}} 1' in text
    facts = json.loads(_fetched(port, "/status"))
    assert (facts["leading"], facts["bypassedBy"]) == (True, [])
    assert facts["holder"] == facts["identity"]


def _fetched(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"names": ["("], "groups": []}, ["approver.value", "approver.value"]),
        ({"colour": "red"}, ["approver.unknown-key"]),
        ({"inventory": "none.yaml"}, ["approver.unreadable"]),
    ],
)
def test_a_wrong_declaration_starts_nothing(place: Place, changes: dict[str, Any], codes: Sequence[str]) -> None:
    document = yaml.safe_load((EXAMPLES / "approver.yaml").read_text()) | changes
    file = place.folder / "wrong.yaml"
    file.write_text(yaml.safe_dump(document))
    environ = place.person.environ({"KUBECONFIG": str(place.kubeconfig)})
    words = command("approver", "-c", str(file), "--output", "json")
    done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert [one["code"] for one in json.loads(done.stdout)["problems"]] == codes


def test_without_its_rights_it_says_what_is_lacking(place: Place) -> None:
    document = yaml.safe_load((EXAMPLES / "approver.yaml").read_text()) | {"namespace": place.namespace, "inventory": "n.yaml"}
    (place.folder / "approver.yaml").write_text(yaml.safe_dump(document))
    (place.folder / "n.yaml").write_text("nodes: {}\n")
    replica = Replica(place.folder / "approver.yaml", place.cluster.accounts["viewer"].kubeconfig, place.person)
    place.replicas.append(replica)
    until(lambda: any("leases" in text and "forbidden" in text for text in replica.said) or None, "the reason")
    assert os.waitpid(replica.process.pid, os.WNOHANG) == (0, 0)
