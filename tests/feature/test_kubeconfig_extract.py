"""`kubegate kubeconfig extract`: the files work with the real curl and openssl, and nothing secret is printed."""

import base64
import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import facts, said
from tests.support.expose import Home, kubeconfig, kubegate, problems
from tests.support.forge import CLIENT, forge
from tests.support.parity import PAIR, plugin
from tests.support.tls import API_NAME, api_leaf, authority, cluster_authority, server_context
from tests.support.upstream import Exchange, Upstream

USERS = authority("people")
ME = forge("me", USERS, usages=[CLIENT], organizations=["team"])


@pytest.fixture
def api() -> Iterator[Upstream]:
    """An API server that asks for a client certificate and says who came."""
    context = server_context(api_leaf(), USERS)
    with Upstream(context=context) as api:
        api.at("/", whoami)
        yield api


def whoami(exchange: Exchange) -> None:
    sent = exchange.request.values("authorization") + exchange.request.values("impersonate-user")
    body = exchange.body().decode()
    exchange.reply(200, body=json.dumps({"certificate": bool(exchange.wire.peer), "sent": sent, "body": body}).encode())


def extracted(person: Home, api: Upstream, user: dict[str, object], name: str = "pem", **cluster: object) -> Any:
    config = kubeconfig(person.path / "config", f"https://127.0.0.1:{api.port}", user=user, cluster=cluster)
    return facts("kubeconfig", "extract", "--kubeconfig", str(config), "--out", str(person.path / name), home=person)


def tried(found: Any, number: int) -> subprocess.CompletedProcess[str]:
    """One of the lines, as it was printed."""
    return subprocess.run(
        ["sh", "-c", found["commands"][number]["command"]], capture_output=True, text=True, timeout=30, check=False
    )


def own_pair() -> dict[str, object]:
    return {
        "client-certificate-data": base64.b64encode(ME.pem).decode(),
        "client-key-data": base64.b64encode(ME.key_pem).decode(),
    }


def test_a_client_certificate(person: Home, api: Upstream) -> None:
    found = extracted(person, api, own_pair())
    folder = Path(found["folder"])
    assert found["files"] == ["ca.crt", "client.crt", "client.key"]
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == {
        "ca.crt": cluster_authority().pem,
        "client.crt": ME.pem,
        "client.key": ME.key_pem,
    }
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [(one["what"], one["used"]) for one in found["credentials"]] == [("client certificate CN=me, O=team", True)]
    assert json.loads(tried(found, 0).stdout) == {
        "certificate": True,
        "sent": [],
        "body": '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}',
    }
    handshake = tried(found, 2)
    assert handshake.returncode == 0, handshake.stderr
    assert "Verification: OK" in handshake.stderr + handshake.stdout
    assert "me" in tried(found, 3).stdout


def test_a_token_stands_in_a_file_and_on_no_command_line(person: Home, api: Upstream) -> None:
    found = extracted(person, api, {"token": "very-secret", "as": "joe"})
    assert found["files"] == ["ca.crt", "headers"]
    assert "very-secret" not in json.dumps(found)
    answer = json.loads(tried(found, 1).stdout)
    assert answer == {"certificate": False, "sent": ["Bearer very-secret", "joe"], "body": ""}
    assert stat.S_IMODE((Path(found["folder"]) / "headers").stat().st_mode) == 0o600


def test_another_name_in_the_certificate(person: Home, api: Upstream) -> None:
    found = extracted(person, api, own_pair(), **{"tls-server-name": API_NAME})
    assert json.loads(tried(found, 1).stdout)["certificate"] is True
    assert tried(found, 2).returncode == 0


def test_the_lines_refuse_another_server(person: Home, api: Upstream) -> None:
    found = extracted(person, api, {"token": "very-secret"}, **{"tls-server-name": "other.test"})
    assert tried(found, 1).returncode != 0
    assert tried(found, 2).returncode != 0
    assert b"very-secret" not in api.received()


def test_why_the_others_are_not_used(person: Home, api: Upstream) -> None:
    script = person.path / "login"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)
    found = extracted(person, api, own_pair() | {"token": "t"} | plugin(command=str(script)))
    assert [(one["what"].split(" CN")[0], one["used"]) for one in found["credentials"]] == [
        ("client certificate", True),
        ("token", True),
        ("exec plugin login", False),
    ]
    config = str(person.path / "config")
    text = said("kubeconfig", "extract", "--kubeconfig", config, "--out", str(person.path / "more"), home=person)
    assert "not used  exec plugin login: kubectl asks no plugin beside a credential" in text
    assert "PRIVATE KEY" not in text


def test_what_a_plugin_gives(person: Home, api: Upstream) -> None:
    script = person.path / "login"
    status = {"token": "of-the-plugin", "expirationTimestamp": "2099-01-01T00:00:00Z"}
    answer = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": status}
    script.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    script.chmod(0o755)
    found = extracted(person, api, plugin(command=str(script)))
    assert json.loads(tried(found, 1).stdout)["sent"] == ["Bearer of-the-plugin"]
    assert [one["code"] for one in found["warnings"]] == ["credential.ends"]


def test_without_verification_it_is_said(person: Home, api: Upstream) -> None:
    path = person.path / "config"
    kubeconfig(path, f"https://127.0.0.1:{api.port}", ca=None, cluster={"insecure-skip-tls-verify": True})
    found = facts("kubeconfig", "extract", "--kubeconfig", str(path), "--out", str(person.path / "pem"), home=person)
    assert [one["code"] for one in found["warnings"]] == ["kubeconfig.insecure"]
    assert tried(found, 1).returncode != 0, "curl does verify"


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_what_is_there_is_kept(person: Home, there: str) -> None:
    out = person.path / "pem"
    if there == "folder":
        out.mkdir()
    elif there == "file":
        out.touch()
    else:
        out.symlink_to("nowhere")
    config = kubeconfig(person.path / "config", "https://127.0.0.1", user={"tokenFile": "none"})
    done = kubegate("kubeconfig", "extract", "--kubeconfig", str(config), "--out", str(out), "--output", "json", home=person)
    assert done.returncode == 2
    assert [one["code"] for one in problems(done)] == ["out.folder", "credential.unreadable"]


def test_a_pair_that_does_not_fit_leaves_nothing_behind(person: Home) -> None:
    user = dict(PAIR) | {"client-key-data": own_pair()["client-key-data"]}
    config = kubeconfig(person.path / "config", "https://127.0.0.1", user=user)
    out = person.path / "pem"
    text = said("kubeconfig", "extract", "--kubeconfig", str(config), "--out", str(out), home=person, code=2)
    assert "the key does not belong to the client certificate" in text
    assert not out.exists()
