"""`kubegate trust` says what a person in the middle gets, and then one tries: a real interceptor, and the real kubectl."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubegate.system.network import free_port
from tests.support.commands import facts, said
from tests.support.expose import Home, home, kubeconfig, kubegate
from tests.support.forge import CLIENT, forge
from tests.support.interceptor import interceptor
from tests.support.kubectl_proxy import kubectl
from tests.support.rawhttp import request
from tests.support.run import cluster, gate_file, run
from tests.support.tls import authority, cluster_authority, front_authority
from tests.support.upstream import Upstream, eventually

TOKEN = "token-of-the-person"
PASSWORD = "password-of-the-person"
JANE = forge("jane", authority("users"), usages=[CLIENT])


def data(content: bytes) -> str:
    return base64.b64encode(content).decode()


PAIR = {"client-certificate-data": data(JANE.pem), "client-key-data": data(JANE.key_pem)}
ANSWER = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": TOKEN}}
PLUGIN = {
    "exec": {
        "apiVersion": ANSWER["apiVersion"],
        "interactiveMode": "Never",
        "command": sys.executable,
        "args": ["-c", f"print({json.dumps(json.dumps(ANSWER))})"],
    }
}
USERS: Mapping[str, Mapping[str, object]] = {
    "token": {"token": TOKEN},
    "password": {"username": "me", "password": PASSWORD},
    "certificate": PAIR,
    "plugin": PLUGIN,
}
# How the kubeconfig means to verify the server: the CA, and what stands beside it.
WAYS: Mapping[str, tuple[bytes | None, Mapping[str, object]]] = {
    "ca": (b"", {}),
    "system": (None, {}),
    "insecure": (None, {"insecure-skip-tls-verify": True}),
    "http": (None, {}),
}


def attacked(config: Path, person: Home, port: int, *, tls: bool) -> bytes:
    """What somebody gets who takes the port, while kubectl is used as ever."""
    with interceptor(port, tls=tls) as taken:
        done = subprocess.run(
            [kubectl(), "--kubeconfig", str(config), "get", "--raw", "/api/v1/namespaces/dev/secrets/mine"],
            env={"HOME": str(person.path), "PATH": os.environ["PATH"]},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0
        eventually(lambda: taken.wires or b"x509" in done.stderr or b"certificate" in done.stderr)
        return taken.received()


def loot(received: bytes) -> set[str]:
    """What is in it, in the words of the command."""
    found = {"requests"} if b"GET /" in received else set()
    if TOKEN.encode() in received:
        found.add("token")
    if base64.b64encode(f"me:{PASSWORD}".encode()) in received:
        found.add("password")
    return found


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("way", WAYS)
def test_what_it_says_of_the_first_hop_is_what_an_interceptor_gets(person: Home, way: str, user: str) -> None:
    ca, more = WAYS[way]
    with Upstream() if way != "http" else Upstream(leaf=None) as server:
        scheme = "http" if way == "http" else "https"
        config = kubeconfig(person.path / "config", f"{scheme}://127.0.0.1:{server.port}", ca=ca, cluster=more, user=USERS[user])
        found = facts("trust", "--kubeconfig", str(config), home=person)
        port = server.port
        # It looked, and said nothing to anybody.
        assert server.requests == []
        assert server.received() == b""
    claimed = found["hops"][0]["interceptor"]
    received = attacked(config, person, port, tls=way != "http")
    assert set(claimed["gets"]) == loot(received)
    assert (received == b"") is (way in ("ca", "system"))
    assert claimed["says"].startswith("nothing: ") is (way in ("ca", "system"))
    assert JANE.key_pem not in received
    assert found["sound"] is (way == "ca")


def test_the_text_is_a_picture_and_says_so_beforehand(person: Home) -> None:
    with Upstream() as server:
        url = f"https://127.0.0.1:{server.port}"
        good = said("trust", "--kubeconfig", str(kubeconfig(person.path / "good", url)), home=person)
        bad = kubeconfig(person.path / "bad", url, ca=None, cluster={"insecure-skip-tls-verify": True})
        text = said("trust", "--kubeconfig", str(bad), home=person)
        assert kubegate("trust", "--check", "--kubeconfig", str(bad), home=person).returncode == 1
        assert kubegate("trust", "--check", "--kubeconfig", str(person.path / "good"), home=person).returncode == 0
    assert f"this client ──[1: verified TLS]──> the API server at 127.0.0.1:{server.port}" in good
    assert "a person in the middle with a self-signed certificate gets nothing" in good
    assert f"──[1: TLS]──> what calls itself the API server at 127.0.0.1:{server.port}" in text
    assert "BY NOBODY" in text
    assert "gets every request, whose answers they can make up, and the bearer token" in text
    assert TOKEN not in good + text


def test_somebody_who_is_in_the_middle_now_is_seen(person: Home) -> None:
    port = free_port("127.0.0.1")
    config = kubeconfig(person.path / "config", f"https://127.0.0.1:{port}")
    with interceptor(port) as taken:
        found = facts("trust", "--kubeconfig", str(config), home=person)
        assert taken.received() == b""
    assert "is self-signed, and it is not the one that is trusted" in found["hops"][0]["trouble"]
    assert found["hops"][0]["interceptor"]["gets"] == []
    assert not found["sound"]
    nobody = facts("trust", "--kubeconfig", str(config), home=person)
    assert "nothing listens" in nobody["hops"][0]["trouble"]


def test_a_certificate_with_escape_sequences_is_shown_escaped(person: Home) -> None:
    with Upstream(leaf=forge("evil\x1b[2J", names=["127.0.0.1"])) as server:
        config = kubeconfig(person.path / "config", f"https://127.0.0.1:{server.port}")
        text = said("trust", "--kubeconfig", str(config), home=person)
    assert "evil\\x1b[2J" in text
    assert "\x1b" not in text


def client_of(person: Home, port: int, **more: Any) -> Path:
    """The kubeconfig of somebody who goes through the gate, verified by its CA."""
    name = {"tls-server-name": "one.test"}
    return kubeconfig(person.path / "client", f"https://127.0.0.1:{port}", ca=front_authority().pem, cluster=name | more)


@pytest.mark.haproxy
@pytest.mark.parametrize("verification", ["required", "none"])
def test_what_it_says_of_the_hop_behind_a_gate_is_what_an_interceptor_gets(verification: str) -> None:
    with home() as person, Upstream() as server:
        declared = cluster(person.path, "one", server)
        if verification == "none":
            declared["upstream"] = {"servers": declared["upstream"]["servers"], "verification": "none"}
        with run(gate_file(person.path, declared), person) as gate:
            gate.until_up("one")
            config = client_of(person, gate.port)
            by_gate = facts("trust", "--kubeconfig", str(config), home=person)
            by_file = facts("trust", "--kubeconfig", str(config), "-c", str(gate.file), home=person)
            assert [hop["interceptor"] for hop in by_gate["hops"]] == [hop["interceptor"] for hop in by_file["hops"]]
            first, second = by_gate["hops"]
            assert first["interceptor"]["gets"] == []
            assert first["sound"]
            assert (second["verified"] is None) is (verification == "none")
            if verification == "required":
                assert second["verified"]["authorities"][0]["subject"] == "CN=cluster test CA"
            assert "it reads every request and every token" in first["notes"][0]
            port = server.port
            server.close(reset=True)
            with interceptor(port) as taken:
                received = _through(gate, taken, expect=verification == "none")
            expected = {"requests", "tokens of every caller"} if verification == "none" else set()
            assert set(second["interceptor"]["gets"]) == expected
            assert (TOKEN.encode() in received) is (verification == "none")
            assert b"secrets" not in received or verification == "none"
        stopped = facts("trust", "--kubeconfig", str(config), "-c", str(gate.file), home=person)
        assert stopped["hops"][1]["interceptor"] == second["interceptor"]
        assert "no gate of it runs here" in stopped["hops"][1]["notes"][-1]


def _through(gate: Any, taken: Upstream, *, expect: bool) -> bytes:
    """What the one behind the gate gets while a caller sends its token."""

    def ask() -> int:
        with gate.dial("one.test") as client:
            target, head = "/api/v1/namespaces/dev/secrets/mine", f"Authorization: Bearer {TOKEN}"
            return int(client.ask(request("GET", target, head, host="one.test")).status)

    if expect:
        eventually(lambda: ask() == 404, "the made-up answer comes")
    else:
        eventually(lambda: ask() in (502, 503), "the gate refuses it")
    return taken.received()


@pytest.mark.haproxy
def test_a_gate_that_passes_tls_through_is_no_hop(person: Home) -> None:
    with home() as person, Upstream() as server:
        declared = cluster(person.path, "one", server, mode="passthrough")
        with run(gate_file(person.path, declared), person) as gate:
            config = kubeconfig(
                person.path / "client", f"https://127.0.0.1:{gate.port}", cluster={"tls-server-name": "kubernetes"}, user=PAIR
            )
            eventually(lambda: facts("trust", "--kubeconfig", str(config), home=person)["sound"])
            found = facts("trust", "--kubeconfig", str(config), home=person)
            [hop] = found["hops"]
            assert "does not open TLS" in hop["notes"][0]
            assert hop["verified"]["authorities"][0]["subject"] == "CN=cluster test CA"
            port = server.port
            server.close(reset=True)
            assert attacked(config, person, port, tls=True) == b""


def test_a_server_that_is_not_known_is_said_to_be_not_known(person: Home) -> None:
    leaf = forge("somewhere", cluster_authority(), names=["127.0.0.1"])
    with Upstream(leaf=leaf) as server:
        config = kubeconfig(person.path / "config", f"https://127.0.0.1:{server.port}")
        found = facts("trust", "--kubeconfig", str(config), home=person)
    first, second = found["hops"]
    assert first["sound"]
    assert "is not known from here" in second["unknown"]
    assert second["interceptor"] is None
    assert not found["sound"]


def test_the_cluster_behind_the_name_is_the_one_that_counts(person: Home, upstream: Upstream) -> None:
    servers = [str(upstream.endpoint)]
    one = cluster(person.path, "one", upstream)
    two = cluster(person.path, "two", upstream) | {"upstream": {"servers": servers, "verification": "none"}}
    document = gate_file(person.path, one, two, listener={"address": "127.0.0.1:0", "defaultCluster": "one"})
    port = free_port("127.0.0.1")
    document["listeners"][0]["address"] = f"0.0.0.0:{port}"
    file = person.path / "kubegate.yaml"
    file.write_text(yaml.safe_dump(document))

    def second(name: str | None) -> Any:
        more = {"tls-server-name": name} if name else {}
        config = kubeconfig(person.path / "config", f"https://127.0.0.1:{port}", cluster=more)
        return facts("trust", "--kubeconfig", str(config), "-c", str(file), home=person)["hops"][1]

    assert second("one.test")["interceptor"]["gets"] == []
    assert second("two.test")["interceptor"]["gets"] == ["requests", "tokens of every caller"]
    assert second(None)["declaredAt"].endswith("clusters[one].upstream")


def test_a_file_of_another_gate_is_refused(person: Home, upstream: Upstream) -> None:
    file = person.path / "kubegate.yaml"
    file.write_text(yaml.safe_dump(gate_file(person.path, cluster(person.path, "one", upstream))))
    config = kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}")
    text = said("trust", "--kubeconfig", str(config), "-c", str(file), home=person, code=2)
    assert "it has no cluster behind 127.0.0.1" in text
