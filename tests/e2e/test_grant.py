"""`kubegate grant`, `grants` and `revoke` on the real cluster; kubectl, with the kubeconfig that was made, is the judge."""

import base64
import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.e2e.commands import until
from tests.support.expose import Exposed, Home, home, kubegate

READS = "get,list,watch pods,pods/log"
Facts = dict[str, Any]


class Granter:
    """Somebody with a kubeconfig of the cluster who makes accounts, all of which are gone at the end."""

    def __init__(self, cluster: Cluster, place: Home, kubeconfig: Path) -> None:
        self.cluster = cluster
        self.home = place
        self.kubeconfig = kubeconfig

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """A command, which ends with this code, without a traceback and without a token in what it says."""
        done = kubegate(*words, "--kubeconfig", str(self.kubeconfig), home=self.home)
        assert done.returncode == code, done.stdout + done.stderr
        said = done.stdout + done.stderr
        assert "Traceback" not in said
        assert "eyJ" not in said
        assert "PRIVATE KEY" not in said
        return done

    def json(self, *words: str, code: int = 0) -> Facts:
        found: Facts = json.loads(self.run(*words, "--output", "json", code=code).stdout)
        return found

    def grant(self, name: str, *words: str) -> Facts:
        """What was made; its kubeconfig is `path(name)`."""
        return self.json("grant", name, "--out", str(self.path(name)), *words)

    def problem(self, name: str, *words: str, code: int) -> str:
        """Why no account was made; nothing of it is there."""
        [found] = self.json("grant", name, "--out", str(self.path(name)), *words, code=code)["problems"]
        assert not self.path(name).exists()
        return f"{found['message']} / {found['hint']}"

    def path(self, name: str) -> Path:
        return self.home.path / f"{name}.kubeconfig"

    def can(self, name: str, *words: str) -> bool:
        """What `kubectl auth can-i` says with the account's own kubeconfig."""
        done = self.cluster.kubectl("auth", "can-i", *words, kubeconfig=self.path(name), check=False)
        assert done.stdout.strip() in ("yes", "no"), done.stderr
        return done.stdout.strip() == "yes"

    def whoami(self, name: str) -> str:
        """The user name that the API server knows it by; what it says if it knows it not."""
        done = self.cluster.kubectl(
            "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}", kubeconfig=self.path(name), check=False
        )
        return done.stdout or done.stderr

    def objects(self, name: str) -> set[str]:
        """Everything in the cluster that carries the label of a grant."""
        kinds = "serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,certificatesigningrequests"
        return set(self.cluster.kubectl("get", kinds, "-A", "-l", f"kubegate.dev/grant={name}", "-o", "name").stdout.split())


@pytest.fixture(scope="module")
def admin(cluster: Cluster) -> Iterator[Granter]:
    with home() as place:
        granter = Granter(cluster, place, cluster.kubeconfig)
        yield granter
        for one in granter.json("grants")["grants"]:
            kubegate("revoke", one["name"], "--kubeconfig", str(cluster.kubeconfig), home=place)


@contextlib.contextmanager
def revoked(granter: Granter, *names: str) -> Iterator[None]:
    """Nothing of these accounts is left at the end."""
    try:
        yield
    finally:
        for name in names:
            kubegate("revoke", name, "--kubeconfig", str(granter.kubeconfig), home=granter.home)


def claims(config: Path) -> Facts:
    """What stands in the token of a kubeconfig."""
    token = yaml.safe_load(config.read_text())["users"][0]["user"]["token"]
    middle = token.split(".")[1]
    found: Facts = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return found


def test_an_account_with_a_token_can_do_this_and_nothing_else(admin: Granter) -> None:
    found = admin.grant("reader", "--namespace", "dev", "--can", READS, "--for", "2h")
    with revoked(admin, "reader"):
        assert admin.path("reader").stat().st_mode & 0o777 == 0o600
        assert admin.whoami("reader") == found["user"] == "system:serviceaccount:dev:reader"
        assert admin.can("reader", "get", "pods", "-n", "dev")
        assert admin.can("reader", "watch", "pods", "-n", "dev")
        assert admin.can("reader", "get", "pods/log", "-n", "dev")
        for words in (
            ("delete", "pods", "-n", "dev"),
            ("get", "secrets", "-n", "dev"),
            ("create", "pods/exec", "-n", "dev"),
            ("get", "pods", "-n", "default"),
            ("get", "pods", "-A"),
            ("create", "serviceaccounts/token", "-n", "dev"),
        ):
            assert not admin.can("reader", *words), words
        assert "No resources found" in _kubectl(admin, "reader", "get", "pods", "-l", "none=none").stderr
        assert "forbidden" in _kubectl(admin, "reader", "get", "secrets").stderr
        # The expiry that is told is the one that the token has.
        assert datetime.fromisoformat(found["expires"]).timestamp() == claims(admin.path("reader"))["exp"]
        [review] = found["reviews"]
        assert f"{READS.replace(',pods/log', '')},pods/log" in review["rules"]
        assert {"read secrets", "run commands in pods", "create pods"} <= set(review["cannot"])
        assert found["elsewhere"]["namespace"] == "kube-system"
        assert not any("pods" in rule for rule in found["elsewhere"]["rules"])
        assert found["warnings"] == []


def _kubectl(granter: Granter, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return granter.cluster.kubectl(*words, kubeconfig=granter.path(name), check=False)


def test_the_text_says_what_it_can_and_cannot(admin: Granter) -> None:
    words = ("grant", "teller", "-n", "dev", "--can", "get,list secrets", "--out", str(admin.path("teller")))
    with revoked(admin, "teller"):
        text = admin.run(*words).stdout
        assert "in dev: get,list secrets" in text
        assert "get,list secrets: secrets hold the credentials of others" in text
        assert "create pods" in text.partition("Cannot")[2]
        assert "read secrets" not in text.partition("Cannot")[2]
        assert "in kube-system: any of that" in text
        assert "kubegate revoke teller" in text


def test_revoke_ends_a_token_for_good(admin: Granter) -> None:
    admin.grant("gone", "-n", "dev", "-n", "default", "--can", "get,list pods")
    config = admin.path("gone")
    assert admin.can("gone", "list", "pods", "-n", "default")
    found = admin.json("revoke", "gone")
    assert {one.split()[0] for one in found["removed"]} == {"RoleBinding", "ServiceAccount", "Role"}
    assert len(found["removed"]) == 5
    assert "its tokens are of no use" in found["remains"][0]
    assert admin.objects("gone") == set()
    # No right from now on, and after the API servers have forgotten the token no login either.
    until(lambda: "Unauthorized" in _refused(admin, config) or "forbidden" in _refused(admin, config))
    until(lambda: "Unauthorized" in _refused(admin, config) or "must be logged in" in _refused(admin, config), seconds=40)
    # Another account of the same name is another one.
    admin.cluster.kubectl("create", "serviceaccount", "gone", "-n", "dev")
    try:
        refusal = _refused(admin, config)
        assert "Unauthorized" in refusal or "must be logged in" in refusal
    finally:
        admin.cluster.kubectl("delete", "serviceaccount", "gone", "-n", "dev")
    assert "there is no grant gone" in admin.run("revoke", "gone", code=2).stderr


def _refused(granter: Granter, config: Path) -> str:
    done = granter.cluster.kubectl("get", "pods", "-n", "dev", kubeconfig=config, check=False)
    assert done.returncode != 0 or not done.stderr
    return done.stderr


def test_what_is_open_goes_on_as_revoke_says(admin: Granter) -> None:
    admin.grant("watcher", "-n", "dev", "--can", "get,list,watch configmaps")
    kubectl = admin.cluster.kubectl
    words = ("get", "configmaps", "-n", "dev", "-w", "--no-headers")
    process = subprocess.Popen(
        [admin.cluster.kubectl_path, *words],
        env=admin.cluster.environment(admin.path("watcher")),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "kube-root-ca.crt" in process.stdout.readline()
        assert "goes on until it ends" in admin.json("revoke", "watcher")["remains"][1]
        until(lambda: "Unauthorized" in _new(admin, "watcher") or "forbidden" in _new(admin, "watcher"))
        kubectl("create", "configmap", "after-revoke", "-n", "dev")
        assert any("after-revoke" in line for line in process.stdout)
    finally:
        process.kill()
        process.communicate(timeout=20)
        kubectl("delete", "configmap", "after-revoke", "-n", "dev", "--ignore-not-found")


def _new(granter: Granter, name: str) -> str:
    return _kubectl(granter, name, "get", "configmaps", "-n", "dev").stderr


def test_a_certificate_has_a_user_of_its_own_that_has_no_rights_once_it_is_revoked(admin: Granter) -> None:
    words = ("-n", "dev", "--can", READS, "--certificate", "--for", "30m")
    first = admin.grant("jane", *words)
    assert first["user"].startswith("kubegate:jane:")
    assert admin.whoami("jane") == first["user"]
    assert admin.can("jane", "list", "pods", "-n", "dev")
    assert not admin.can("jane", "list", "secrets", "-n", "dev")
    assert not admin.can("jane", "list", "pods", "-n", "default")
    assert any("no API server checks" in one for one in first["remarks"])
    old = admin.home.path / "old.kubeconfig"
    admin.path("jane").rename(old)
    found = admin.json("revoke", "jane")
    assert f"its certificate logs in as {first['user']} until" in found["remains"][0]
    second = admin.grant("jane", *words)
    with revoked(admin, "jane"):
        assert second["user"] != first["user"]
        assert admin.can("jane", "list", "pods", "-n", "dev")
        # The old one still logs in, as it was said, and has no rights, whoever is called jane now.
        until(lambda: "forbidden" in _refused(admin, old))
        whoami = admin.cluster.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}", kubeconfig=old)
        assert whoami.stdout == first["user"]


def test_the_whole_cluster(admin: Granter) -> None:
    admin.grant("surveyor", "--all-namespaces", "--can", "get,list nodes,pods", "--can", "get /metrics")
    with revoked(admin, "surveyor"):
        assert admin.can("surveyor", "list", "nodes")
        assert admin.can("surveyor", "list", "pods", "-A")
        assert admin.can("surveyor", "get", "/metrics")
        assert not admin.can("surveyor", "get", "/logs")
        assert not admin.can("surveyor", "delete", "nodes")
        assert admin.objects("surveyor") == {
            "serviceaccount/surveyor",
            "clusterrole.rbac.authorization.k8s.io/kubegate-grant-surveyor",
            "clusterrolebinding.rbac.authorization.k8s.io/kubegate-grant-surveyor",
        }


def test_nobody_gives_away_what_they_have_not_and_nothing_is_left(admin: Granter) -> None:
    makes = "get,list,create,delete serviceaccounts,serviceaccounts/token,roles.rbac.authorization.k8s.io"
    binds = "get,list,create,delete rolebindings.rbac.authorization.k8s.io"
    admin.grant("lead", "-n", "dev", "--can", makes, "--can", binds, "--can", "get,list pods")
    lead = Granter(admin.cluster, admin.home, admin.path("lead"))
    with revoked(admin, "lead", "below", "above"):
        lead.grant("below", "-n", "dev", "--can", "get,list pods")
        assert lead.can("below", "list", "pods", "-n", "dev")
        why = lead.problem("above", "-n", "dev", "--can", "get secrets", code=1)
        assert "nobody can give away rights that they do not have themselves" in why
        assert "secrets" in why
        assert admin.objects("above") == set()
        elsewhere = lead.problem("above", "-n", "default", "--can", "get pods", code=1)
        assert "refused to make the ServiceAccount default/above" in elsewhere
        # It may look into its own namespace only.
        assert "--namespace NAME" in lead.run("grants", code=1).stderr
        assert [one["name"] for one in lead.json("grants", "-n", "dev")["grants"]] == ["below", "lead"]
        assert lead.json("revoke", "below", "-n", "dev")["removed"]
        assert admin.objects("below") == set()


def test_a_failure_in_the_middle_leaves_everything_as_it_was(admin: Granter) -> None:
    """The last binding cannot be made, for there is one of its name."""
    kubectl = admin.cluster.kubectl
    kubectl("create", "rolebinding", "kubegate-grant-half", "-n", "default", "--clusterrole=view", "--user=nobody")
    try:
        why = admin.problem("half", "-n", "dev", "-n", "default", "--can", "get pods", code=1)
        assert "already exists" in why
        assert admin.objects("half") == set()
        left = kubectl("get", "rolebinding", "kubegate-grant-half", "-n", "default", "-o", "jsonpath={.subjects[0].name}")
        assert left.stdout == "nobody"
    finally:
        kubectl("delete", "rolebinding", "kubegate-grant-half", "-n", "default")


def test_a_name_that_is_there_already_is_refused_and_stays(admin: Granter) -> None:
    assert "already exists" in admin.problem("robot", "-n", "dev", "--can", "get pods", code=1)
    assert admin.cluster.kubectl("get", "serviceaccount", "robot", "-n", "dev").returncode == 0


def test_everything_that_is_wrong_is_told_at_once(admin: Granter) -> None:
    words = ("system:masters", "-n", "Dev", "--can", "gte pods", "--for", "5m", "--ca", "x")
    found = admin.json("grant", *words, code=2)["problems"]
    assert {one["where"] for one in found} == {"NAME", "--namespace", "--can 'gte pods'", "--for", "--ca"}
    unknown = admin.json("grant", "a", "-n", "dev", "--can", "get po,nodes", code=2)["problems"]
    assert unknown[0]["hint"] == "is pods meant?"


def test_printed_manifests_are_what_kubectl_applies(admin: Granter) -> None:
    text = admin.run("grant", "printed", "-n", "dev", "--can", "get,list pods,deployments", "--print").stdout
    assert admin.objects("printed") == set()
    assert not admin.path("printed").exists()
    kubectl = admin.cluster.kubectl
    kubectl("apply", "--dry-run=server", "-f", "-", input=text)
    kubectl("apply", "-f", "-", input=text)
    with revoked(admin, "printed"):
        words = ("--as", "system:serviceaccount:dev:printed", "-n", "dev")
        assert kubectl("auth", "can-i", "list", "deployments.apps", *words).stdout.strip() == "yes"
        assert kubectl("auth", "can-i", "delete", "pods", *words, check=False).stdout.strip() == "no"
        [one] = [one for one in admin.json("grants")["grants"] if one["name"] == "printed"]
        assert one["expires"] is None


def test_grants_tell_time_left_and_last_use(admin: Granter) -> None:
    admin.grant("used", "-n", "dev", "--can", "get,list pods", "--for", "1h")
    admin.grant("unused", "-n", "dev", "--can", "get,list pods", "--certificate")
    logs = [word for server in admin.cluster.servers for word in ("--audit-log", str(server.audit_log))]
    with revoked(admin, "used", "unused"):
        _kubectl(admin, "used", "get", "pods", "-n", "dev")
        found = {one["name"]: one for one in admin.json("grants", *logs)["grants"]}
        assert 3000 < found["used"]["secondsLeft"] <= 3600
        assert found["used"]["can"] == "get,list pods"
        assert found["used"]["namespaces"] == ["dev"]
        assert datetime.fromisoformat(found["used"]["lastUse"]) >= datetime.fromisoformat(found["used"]["created"])
        assert found["unused"]["credential"] == "certificate"
        text = admin.run("grants").stdout
        assert "used" in text
        assert "last uses stand in the API server's audit log only" in text
        assert {one["name"]: one["lastUse"] for one in admin.json("grants")["grants"]}["used"] is None


def test_rights_that_others_gave_are_told_and_left(admin: Granter) -> None:
    user = admin.grant("bound", "-n", "dev", "--can", "get pods", "--certificate")["user"]
    kubectl = admin.cluster.kubectl
    kubectl("create", "rolebinding", "by-hand", "-n", "default", "--clusterrole=view", f"--user={user}")
    try:
        found = admin.json("revoke", "bound", code=1)
        assert found["boundByOthers"] == ["RoleBinding default/by-hand"]
        assert admin.can("bound", "list", "pods", "-n", "default")
        assert not admin.can("bound", "get", "pods", "-n", "dev")
    finally:
        kubectl("delete", "rolebinding", "by-hand", "-n", "default")


def test_the_kubeconfig_can_be_for_a_gate(admin: Granter, gates: Mapping[str, Exposed]) -> None:
    entry = yaml.safe_load(Path(gates["terminate"].facts["kubeconfig"]).read_text())["clusters"][0]["cluster"]
    ca = admin.home.path / "gate-ca.crt"
    ca.write_bytes(base64.b64decode(entry["certificate-authority-data"]))
    words = ("-n", "dev", "--can", READS, "--server", entry["server"], "--ca", str(ca))
    with revoked(admin, "guest"):
        assert admin.grant("guest", *words)["server"] == entry["server"]
        assert admin.can("guest", "list", "pods", "-n", "dev")
        assert not admin.can("guest", "list", "secrets", "-n", "dev")
        # A client certificate does not pass a gate that opens TLS.
        assert "mode: passthrough" in admin.problem("guest-by-certificate", *words, "--certificate", code=1)
        assert admin.objects("guest-by-certificate") == set()
        # Whoever does not prove to be that gate gets no credential.
        other = ("-n", "dev", "--can", READS, "--server", entry["server"], "--ca", str(admin.cluster.ca.certificate))
        assert "does not work" in admin.problem("stray", *other, code=1)
        assert admin.objects("stray") == set()


def test_a_certificate_passes_a_gate_that_does_not_open_tls(admin: Granter, gates: Mapping[str, Exposed]) -> None:
    entry = yaml.safe_load(Path(gates["passthrough"].facts["kubeconfig"]).read_text())["clusters"][0]["cluster"]
    way = ("--server", entry["server"], "--ca", str(admin.cluster.ca.certificate), "--tls-server-name", entry["tls-server-name"])
    with revoked(admin, "passing"):
        found = admin.grant("passing", "-n", "dev", "--can", READS, "--certificate", *way)
        assert admin.whoami("passing") == found["user"]
        assert admin.can("passing", "list", "pods", "-n", "dev")
        assert not admin.can("passing", "delete", "pods", "-n", "dev")


def test_the_commands_of_the_page(admin: Granter) -> None:
    page = Path(__file__).parents[2] / "docs" / "grants.md"
    commands = [line for line in page.read_text().splitlines() if line.startswith(("kubegate ", "kubectl "))]
    assert len(commands) >= 6
    (admin.home.path / "page").mkdir()
    environ = admin.cluster.environment() | admin.home.environ()
    environ["PATH"] = f"{Path(__file__).parents[2] / '.venv' / 'bin'}:{admin.cluster.environment()['PATH']}"
    for line in commands:
        done = subprocess.run(
            ["sh", "-c", line], env=environ, cwd=admin.home.path / "page", capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
