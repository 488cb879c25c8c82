"""`kubegate certs inspect`: of files, servers and kubeconfigs, in text and as JSON; whom clients would trust, and why not."""

import base64
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.commands import facts, said
from tests.support.expose import Home, kubeconfig, kubegate, problems
from tests.support.forge import CLIENT, Forged, forge, serving
from tests.support.tls import API_NAME, authority, cluster_authority, whole
from tests.support.upstream import Upstream

ROOT = authority("root")
BETWEEN = forge("between", ROOT, ca=True, usages=None)
LEAF = forge("gate", BETWEEN, names=["gate.test", "192.0.2.7"])


def inspected(person: Home, *words: str | Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = facts("certs", "inspect", *map(str, words), home=person)["found"]
    return found


def shown(person: Home, *words: str | Path) -> str:
    return said("certs", "inspect", *map(str, words), home=person)


def write(person: Home, name: str, *parts: bytes) -> Path:
    path = person.path / name
    path.write_bytes(b"".join(parts))
    return path


def trusting(person: Home, *trusted: Forged, **more: Any) -> Path:
    """A kubeconfig that trusts these."""
    ca = b"".join(one.pem for one in trusted)
    return kubeconfig(person.path / "kubeconfig.yaml", "https://gate.test:6443", ca=ca, **more)


def test_a_whole_chain_in_a_file(person: Home) -> None:
    path = write(person, "chain.crt", LEAF.pem, BETWEEN.pem, ROOT.pem, LEAF.key_pem)
    [found] = inspected(person, path, "--kubeconfig", trusting(person, ROOT))
    assert [one["subject"] for one in found["chain"]] == ["CN=gate", "CN=between", "CN=root"]
    assert (found["in_order"], found["missing"], found["superfluous"], found["root_is_sent"]) == (True, "", [], True)
    leaf = found["chain"][0]
    assert (leaf["names"], leaf["usages"], leaf["key"]) == (["gate.test", "192.0.2.7"], ["TLS server"], "ECDSA secp256r1")
    assert leaf["days_left"] in (29, 30)
    assert found["key_belongs"] is True
    assert found["kubeconfig"] == {"trusted": True, "why": "its CA vouches for it"}
    assert found["browser"]["trusted"] is False
    text = shown(person, path, "--kubeconfig", trusting(person, ROOT))
    assert "The kubeconfig (context dev) would trust it for gate.test, 192.0.2.7, until " in text
    assert "A browser on this machine would not trust it" in text
    assert "The key belongs to it." in text
    assert text.index("CN=gate") < text.index("CN=between") < text.index("CN=root")


def test_what_is_wrong_with_a_file(person: Home) -> None:
    other = authority("other")
    path = write(person, "chain.crt", BETWEEN.pem, LEAF.pem, other.pem)
    [found] = inspected(person, path, "--key", write(person, "key", forge("x").key_pem), "--kubeconfig", trusting(person, other))
    assert [one["subject"] for one in found["chain"]] == ["CN=gate", "CN=between"]
    assert (found["in_order"], found["missing"], found["superfluous"]) == (False, "CN=root", ["CN=other"])
    assert found["key_belongs"] is False
    assert found["kubeconfig"]["trusted"] is False
    text = shown(person, path, "--key", person.path / "key", "--kubeconfig", trusting(person, other))
    for words in ("The order is wrong", "CN=root, which is not there", "Superfluous: CN=other", "does NOT belong to it"):
        assert words in text


@pytest.mark.parametrize(
    ("leaf", "words"),
    [
        (forge("old", BETWEEN, names=["gate.test"], since=timedelta(days=9), until=timedelta(days=-2)), "EXPIRED 2 days ago"),
        (forge("alice", BETWEEN, names=["gate.test"], usages=(CLIENT,)), "it is not for TLS servers"),
    ],
)
def test_what_nobody_would_trust(person: Home, leaf: Forged, words: str) -> None:
    path = write(person, "leaf.crt", leaf.pem, BETWEEN.pem)
    assert words in shown(person, path, "--kubeconfig", trusting(person, ROOT)).replace("EXPIRED 3 days", "EXPIRED 2 days")
    [found] = inspected(person, path, "--kubeconfig", trusting(person, ROOT))
    assert (found["kubeconfig"]["trusted"], found["browser"]["trusted"]) == (False, False)


def test_the_name_that_is_asked_for(person: Home) -> None:
    path = write(person, "chain.crt", LEAF.pem, BETWEEN.pem)
    judge = ("--kubeconfig", trusting(person, ROOT))
    [right] = inspected(person, path, *judge, "--server-name", "gate.test")
    [wrong] = inspected(person, path, *judge, "--server-name", "other.test")
    assert (right["kubeconfig"]["trusted"], wrong["kubeconfig"]["trusted"]) == (True, False)
    assert wrong["kubeconfig"]["why"] == "it is not for other.test"


def test_other_forms_of_files(person: Home) -> None:
    der = write(person, "leaf.der", LEAF.der)
    assert inspected(person, der)[0]["chain"][0]["subject"] == "CN=gate"
    data = {"tls.crt": LEAF.pem + BETWEEN.pem, "tls.key": LEAF.key_pem}
    manifest = {"kind": "Secret", "data": {key: base64.b64encode(value).decode() for key, value in data.items()}}
    [found] = inspected(person, write(person, "secret.yaml", yaml.safe_dump(manifest).encode()))
    assert (found["key_belongs"], len(found["chain"])) == (True, 2)
    [bundle] = inspected(person, write(person, "cas.pem", ROOT.pem, cluster_authority().pem))
    assert [one["subject"] for one in bundle["bundle"]] == ["CN=root", "CN=cluster test CA"]
    locked = write(person, "locked.pem", LEAF.pem, LEAF.locked(b"secret"))
    assert "passphrase" in inspected(person, locked)[0]["key_trouble"]


def test_text_of_certificates_is_escaped(person: Home) -> None:
    hostile = forge("ga\x1b[2Jte", forge("ro\u202eot\x07", ca=True), names=["gate.test"])
    text = shown(person, write(person, "hostile.crt", hostile.pem))
    assert not {"\x1b", "\u202e", "\x07"} & set(text)
    assert "\\x1b[2J" in text
    assert "\\u202e" in text


def test_a_server(person: Home) -> None:
    with Upstream(leaf=None, context=serving(LEAF.key_pem + LEAF.pem + BETWEEN.pem)) as server:
        target = str(server.endpoint)
        [found] = inspected(person, target, "--kubeconfig", trusting(person, ROOT), "--server-name", "gate.test")
        assert [one["subject"] for one in found["chain"]] == ["CN=gate", "CN=between"]
        assert found["kubeconfig"]["trusted"] is True
        [found] = inspected(person, target, "--kubeconfig", trusting(person, ROOT))
        assert found["kubeconfig"]["why"] == "it is not for 127.0.0.1"
        assert f"{target} shows" in shown(person, target)
        assert not server.requests


def test_a_server_that_sends_its_own_certificate_alone(person: Home) -> None:
    with Upstream() as server:
        [found] = inspected(person, str(server.endpoint), "--kubeconfig", trusting(person, cluster_authority()))
    assert (found["missing"], found["kubeconfig"]["trusted"]) == ("CN=cluster test CA", True)


def test_a_kubeconfig_that_skips_verification_trusts_anyone(person: Home) -> None:
    config = kubeconfig(person.path / "k", "https://x.test", ca=None, cluster={"insecure-skip-tls-verify": True})
    [found] = inspected(person, write(person, "leaf.crt", forge("x", names=["y.test"]).pem), "--kubeconfig", config)
    assert found["kubeconfig"] == {"trusted": True, "why": "it skips verification, so it trusts whoever answers"}


def test_a_kubeconfig(person: Home) -> None:
    alice = forge("alice", cluster_authority(), usages=(CLIENT,))
    pair = {"client-certificate-data": alice.pem, "client-key-data": alice.key_pem}
    user = {key: base64.b64encode(value).decode() for key, value in pair.items()}
    with Upstream() as server:
        config = kubeconfig(person.path / "config", f"https://{server.endpoint}", user=user)
        by_file = inspected(person, config)
        by_word = facts("certs", "inspect", "kubeconfig", "--kubeconfig", str(config), home=person)["found"]
    assert by_file == by_word
    server_view, ca_view, client_view = by_file
    assert server_view["kubeconfig"]["trusted"] is True
    assert [one["subject"] for one in ca_view["bundle"]] == ["CN=cluster test CA"]
    assert (client_view["chain"][0]["subject"], client_view["key_belongs"]) == ("CN=alice", True)
    # Nobody answers there any more.
    gone, ca_view, _ = inspected(person, config)
    assert "nothing listens" in gone["trouble"]


def test_a_kubeconfig_of_another_cluster(person: Home) -> None:
    impostor = forge("kube-apiserver", authority("cluster test CA"), names=[API_NAME, "127.0.0.1"])
    with Upstream(leaf=None, context=serving(whole(impostor))) as server:
        config = kubeconfig(person.path / "config", f"https://{server.endpoint}")
        found = inspected(person, config)[0]
    assert found["kubeconfig"]["trusted"] is False
    assert "another key" in found["kubeconfig"]["why"]


def test_problems(person: Home) -> None:
    for words, code in (
        (["nothing.crt"], "certs.inspect"),
        ([str(write(person, "empty", b""))], "certificate.empty"),
        ([str(write(person, "key.pem", LEAF.key_pem))], "certificate.key"),
        ([str(write(person, "cut.pem", LEAF.pem[:200]))], "certificate.cut"),
        (["kubeconfig"], "kubeconfig."),
        ([str(write(person, "leaf", LEAF.pem)), "--kubeconfig", "missing"], "kubeconfig."),
    ):
        done = kubegate("certs", "inspect", *words, "--output", "json", home=person)
        assert done.returncode == 2, done.stdout + done.stderr
        assert problems(done)[0]["code"].startswith(code)
    done = kubegate("certs", "inspect", "127.0.0.1:1", home=person)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing listens" in done.stderr


def test_plain_http_is_no_tls_server(person: Home) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = kubegate("certs", "inspect", f"127.0.0.1:{server.server_port}", home=person)
        server.shutdown()
    assert done.returncode == 1
    assert "TLS" in done.stderr
