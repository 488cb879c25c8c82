"""Exec credential plugins as real programs."""

import asyncio
import base64
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from kubegate.cluster.context import Context
from kubegate.cluster.errors import PluginFailed
from kubegate.cluster.exec_plugin import PluginAnswer, run_plugin
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.login import log_in
from kubegate.model.problem import InvalidInput
from tests.support.forge import CLIENT, forge
from tests.support.upstream import eventually

V1 = "client.authentication.k8s.io/v1"
TOKEN = json.dumps({"kind": "ExecCredential", "apiVersion": V1, "status": {"token": "granted"}})
CA = forge("cluster CA", ca=True)


class Desk:
    """A folder with a plugin in it, and the kubeconfig that names it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}

    def script(self, text: str, name: str = "login") -> "Desk":
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return self

    def context(self, cluster: dict[str, Any] | None = None, **plugin: Any) -> Context:
        declared = {"command": "login", "apiVersion": V1, "interactiveMode": "Never"} | plugin
        document = {
            "clusters": [{"name": "c", "cluster": {"server": "https://api.test:6443"} | (cluster or {})}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {"exec": declared}}],
            "current-context": "x",
        }
        path = self.folder / "config"
        path.write_text(yaml.safe_dump(document))
        return load(path, None, {})

    def run(self, context: Context, *, limit: float = 10, terminal: bool = False) -> PluginAnswer:
        assert context.credential.exec_plugin is not None
        return asyncio.run(run_plugin(context.credential.exec_plugin, context, self.environ, limit, terminal))

    def failure(self, context: Context, *, limit: float = 10, terminal: bool = False) -> PluginFailed:
        with pytest.raises(PluginFailed) as caught:
            self.run(context, limit=limit, terminal=terminal)
        assert "very-secret" not in f"{caught.value.message} {caught.value.hint} {caught.value!r}"
        return caught.value


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_token(desk: Desk) -> None:
    assert desk.script(f"echo '{TOKEN}'").run(desk.context()).token == "granted"


def test_log_in_asks_the_plugin(desk: Desk) -> None:
    desk.script(f"echo '{TOKEN}'")
    assert asyncio.run(log_in(desk.context(), desk.environ)).authorization == "Bearer granted"


def test_log_in_with_a_pair(desk: Desk) -> None:
    jane = forge("jane", usages=[CLIENT])
    for key, good in ((jane.key_pem, True), (CA.key_pem, False)):
        status = {"clientCertificateData": jane.pem.decode(), "clientKeyData": key.decode()}
        (desk.folder / "answer").write_text(json.dumps({"kind": "ExecCredential", "apiVersion": V1, "status": status}))
        desk.script(f"cat {desk.folder}/answer")
        if good:
            found = asyncio.run(log_in(desk.context(), desk.environ))
            assert (found.certificate_pem, found.expires) == (jane.pem, jane.certificate.not_valid_after_utc)
        else:
            with pytest.raises(InvalidInput, match="does not belong"):
                asyncio.run(log_in(desk.context(), desk.environ))


def test_a_token_that_cannot_be_sent(desk: Desk) -> None:
    desk.script(f"echo '{TOKEN.replace('granted', 'very-secret x')}'")
    with pytest.raises(InvalidInput) as caught:
        asyncio.run(log_in(desk.context(), desk.environ))
    assert "very-secret" not in str(caught.value)


def test_arguments_and_environment(desk: Desk) -> None:
    desk.script(f"echo \"$1|$2|$MINE|$INHERITED\" > {desk.folder}/seen; echo '{TOKEN}'")
    desk.environ["INHERITED"] = "yes"
    desk.run(desk.context(args=["a b", "$(id)"], env=[{"name": "MINE", "value": "x y"}]))
    assert (desk.folder / "seen").read_text() == "a b|$(id)|x y|yes\n"


def told(desk: Desk, context: Context, *, terminal: bool = False) -> Any:
    desk.script(f"printf %s \"$KUBERNETES_EXEC_INFO\" > {desk.folder}/info; echo '{TOKEN}'")
    desk.run(context, terminal=terminal)
    return json.loads((desk.folder / "info").read_text())


def test_what_the_plugin_is_told(desk: Desk) -> None:
    expected = {"kind": "ExecCredential", "apiVersion": V1, "spec": {"interactive": False}}
    assert told(desk, desk.context()) == expected


def test_what_it_is_told_about_the_cluster(desk: Desk) -> None:
    (desk.folder / "ca.crt").write_bytes(CA.pem)
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}
    cluster = {"certificate-authority": "ca.crt", "tls-server-name": "k8s", "extensions": [extension]}
    assert told(desk, desk.context(cluster, provideClusterInfo=True))["spec"]["cluster"] == {
        "server": "https://api.test:6443",
        "tls-server-name": "k8s",
        "certificate-authority-data": base64.b64encode(CA.pem).decode(),
        "config": {"audience": "x"},
    }


@pytest.mark.parametrize(
    ("mode", "terminal", "interactive"),
    [("Never", True, False), ("IfAvailable", True, True), ("IfAvailable", False, False), ("Always", True, True)],
)
def test_who_may_ask_a_person(desk: Desk, mode: str, terminal: bool, interactive: bool) -> None:
    info = told(desk, desk.context(interactiveMode=mode), terminal=terminal)
    assert info["spec"]["interactive"] == interactive


def test_nobody_is_there_to_ask(desk: Desk) -> None:
    assert "not a terminal" in desk.failure(desk.context(interactiveMode="Always")).message


def test_standard_input_is_empty_without_a_person(desk: Desk) -> None:
    desk.script(f"cat > {desk.folder}/read; echo '{TOKEN}'").run(desk.context())
    assert (desk.folder / "read").read_text() == ""


def test_a_command_beside_the_kubeconfig(desk: Desk) -> None:
    (desk.folder / "bin").mkdir()
    desk.script(f"echo '{TOKEN}'", "bin/mine")
    desk.environ = {}
    assert desk.run(desk.context(command="./bin/mine")).token == "granted"


def test_a_missing_command_says_how_to_get_it(desk: Desk) -> None:
    failure = desk.failure(desk.context(command="no-such-login", installHint="run\n  get\x1b[2J it"))
    assert failure.message == "exec plugin no-such-login: there is no such program"
    assert failure.hint == "run\n  get\\x1b[2J it"


def test_a_command_that_cannot_be_started(desk: Desk) -> None:
    desk.script("")
    (desk.folder / "login").write_bytes(b"\x7fELF not really")
    assert "cannot be started: exec format error" in desk.failure(desk.context()).message


def test_an_unknown_version(desk: Desk) -> None:
    context = desk.script("exit 1").context(apiVersion="client.authentication.k8s.io/v1alpha1")
    assert "v1alpha1 is not known" in desk.failure(context).message


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo very-secret; exit 3", "failed with exit code 3"),
        ("echo very-secret; kill -9 $$", "failed with signal 9"),
        ("echo very-secret", "not JSON"),
        ("true", "not JSON"),
        ("head -c 3000000 /dev/zero", "more than 1 MiB"),
    ],
)
def test_failures(desk: Desk, script: str, words: str) -> None:
    assert words in desk.script(script).failure(desk.context()).message


def test_what_it_writes_to_standard_error_is_for_the_person(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    desk.script("echo please log in >&2; exit 1").failure(desk.context())
    assert capfd.readouterr().err == "please log in\n"


@pytest.mark.parametrize("script", ["sleep 60", "sleep 60 & exit 0", "echo very-secret; sleep 60 & wait"])
def test_it_is_ended_with_its_children(desk: Desk, script: str) -> None:
    desk.script(f"echo $$ > {desk.folder}/pid; {script}")
    began = time.monotonic()
    assert "did not answer within 0.3 s" in desk.failure(desk.context(), limit=0.3).message
    assert time.monotonic() - began < 5
    group = int((desk.folder / "pid").read_text())
    # A killed grandchild belongs to nobody who could be asked whether it is gone already.
    eventually(lambda: not any(_runs_in(process, group) for process in psutil.process_iter()))


def _runs_in(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def test_a_plugin_that_leaves_a_helper_behind_may(desk: Desk) -> None:
    """As ssh-agent and token caches do: the helper lets go of standard output."""
    desk.script(f"sleep 5 >/dev/null 2>&1 & echo $! > {desk.folder}/helper; echo '{TOKEN}'")
    assert desk.run(desk.context()).token == "granted"
    helper = int((desk.folder / "helper").read_text())
    os.kill(helper, 0)
    os.kill(helper, 9)


def test_a_kuberc_decides_which_plugins_run(desk: Desk, tmp_path: Path) -> None:
    desk.script(f"touch {desk.folder}/ran; echo '{TOKEN}'")
    desk.environ["HOME"] = str(tmp_path)
    rules = tmp_path / ".kube" / "kuberc"
    rules.parent.mkdir()
    head = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n"
    for policy in ("DenyAll", "Allowlist\ncredentialPluginAllowlist: [{command: another}]"):
        rules.write_text(f"{head}credentialPluginPolicy: {policy}\n")
        assert f"{rules} does not let it run" in desk.failure(desk.context()).message
    assert not (desk.folder / "ran").exists()
    rules.write_text(f"{head}credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{{command: login}}]\n")
    assert desk.run(desk.context()).token == "granted"
    rules.write_text(f"{head}credentialPluginPolicy: Nobody\n")
    with pytest.raises(InvalidInput):
        desk.run(desk.context())
