"""`kubegate certs fetch-ca`: what is written is what was confirmed, and no credential is sent before that."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from kubegate.cluster.cluster_info import PATH
from kubegate.pki.certificate import load_bundle
from kubegate.pki.pin import pin_of
from tests.support.bootstrap import TOKEN, config_map
from tests.support.commands import facts, said
from tests.support.expose import Home, command, kubeconfig, kubegate, problems
from tests.support.forge import Forged, forge, serving
from tests.support.tls import API_NAME, api_leaf, authority, cluster_authority
from tests.support.upstream import Exchange, Script, Upstream

SECRET = "token-of-the-person"
CONFIG_MAP = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"
EVIL = authority("cluster test CA")


def pin(ca: Forged) -> str:
    return pin_of(load_bundle(ca.pem, "ca")[0])


def answers(value: object, status: int = 200) -> Script:
    """A JSON answer."""

    def script(exchange: Exchange) -> None:
        exchange.reply(status, "Content-Type: application/json", body=json.dumps(value).encode())

    return script


def showing(*chain: Forged) -> Upstream:
    """A server that shows a whole chain, its own certificate first."""
    return Upstream(context=serving(chain[0].key_pem + b"".join(one.pem for one in chain)))


@pytest.fixture
def config(person: Home, upstream: Upstream) -> Path:
    return kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}")


@pytest.fixture
def impostor() -> Iterator[Upstream]:
    """Somebody in the middle: a TLS server with a certificate that it made itself."""
    with Upstream(leaf=forge("kube-apiserver", names=[API_NAME, "127.0.0.1"])) as server:
        yield server


def test_from_a_kubeconfig_nobody_is_asked_and_nobody_called(person: Home, config: Path, upstream: Upstream) -> None:
    before = len(upstream.wires)
    out = person.path / "ca.crt"
    found = facts("certs", "fetch-ca", "--kubeconfig", str(config), "--out", str(out), home=person)
    assert out.read_bytes() == cluster_authority().pem
    assert out.stat().st_mode & 0o777 == 0o644
    assert found["authorities"][0]["pin"] == pin(cluster_authority())
    assert found["confirmed"] == "this kubeconfig trusts it already"
    assert len(upstream.wires) == before


def test_without_a_file_it_is_printed_so_that_openssl_reads_it(person: Home, config: Path) -> None:
    text = said("certs", "fetch-ca", "--kubeconfig", str(config), home=person)
    assert pin(cluster_authority()) in text
    read = subprocess.run(["openssl", "x509", "-outform", "der"], input=text.encode(), capture_output=True, check=True)
    assert read.stdout == cluster_authority().der


def test_nothing_is_overwritten_without_force(person: Home, config: Path) -> None:
    out = person.path / "ca.crt"
    out.write_text("precious")
    words = ("certs", "fetch-ca", "--kubeconfig", str(config), "--out", str(out))
    done = kubegate(*words, "--output", "json", home=person)
    assert done.returncode == 2
    assert [(one["code"], one["message"]) for one in problems(done)] == [("fetch-ca.out", "exists already")]
    assert out.read_text() == "precious"
    assert kubegate(*words, "--force", home=person).returncode == 0
    assert out.read_bytes() == cluster_authority().pem


def test_everything_that_is_wrong_is_told_at_once(person: Home) -> None:
    words = ("--from", "configmap", "--server", "x:1", "--token-file", "t", "--pin", "sha256:1", "--out", "/nowhere/ca.crt")
    done = kubegate("certs", "fetch-ca", *words, "--output", "json", home=person)
    assert done.returncode == 2
    assert {one["where"] for one in problems(done)} == {"--pin", "--server", "--token-file", "--out /nowhere/ca.crt"}


def test_a_config_map_that_the_kubeconfig_verifies(person: Home, config: Path, upstream: Upstream) -> None:
    upstream.at(CONFIG_MAP, answers({"kind": "ConfigMap", "data": {"ca.crt": cluster_authority().pem.decode()}}))
    words = ("certs", "fetch-ca", "--from", "configmap", "--kubeconfig", str(config))
    found = facts(*words, "--pin", pin(cluster_authority()), home=person)
    assert found["pem"].encode() == cluster_authority().pem
    assert upstream.seen(CONFIG_MAP)[-1].values("authorization") == [f"Bearer {SECRET}"]
    before = len(upstream.seen(CONFIG_MAP))
    assert "no credential was sent" in said(*words, "--pin", pin(EVIL), home=person, code=1)
    assert len(upstream.seen(CONFIG_MAP)) == before


def test_another_ca_in_the_config_map_has_to_be_confirmed(person: Home, config: Path, upstream: Upstream) -> None:
    both = cluster_authority().pem + EVIL.pem
    upstream.at(CONFIG_MAP, answers({"kind": "ConfigMap", "data": {"ca.crt": both.decode()}}))
    out = person.path / "ca.crt"
    words = ("certs", "fetch-ca", "--from", "configmap", "--kubeconfig", str(config), "--out", str(out))
    done = kubegate(*words, "--output", "json", home=person)
    assert [one["code"] for one in problems(done)] == ["fetch-ca.unconfirmed"]
    assert not out.exists()
    found = facts(*words, "--pin", pin(cluster_authority()), home=person)
    assert [one["pin"] for one in found["leftOut"]] == [pin(EVIL)]
    assert out.read_bytes() == cluster_authority().pem


@pytest.mark.parametrize("source", ["configmap", "cluster-info", "handshake"])
def test_no_credential_is_sent_to_somebody_in_the_middle(person: Home, impostor: Upstream, source: str) -> None:
    impostor.at(PATH, answers(config_map(EVIL.pem, TOKEN)))
    server = f"https://127.0.0.1:{impostor.port}"
    verified = kubeconfig(person.path / "verified", server)
    insecure = kubeconfig(person.path / "insecure", server, ca=None, cluster={"insecure-skip-tls-verify": True})
    token = person.path / "token"
    token.write_text(TOKEN)
    extra = ("--token-file", str(token)) if source == "cluster-info" else ()
    out = person.path / "ca.crt"
    for config in (verified, insecure):
        for pins in ((), ("--pin", pin(cluster_authority()))):
            words = ("--from", source, "--kubeconfig", str(config), *extra, *pins, "--out", str(out))
            done = kubegate("certs", "fetch-ca", *words, home=person)
            assert done.returncode in (1, 2), done.stdout
            assert not out.exists()
    received = impostor.received()
    assert SECRET.encode() not in received
    assert TOKEN.encode() not in received
    assert b"authorization" not in received.lower()
    assert impostor.wires or source == "configmap"


def test_a_pin_that_would_come_too_late_is_refused(person: Home, upstream: Upstream) -> None:
    before = len(upstream.wires)
    config = kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}", ca=None)
    words = ("certs", "fetch-ca", "--from", "configmap", "--kubeconfig", str(config), "--pin", pin(cluster_authority()))
    assert "could only be compared after the credential was sent" in said(*words, home=person, code=2)
    assert len(upstream.wires) == before


def test_no_credential_for_another_ca_of_the_kubeconfig_than_the_pinned_one(person: Home) -> None:
    old = authority("another CA of the cluster")
    with Upstream(leaf=forge("kube-apiserver", old, names=["127.0.0.1"])) as other:
        both = cluster_authority().pem + old.pem
        config = kubeconfig(person.path / "config", f"https://127.0.0.1:{other.port}", ca=both)
        words = ("certs", "fetch-ca", "--from", "configmap", "--kubeconfig", str(config))
        assert kubegate(*words, "--pin", pin(cluster_authority()), home=person).returncode == 1
        assert SECRET.encode() not in other.received()
        # Whoever pins both means both.
        kubegate(*words, "--pin", pin(cluster_authority()), "--pin", pin(old), home=person)
        assert SECRET.encode() in other.received()


def test_what_this_machine_trusts_counts_as_for_kubectl(person: Home, upstream: Upstream) -> None:
    """A publicly trusted front: the credential goes to it, and the cluster's CA that it gives has to be confirmed."""
    upstream.at(CONFIG_MAP, answers({"kind": "ConfigMap", "data": {"ca.crt": EVIL.pem.decode()}}))
    config = kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}", ca=None)
    trusted = person.path / "system.crt"
    trusted.write_bytes(cluster_authority().pem)
    words = ("certs", "fetch-ca", "--from", "configmap", "--kubeconfig", str(config), "--output", "json")
    done = kubegate(*words, home=person, extra={"SSL_CERT_FILE": str(trusted)})
    assert [one["code"] for one in problems(done)] == ["fetch-ca.unconfirmed"]
    before = len(upstream.seen(CONFIG_MAP))
    # Without that CA among the machine's nobody gets the credential.
    assert kubegate(*words, home=person).returncode == 1
    assert len(upstream.seen(CONFIG_MAP)) == before > 0


def test_cluster_info_with_token_and_pin(person: Home, upstream: Upstream) -> None:
    upstream.at(PATH, answers(config_map(cluster_authority().pem, TOKEN)))
    out = person.path / "ca.crt"
    words = ("certs", "fetch-ca", "--from", "cluster-info", "--server", f"127.0.0.1:{upstream.port}", "--out", str(out))
    done = kubegate(*words, "--pin", pin(cluster_authority()), home=person, extra={"KUBEGATE_BOOTSTRAP_TOKEN": TOKEN})
    assert (done.returncode, done.stderr) == (0, "")
    assert "the bootstrap token abcdef signed it" in done.stdout
    assert f"127.0.0.1:{upstream.port} proves by it that it is 127.0.0.1" in done.stdout
    assert TOKEN not in done.stdout
    assert out.read_bytes() == cluster_authority().pem
    assert not any(one.values("authorization") for one in upstream.seen(PATH))
    assert TOKEN.encode() not in upstream.received()


def test_a_signature_of_another_token_is_refused(person: Home, upstream: Upstream) -> None:
    upstream.at(PATH, answers(config_map(cluster_authority().pem, TOKEN)))
    token = person.path / "token"
    token.write_text("abcdef.ffffffffffffffff")
    words = ("--from", "cluster-info", "--server", f"127.0.0.1:{upstream.port}", "--token-file", str(token))
    text = said("certs", "fetch-ca", *words, "--pin", pin(cluster_authority()), home=person, code=1)
    assert "was not made with the bootstrap token abcdef" in text
    assert "ffffffffffffffff" not in text


def test_the_server_has_to_prove_itself_by_what_was_pinned(person: Home, impostor: Upstream) -> None:
    """Somebody in the middle hands on the right CA, whose key they have not."""
    impostor.at(PATH, answers(config_map(cluster_authority().pem, TOKEN)))
    out = person.path / "ca.crt"
    words = ("--from", "cluster-info", "--server", f"127.0.0.1:{impostor.port}", "--out", str(out))
    text = said("certs", "fetch-ca", *words, "--pin", pin(cluster_authority()), home=person, code=1)
    assert "is self-signed, and it is not the one that is trusted" in text
    assert not out.exists()


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_server_that_shows_no_cluster_info(person: Home, upstream: Upstream, status: int) -> None:
    upstream.at(PATH, answers({"kind": "Status", "message": "no \x1b[31m"}, status))
    words = ("--from", "cluster-info", "--server", f"127.0.0.1:{upstream.port}")
    text = said("certs", "fetch-ca", *words, "--pin", pin(cluster_authority()), home=person, code=1)
    assert "cluster-info" in text
    assert "\x1b" not in text


def test_an_api_server_sends_its_leaf_alone(person: Home, upstream: Upstream) -> None:
    words = ("--server", f"127.0.0.1:{upstream.port}", "--pin", pin(cluster_authority()))
    text = said("certs", "fetch-ca", *words, home=person, code=1)
    assert "sends its own certificate alone" in text
    assert f"for {API_NAME}, kubernetes, 127.0.0.1" in text
    assert api_leaf().certificate.fingerprint(SHA256()).hex(":").upper() in text
    assert "--from cluster-info" in text


def test_a_chain_with_its_ca(person: Home) -> None:
    out = person.path / "ca.crt"
    with showing(api_leaf(), cluster_authority()) as server:
        words = ("certs", "fetch-ca", "--server", f"127.0.0.1:{server.port}", "--out", str(out))
        found = facts(*words, "--pin", pin(cluster_authority()), home=person)
        assert found["authorities"][0]["isCA"]
        assert out.read_bytes() == cluster_authority().pem
        out.unlink()
        assert "is not the pinned one" in said(*words, "--pin", pin(EVIL), home=person, code=1)
        # A CA of the same name that did not sign the leaf is not in its chain.
    with showing(api_leaf(), EVIL) as server:
        words = ("certs", "fetch-ca", "--server", f"127.0.0.1:{server.port}", "--out", str(out))
        assert "the root is not among them" in said(*words, "--pin", pin(EVIL), home=person, code=1)
    assert not out.exists()


def test_a_self_signed_certificate_is_what_clients_have_to_trust(person: Home, impostor: Upstream) -> None:
    found = facts("certs", "fetch-ca", "--server", f"127.0.0.1:{impostor.port}", "--pin", pin(_leaf(impostor)), home=person)
    assert "this very certificate" in found["remarks"][0]
    assert found["proven"]


@pytest.mark.parametrize("answer", ["y", "n"])
def test_somebody_at_a_terminal_is_asked(person: Home, impostor: Upstream, answer: str) -> None:
    out = person.path / "ca.crt"
    words = command("certs", "fetch-ca", "--server", f"127.0.0.1:{impostor.port}", "--out", str(out))
    child = pexpect.spawn(
        words[0], words[1:], env=os.environ | person.environ(), timeout=30, encoding="utf-8", dimensions=(40, 200)
    )
    child.expect(pin(_leaf(impostor)))
    child.expect("Is this what the cluster's operator says it is?")
    child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus == 0) is (answer == "y") is out.exists()


def _leaf(server: Upstream) -> Forged:
    assert server.leaf is not None
    return server.leaf
