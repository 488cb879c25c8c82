"""The client kubeconfig: what is in it, who can read it, what it replaces, and what never gets into it or anywhere else."""

import base64
import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.support.expose import Exposed, Home, expose, grants, kubeconfig, kubegate, problems
from tests.support.forge import CLIENT, forge
from tests.support.rawhttp import request
from tests.support.tls import API_NAME, cluster_authority
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy

TOKEN_PATH = "/api/v1/namespaces/dev/serviceaccounts/robot/token"


def flags(person: Home, api: Upstream, **options: Any) -> tuple[str, ...]:
    """Flags for an API server and a free port."""
    config = kubeconfig(person.path / "config.yaml", f"https://127.0.0.1:{api.port}", **options)
    return "--kubeconfig", str(config), "--listen", "127.0.0.1:0"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# What is in it.


def test_it_names_the_gate_and_nobody(person: Home, upstream: Upstream) -> None:
    out = person.path / "out.yaml"
    with expose(*flags(person, upstream), "--out", str(out), home=person) as gate:
        ca = gate.cluster()["certificate-authority-data"]
        assert yaml.safe_load(out.read_text()) == {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "kubegate-dev",
            "clusters": [{"name": "kubegate-dev", "cluster": {"server": gate.url, "certificate-authority-data": ca}}],
            "contexts": [{"name": "kubegate-dev", "context": {"cluster": "kubegate-dev"}}],
            "users": [],
        }
        assert gate.facts["kubeconfig"] == str(out)
        [note] = [note for note in gate.facts["notes"] if note["code"] == "kubeconfig.no-user"]
        assert all(way in note["hint"] for way in ("--token", "OIDC", "--account"))
        assert mode(out) == 0o600
    assert out.exists(), "it stays when the gate ends"


def test_passed_through_it_has_the_api_servers_ca_and_name(person: Home, upstream: Upstream) -> None:
    out = person.path / "out.yaml"
    with expose(*flags(person, upstream), "--passthrough", "--out", str(out), home=person) as gate:
        assert gate.ca_pem == cluster_authority().pem
        assert gate.cluster()["tls-server-name"] == API_NAME
        assert (gate.facts["certificate"], gate.facts["mode"]) == (None, "passthrough")
        assert gate.codes == {"passthrough", "kubeconfig.no-user"}
        with gate.dial() as client:
            assert client.ask(request()).status == 200
    assert not person.state.exists(), "no certificate of its own"


def test_without_out_nothing_is_written(person: Home, upstream: Upstream) -> None:
    before = set(person.path.iterdir())
    with expose(*flags(person, upstream), home=person) as gate:
        assert gate.facts["kubeconfig"] is None
        assert "kubeconfig.no-user" not in gate.codes
        assert {path.name for path in person.path.iterdir()} - {path.name for path in before} == {"config.yaml", "state"}


# What it replaces.


def test_an_older_one_is_replaced_in_one_step(person: Home, upstream: Upstream) -> None:
    out, other = person.path / "out.yaml", person.path / "other.yaml"
    kubeconfig(out, "https://old.test", context="kubegate-old").chmod(0o666)
    other.hardlink_to(out)
    before = out.stat().st_ino
    with expose(*flags(person, upstream), "--out", str(out), home=person) as gate:
        assert mode(out) == 0o600
        assert gate.cluster()["server"] == gate.url
        assert out.stat().st_ino != before
        # Whoever had the old one open, or linked it, still has that.
        assert "old.test" in other.read_text()
        assert not [path for path in person.path.iterdir() if path.name.startswith(".kubegate-")]


def test_an_empty_file_is_no_loss(person: Home, upstream: Upstream) -> None:
    out = person.path / "out.yaml"
    out.touch(0o644)
    with expose(*flags(person, upstream), "--out", str(out), home=person) as gate:
        assert gate.cluster()["server"] == gate.url
        assert mode(out) == 0o600


@pytest.mark.parametrize("exists", [True, False], ids=["to a file", "to nothing"])
def test_a_link_stays_a_link(person: Home, upstream: Upstream, exists: bool) -> None:
    folder, link = person.path / "folder", person.path / "out.yaml"
    folder.mkdir()
    target = folder / "target.yaml"
    if exists:
        kubeconfig(target, "https://old.test", context="kubegate-old").chmod(0o644)
    link.symlink_to("folder/target.yaml")
    with expose(*flags(person, upstream), "--out", str(link), home=person) as gate:
        assert link.is_symlink()
        assert not target.is_symlink()
        assert mode(target) == 0o600
        assert gate.cluster()["server"] == gate.url
        assert gate.facts["kubeconfig"] == str(link)


def test_a_name_as_long_as_names_can_be(person: Home, upstream: Upstream) -> None:
    out = person.path / ("o" * 255)
    with expose(*flags(person, upstream), "--out", str(out), home=person) as gate:
        assert gate.cluster()["server"] == gate.url


def refused(person: Home, upstream: Upstream, out: Path) -> dict[str, str]:
    """The one problem about this file."""
    command = ("expose", "--output", "json", *flags(person, upstream), "--out", str(out))
    [found] = problems(kubegate(*command, home=person))
    assert found["where"] == f"--out {out}"
    return found


def test_ones_own_kubeconfig_is_not_replaced(person: Home, upstream: Upstream) -> None:
    """Contexts that no gate made would be lost."""
    (person.path / ".kube").mkdir()
    own = kubeconfig(person.path / ".kube" / "config", "https://prod.test", context="prod")
    before = own.read_bytes()
    assert refused(person, upstream, own)["code"] == "out.foreign"
    assert own.read_bytes() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a link that belongs to somebody else")
def test_a_link_of_somebody_else_is_not_followed(person: Home, upstream: Upstream) -> None:
    link, target = person.path / "link", person.path / "target"
    link.symlink_to(target)
    os.lchown(link, 65534, 65534)
    assert refused(person, upstream, link)["code"] == "out.link"
    assert not target.exists()


def test_links_in_a_circle_and_devices(person: Home, upstream: Upstream) -> None:
    circle = person.path / "circle"
    circle.symlink_to(circle)
    assert refused(person, upstream, circle)["code"] == "out.unusable"
    null = Path("/dev/null")
    before = null.stat()
    assert refused(person, upstream, null)["code"] == "out.special"
    assert os.path.samestat(before, null.stat())


# With --account.


def robot(person: Home, upstream: Upstream, *more: str, **options: Any) -> tuple[str, ...]:
    return *flags(person, upstream, **options), "--account", "dev/robot", "--out", str(person.path / "out.yaml"), *more


def test_the_token_of_an_account(person: Home, upstream: Upstream) -> None:
    """The API server grants what it likes: half an hour where two were asked for."""
    expires = (datetime.now(UTC) + timedelta(minutes=30)).replace(microsecond=0)
    upstream.at(TOKEN_PATH, grants("header.claims.granted-token", f"{expires:%Y-%m-%dT%H:%M:%SZ}"))
    known = len(upstream.seen(TOKEN_PATH))
    with expose(*robot(person, upstream, "--for", "2h"), home=person) as gate:
        [asked] = upstream.seen(TOKEN_PATH)[known:]
        assert json.loads(asked.body)["spec"]["expirationSeconds"] == 7200
        assert asked.values("authorization") == ["Bearer token-of-the-person"]
        config = gate.config()
        assert config["users"] == [{"name": "dev/robot", "user": {"token": "header.claims.granted-token"}}]
        assert config["contexts"] == [{"name": "kubegate-dev", "context": {"cluster": "kubegate-dev", "user": "dev/robot"}}]
        assert mode(person.path / "out.yaml") == 0o600
        assert gate.facts["account"] == "dev/robot"
        assert datetime.fromisoformat(gate.facts["token_expires"]) == expires
        assert "granted-token" not in json.dumps(gate.facts)
        assert "kubeconfig.no-user" not in gate.codes
        # The proof that the gate answers was asked with this token, as its owner will ask.
        assert upstream.seen("/version")[-1].values("authorization") == ["Bearer header.claims.granted-token"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_gate_whose_callers_are_refused_answers_too(person: Home, status: int) -> None:
    with Upstream() as api:
        api.at("/version", lambda exchange: exchange.reply(status))
        with expose(*flags(person, api), "--out", str(person.path / "out.yaml"), home=person) as gate:
            assert gate.cluster()["server"] == gate.url
            assert gate.facts["upstream"]["version"] is None


def test_an_administrators_client_certificate(person: Home, upstream: Upstream) -> None:
    """As kubeadm's admin.conf has it."""
    admin = forge("kubernetes-admin", cluster_authority(), organizations=["system:masters"], usages=[CLIENT])
    pair = {"client-certificate": admin.pem, "client-key": admin.key_pem}
    user = {f"{name}-data": base64.b64encode(content).decode() for name, content in pair.items()}
    with expose(*flags(person, upstream, user=user), home=person) as gate:
        [warning] = gate.warnings
        assert warning["code"] == "client-certificate"
        assert "CN=kubernetes-admin, O=system:masters" in warning["message"]
        assert all(way in warning["hint"] for way in ("--account", "--out", "--passthrough"))
        assert not any("kubectl" in attempt["command"] for attempt in gate.facts["attempts"])
    with expose(*flags(person, upstream, user=user), "--passthrough", home=person) as gate:
        assert "client-certificate" not in gate.codes
    upstream.at(TOKEN_PATH, grants("t", "2099-01-01T00:00:00Z"))
    with expose(*robot(person, upstream, user=user), home=person) as gate:
        assert "client-certificate" not in gate.codes


# Secrets of the kubeconfig, in every form there is.


def every_secret(person: Home) -> dict[str, dict[str, object]]:
    """Users with secrets; each secret has the word `MARKED` in it, or is a key that is searched for as it stands."""
    admin = forge("admin", cluster_authority(), usages=[CLIENT])
    (person.path / "secrets").mkdir(mode=0o700)
    for name, content in (("token", b"MARKED-token-file"), ("client.crt", admin.pem), ("client.key", admin.key_pem)):
        (person.path / "secrets" / name).write_bytes(content)
    encoded = {"client-certificate-data": admin.pem, "client-key-data": admin.key_pem}
    plugin = person.path / "secrets" / "plugin"
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "MARKED-of-exec"},
    }
    plugin.write_text(f"#!/bin/sh\n[ \"$SECRET\" = MARKED-in-env ] && echo '{json.dumps(credential)}'\n")
    plugin.chmod(0o700)
    embedded: dict[str, object] = {key: base64.b64encode(content).decode() for key, content in encoded.items()}
    files: dict[str, object] = {"client-certificate": "secrets/client.crt", "client-key": "secrets/client.key"}
    return {
        "token, certificate": embedded | {"token": "MARKED-token"},
        "password": {"username": "me", "password": "MARKED-password"},
        "files, impersonation": files | {"tokenFile": "secrets/token", "as": "somebody", "as-groups": ["some"]},
        "plugin": {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": str(plugin),
                "args": ["--password=MARKED-in-args"],
                "env": [{"name": "SECRET", "value": "MARKED-in-env"}],
                "interactiveMode": "Never",
            }
        },
    }


KINDS = ("token, certificate", "password", "files, impersonation", "plugin")


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_of_the_kubeconfig_gets_anywhere(person: Home, upstream: Upstream, kind: str) -> None:
    user = every_secret(person)[kind]
    key = (person.path / "secrets" / "client.key").read_text().splitlines()[1]
    marks = ["MARKED", key, base64.b64encode(key.encode()).decode()[:20]]
    upstream.at(TOKEN_PATH, grants("granted", "2099-01-01T00:00:00Z"))
    with expose(*robot(person, upstream, user=user), home=person) as gate:
        sent = upstream.seen(TOKEN_PATH)[-1]
        seen = [json.dumps(gate.facts), (person.path / "out.yaml").read_text(), *texts(person.runtime), *texts(person.state)]
        seen += of_processes(gate)
        said = gate.stop()
    seen += [said, *texts(person.runtime), *texts(person.state)]
    assert not [(mark, text) for mark in marks for text in seen if mark in text]
    assert ("MARKED" in str(sent.values("authorization"))) is (kind != "password")
    assert bool(sent.values("impersonate-user")) is ("impersonation" in kind)


def texts(folder: Path) -> list[str]:
    """Every file below a folder, by name and content."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [f"{path}\n{path.read_text(errors='replace')}" for path in files]


def of_processes(gate: Exposed) -> list[str]:
    """Command lines of kubegate and HAProxy, and HAProxy's environment."""
    master = gate.haproxy()
    environments = [Path(f"/proc/{process.pid}/environ").read_text() for process in (master, *master.children())]
    assert not any("KUBECONFIG" in text or "HOME" in text for text in environments)
    return environments + [" ".join(process.cmdline()) for process in (psutil.Process(gate.process.pid), master)]
