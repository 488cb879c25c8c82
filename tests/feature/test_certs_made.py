"""`kubegate certs`: what is made, in every form, judged by OpenSSL, curl, HAProxy and keytool; and what is refused."""

import base64
import ipaddress
import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pexpect
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import pkcs12

from kubegate.pki.ca import Authority
from kubegate.runtime.binary import find
from kubegate.system.network import free_port
from tests.support.commands import facts, said
from tests.support.expose import Home, command, kubegate, problems
from tests.support.forge import Forged, forge, serving
from tests.support.upstream import Upstream


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def openssl(*arguments: str | Path, given: bytes = b"") -> str:
    """What OpenSSL prints; it must succeed."""
    done = subprocess.run(["openssl", *map(str, arguments)], input=given, capture_output=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def verified(ca: Path, leaf: Path, *more: str) -> bool:
    """Whether OpenSSL accepts a certificate."""
    done = subprocess.run(["openssl", "verify", "-CAfile", ca, *more, leaf], capture_output=True, check=False, timeout=30)
    return done.returncode == 0


def curl(ca: Path, pem: bytes, name: str) -> int:
    """How curl ends that asks a server which shows this chain and key, by this name."""
    with Upstream(leaf=None, context=serving(pem)) as server:
        host = f"[{name}]" if ":" in name else name
        done = subprocess.run(
            [
                *("curl", "-q", "-sS", "--noproxy", "*", "--cacert", ca),
                *("--resolve", f"{name}:{server.port}:127.0.0.1", f"https://{host}:{server.port}/"),
            ],
            capture_output=True,
            check=False,
            timeout=30,
        )
    return done.returncode


@pytest.fixture
def ca(person: Home) -> Path:
    """A CA that a person has made."""
    folder = person.path / "ca"
    facts("certs", "ca", "init", str(folder), "--name", "example.test", "--name", "10.0.0.0/8", home=person)
    return folder


def certs(person: Home, *words: str) -> Any:
    return facts("certs", *words, home=person)


def refused(person: Home, *words: str) -> list[str]:
    """The codes of all problems; exit code 2."""
    done = kubegate("certs", *words, "--output", "json", home=person)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert all(one["message"] for one in problems(done))
    return [one["code"] for one in problems(done)]


def test_a_ca(ca: Path) -> None:
    assert mode(ca) == 0o700
    assert {path.name: mode(path) for path in ca.iterdir()} == {"ca.crt": 0o644, "ca.key": 0o600, "revoked": 0o600}
    text = openssl("x509", "-in", ca / "ca.crt", "-noout", "-text")
    assert "X509v3 Name Constraints: critical" in text
    for inside in ("DNS:localhost", "DNS:example.test", "IP:127.0.0.0/255.0.0.0", "IP:10.0.0.0/255.0.0.0"):
        assert inside in text
    assert "CA:TRUE, pathlen:0" in text
    assert verified(ca / "ca.crt", ca / "ca.crt")


def test_a_folder_that_others_use_is_not_closed_to_them(person: Home) -> None:
    folder = person.path / "etc"
    folder.mkdir(mode=0o755)
    (folder / "hosts").write_text("")
    assert refused(person, "ca", "init", str(folder)) == ["certs.out"]
    assert mode(folder) == 0o755
    assert [one.name for one in folder.iterdir()] == ["hosts"]
    (folder / "hosts").unlink()
    certs(person, "ca", "init", str(folder))
    assert mode(folder) == 0o700


def test_a_server_by_openssl_and_curl(person: Home, ca: Path) -> None:
    base = person.path / "gate"
    found = certs(
        person, "issue", "server", "--ca", str(ca), "--name", "gate.example.test", "--name", "127.0.0.1", "--out", str(base)
    )
    assert [(Path(one["path"]).name, one["mode"]) for one in found["files"]] == [("gate.key", "0600"), ("gate.crt", "0644")]
    assert found["certificate"]["names"] == ["gate.example.test", "127.0.0.1"]
    assert mode(base.with_suffix(".key")) == 0o600
    crt, pem = base.with_suffix(".crt"), base.with_suffix(".crt").read_bytes() + base.with_suffix(".key").read_bytes()
    assert verified(ca / "ca.crt", crt, "-verify_hostname", "gate.example.test", "-purpose", "sslserver")
    assert verified(ca / "ca.crt", crt, "-verify_ip", "127.0.0.1")
    assert not verified(ca / "ca.crt", crt, "-verify_hostname", "other.example.test")
    assert not verified(ca / "ca.crt", crt, "-purpose", "sslclient")
    assert curl(ca / "ca.crt", pem, "gate.example.test") == 0
    # CURLE_PEER_FAILED_VERIFICATION
    assert curl(ca / "ca.crt", pem, "other.example.test") == 60


def test_a_foreign_name_that_the_key_of_the_ca_signs_is_refused(ca: Path, tmp_path: Path) -> None:
    authority = Authority.load(ca)
    stolen = Forged(authority.certificate.parsed, authority.key)
    for name, code in (("www.example.com", 60), ("192.0.2.1", 60), ("www.example.test", 0), ("10.9.9.9", 0)):
        leaf = forge("web", stolen, names=[name])
        (tmp_path / "leaf.crt").write_bytes(leaf.pem)
        assert verified(ca / "ca.crt", tmp_path / "leaf.crt") is (code == 0)
        if not name[0].isdigit():
            assert curl(ca / "ca.crt", leaf.pem + leaf.key_pem, name) == code


def test_a_client_by_openssl(person: Home, ca: Path) -> None:
    base = person.path / "alice"
    words = ["issue", "client", "--ca", str(ca), "--user", "alice", "--group", "dev", "--for", "30d", "--out", str(base)]
    found = certs(person, *words)
    assert found["certificate"]["days_left"] in (29, 30)
    crt = base.with_suffix(".crt")
    assert verified(ca / "ca.crt", crt, "-purpose", "sslclient")
    assert not verified(ca / "ca.crt", crt, "-purpose", "sslserver")
    assert openssl("x509", "-in", crt, "-noout", "-subject", "-nameopt", "RFC2253").strip() == "subject=CN=alice,O=dev"


def test_self_signed(person: Home) -> None:
    base = person.path / "own"
    found = certs(person, "self-signed", "--name", "gate.example.org", "--out", str(base), "--key-type", "rsa-2048")
    assert [one["code"] for one in found["warnings"]] == ["certificate.self-signed"]
    crt = base.with_suffix(".crt")
    assert verified(crt, crt, "-verify_hostname", "gate.example.org")
    assert not verified(crt, crt, "-verify_hostname", "example.org")
    assert "2048 bit" in openssl("x509", "-in", crt, "-noout", "-text")


def test_the_bundle_in_the_order_of_haproxy(person: Home, ca: Path, tmp_path: Path) -> None:
    base = person.path / "gate"
    certs(person, "issue", "server", "--ca", str(ca), "--name", "gate.example.test", "--format", "bundle", "--out", str(base))
    pem = base.with_suffix(".pem")
    assert mode(pem) == 0o600
    labels = [line for line in pem.read_text().splitlines() if line.startswith("-----BEGIN")]
    assert labels == ["-----BEGIN CERTIFICATE-----"] * 2 + ["-----BEGIN PRIVATE KEY-----"]
    leaf = x509.load_pem_x509_certificates(pem.read_bytes())[0]
    assert leaf.subject.rfc4514_string() == "CN=gate.example.test"
    config = tmp_path / "haproxy.cfg"
    config.write_text(
        f"defaults\n  mode http\n  timeout client 1s\nfrontend f\n  bind 127.0.0.1:{free_port('127.0.0.1')} ssl crt {pem}\n"
    )
    assert subprocess.run([find().path, "-c", "-f", config], check=False, timeout=30, capture_output=True).returncode == 0


def test_the_secret(person: Home, ca: Path) -> None:
    base = person.path / "gate"
    words = ["issue", "server", "--ca", str(ca), "--name", "gate.example.test", "--format", "secret", "--namespace", "front"]
    certs(person, *words, "--out", str(base))
    path = base.with_suffix(".yaml")
    assert mode(path) == 0o600
    manifest = yaml.safe_load(path.read_text())
    assert (manifest["kind"], manifest["type"]) == ("Secret", "kubernetes.io/tls")
    assert manifest["metadata"] == {"name": "gate", "namespace": "front"}
    data = {key: base64.b64decode(value) for key, value in manifest["data"].items()}
    assert data["ca.crt"] == (ca / "ca.crt").read_bytes()
    key = openssl("pkey", "-in", "/dev/stdin", "-pubout", given=data["tls.key"])
    assert key == openssl("x509", "-in", "/dev/stdin", "-noout", "-pubkey", given=data["tls.crt"])


def test_pkcs12_with_a_password_from_a_file(person: Home, ca: Path) -> None:
    password = person.path / "password"
    password.write_text("correct horse\n")
    base = person.path / "alice"
    words = ["issue", "client", "--ca", str(ca), "--user", "alice", "--format", "pkcs12", "--password-file", str(password)]
    certs(person, *words, "--out", str(base))
    store = base.with_suffix(".p12")
    assert mode(store) == 0o600
    key, leaf, issuers = pkcs12.load_key_and_certificates(store.read_bytes(), b"correct horse")
    assert key is not None
    assert leaf is not None
    assert key.public_key() == leaf.public_key()
    assert [one.subject.rfc4514_string() for one in issuers] == ["CN=kubegate local CA"]
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_key_and_certificates(store.read_bytes(), b"wrong horse")
    listed = ["keytool", "-list", "-storetype", "PKCS12", "-keystore", str(store), "-storepass:file", str(password)]
    if shutil.which("keytool"):
        done = subprocess.run(listed, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout
        assert "alice, " in done.stdout
        assert "PrivateKeyEntry" in done.stdout


def test_pkcs12_with_a_password_that_is_typed(person: Home, ca: Path) -> None:
    base = person.path / "alice"
    words = ["certs", "issue", "client", "--ca", str(ca), "--user", "alice", "--format", "pkcs12", "--out", str(base)]
    program, *arguments = command(*words)
    terminal = pexpect.spawn(program, arguments, env={**os.environ, **person.environ()}, timeout=30, encoding="utf-8")
    for prompt in ("Password of the key store: ", "Repeat for confirmation: "):
        terminal.expect(prompt)
        terminal.sendline("correct horse")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert "correct horse" not in (terminal.before or "")
    assert pkcs12.load_key_and_certificates(base.with_suffix(".p12").read_bytes(), b"correct horse")[0] is not None


def test_a_request_that_is_signed(person: Home, ca: Path) -> None:
    base = person.path / "bob"
    certs(person, "csr", "--user", "bob", "--group", "ops", "--out", str(base))
    assert mode(base.with_suffix(".key")) == 0o600
    openssl("req", "-in", base.with_suffix(".csr"), "-noout", "-verify")
    found = certs(person, "issue", "client", "--ca", str(ca), "--csr", str(base.with_suffix(".csr")), "--out", str(base))
    assert found["certificate"]["subject"] == "CN=bob,O=ops"
    assert [Path(one["path"]).name for one in found["files"]] == ["bob.crt"]
    assert openssl("pkey", "-in", base.with_suffix(".key"), "-pubout") == openssl(
        "x509", "-in", base.with_suffix(".crt"), "-noout", "-pubkey"
    )


def test_a_request_of_openssl_for_a_key_of_one_s_own(person: Home, ca: Path) -> None:
    key, csr = person.path / "own.key", person.path / "own.csr"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    openssl("req", "-new", "-key", key, "-subj", "/CN=x", "-addext", "subjectAltName=DNS:own.example.test", "-out", csr)
    found = certs(person, "issue", "server", "--ca", str(ca), "--csr", str(csr), "--out", str(person.path / "own"))
    assert found["certificate"]["names"] == ["own.example.test"]
    certs(person, "csr", "--name", "own.example.test", "--key", str(key), "--out", str(person.path / "again"))
    assert not (person.path / "again.key").exists()


def tree(folder: Path) -> dict[str, bytes]:
    """Everything below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_overwritten_unasked(person: Home, ca: Path) -> None:
    base = person.path / "gate"
    issue = ["issue", "server", "--ca", str(ca), "--name", "gate.example.test", "--out", str(base)]
    certs(person, *issue)
    before = tree(person.path)
    assert refused(person, *issue) == ["certs.exists"] * 2
    assert refused(person, "self-signed", "--name", "x.test", "--out", str(base)) == ["certs.exists"] * 2
    assert refused(person, "csr", "--user", "x", "--out", str(base)) == ["certs.exists"]
    assert refused(person, "ca", "init", str(ca)) == ["certs.exists"] * 2
    assert tree(person.path) == before
    certs(person, *issue, "--force")
    assert tree(person.path)["gate.crt"] != before["gate.crt"]


def test_of_two_files_one_is_in_the_way(person: Home, ca: Path) -> None:
    (person.path / "gate.crt").write_bytes(b"mine")
    words = ["issue", "server", "--ca", str(ca), "--name", "gate.example.test", "--out", str(person.path / "gate")]
    assert refused(person, *words) == ["certs.exists"]
    assert not (person.path / "gate.key").exists()
    assert not (ca / "issued").exists()


def test_every_problem_at_once(person: Home, ca: Path) -> None:
    words = ["issue", "server", "--ca", str(ca), "--name", "a b", "--user", "alice", "--for", "soon", "--format", "pkcs12"]
    found = refused(person, *words, "--out", str(person.path / "missing" / "x"))
    assert sorted(found) == ["certs.lifetime", "certs.name", "certs.out", "certs.password", "certs.unused"]
    words = ["issue", "server", "--ca", str(ca), "--name", "example.com", "--name", "192.0.2.1"]
    assert refused(person, *words) == ["certs.constraint"] * 2
    assert refused(person, "ca", "init", str(person.path / "new"), "--name", "com", "--name", "::/0") == ["certs.constraint"] * 2
    assert refused(person, "issue", "client", "--ca", str(person.path), "--user", "x") == ["file.unreadable"] * 2
    assert refused(person, "self-signed") == ["certs.name"]
    assert refused(person, "csr") == ["certs.name"]


def test_no_secret_is_printed(person: Home, ca: Path) -> None:
    text = said("certs", "issue", "client", "--ca", str(ca), "--user", "alice", "--out", str(person.path / "alice"), home=person)
    secret = (person.path / "alice.key").read_text().splitlines()[1]
    assert secret not in text
    assert "PRIVATE" not in text


def fingerprints(path: Path) -> list[str]:
    pem = path.read_bytes()
    return [one.fingerprint(hashes.SHA256()).hex().upper() for one in x509.load_pem_x509_certificates(pem)]


def test_renewed_in_place(person: Home, ca: Path) -> None:
    base = person.path / "gate"
    certs(person, "issue", "server", "--ca", str(ca), "--name", "gate.example.test", "--for", "10d", "--out", str(base))
    crt, key = base.with_suffix(".crt"), base.with_suffix(".key")
    before = (crt.read_bytes(), key.read_bytes())
    assert certs(person, "renew", str(crt), "--ca", str(ca), "--within", "5d")["files"] == []
    assert (crt.read_bytes(), key.read_bytes()) == before
    key.chmod(0o644)
    found = certs(person, "renew", str(crt), "--ca", str(ca), "--within", "20d")
    assert found["certificate"]["days_left"] in (9, 10)
    # A new key is not for everybody, even where the old one was.
    assert mode(key) == 0o640
    assert verified(ca / "ca.crt", crt, "-verify_hostname", "gate.example.test")
    assert before[0] != crt.read_bytes()
    assert before[1] != key.read_bytes()
    kept = key.read_bytes()
    certs(person, "renew", str(crt), "--ca", str(ca), "--keep-key")
    # The key is written as it was.
    assert key.read_bytes() == kept
    assert openssl("pkey", "-in", key, "-pubout") == openssl("x509", "-in", crt, "-noout", "-pubkey")
    assert len((ca / "issued").read_text().splitlines()) == 3


def test_renewed_bundles_and_self_signed(person: Home, ca: Path) -> None:
    base = person.path / "gate"
    certs(person, "issue", "server", "--ca", str(ca), "--name", "gate.example.test", "--format", "bundle", "--out", str(base))
    old = fingerprints(base.with_suffix(".pem"))
    certs(person, "renew", str(base.with_suffix(".pem")), "--ca", str(ca))
    new = fingerprints(base.with_suffix(".pem"))
    assert (new[0] != old[0], new[1]) == (True, old[1])
    assert b"PRIVATE KEY" in base.with_suffix(".pem").read_bytes()
    certs(person, "self-signed", "--name", "own.test", "--out", str(person.path / "own"))
    certs(person, "renew", str(person.path / "own.crt"))
    assert verified(person.path / "own.crt", person.path / "own.crt", "-verify_hostname", "own.test")


def test_what_cannot_be_renewed(person: Home, ca: Path) -> None:
    base = person.path / "gate"
    certs(person, "issue", "server", "--ca", str(ca), "--name", "gate.example.test", "--out", str(base))
    certs(person, "ca", "init", str(person.path / "other"))
    before = tree(person.path)
    crt = str(base.with_suffix(".crt"))
    assert refused(person, "renew", crt) == ["certs.renew"]
    assert refused(person, "renew", crt, "--ca", str(person.path / "other")) == ["certs.renew"]
    assert refused(person, "renew", crt, "--ca", str(ca), "--key", str(ca / "ca.key")) == ["certs.key"]
    assert refused(person, "renew", str(ca / "ca.crt")) == ["certs.renew"]
    assert refused(person, "renew", str(person.path / "nothing.crt")) == ["file.unreadable"] * 2
    assert tree(person.path) == before


def test_revoked_by_file_fingerprint_and_user(person: Home, ca: Path) -> None:
    issued: dict[str, Any] = {}
    for user in ("alice", "bob", "carol"):
        issued[user] = certs(person, "issue", "client", "--ca", str(ca), "--user", user, "--out", str(person.path / user))
    bob = issued["bob"]["certificate"]["sha256"]
    done = certs(person, "revoke", str(person.path / "alice.crt"), bob, "carol", "--ca", str(ca))
    assert [one["newly_revoked"] for one in done["certificates"]] == [True] * 3
    assert [one["works_elsewhere_until"] for one in done["certificates"]] == [
        one["certificate"]["not_after"] for one in issued.values()
    ]
    assert "checks no revocation list" in " ".join(done["reach"])
    listed = [line.split()[0].partition("+")[0] for line in (ca / "revoked").read_text().splitlines()]
    assert listed == [one["certificate"]["sha256"].replace(":", "") for one in issued.values()]
    again = certs(person, "revoke", "alice", "--ca", str(ca))
    assert [one["newly_revoked"] for one in again["certificates"]] == [False]
    assert len((ca / "revoked").read_text().splitlines()) == 3
    text = said("certs", "revoke", "alice", "--ca", str(ca), home=person)
    assert "Elsewhere it still works until" in text
    assert "take away the rights of its user" in text
    words = ["--user", "root", "--group", "system:masters", "--out", str(person.path / "root")]
    warned = certs(person, "issue", "client", "--ca", str(ca), *words)
    assert [one["code"] for one in warned["warnings"]] == ["certs.masters"]
    masters = " ".join(certs(person, "revoke", "root", "--ca", str(ca))["reach"])
    assert "only another CA" in masters
    assert "take away the rights" not in masters


def test_what_cannot_be_revoked(person: Home, ca: Path) -> None:
    certs(person, "self-signed", "--name", "own.test", "--out", str(person.path / "own"))
    certs(person, "issue", "client", "--ca", str(ca), "--user", "alice", "--out", str(person.path / "alice"))
    words: Sequence[str] = ["alice", "nobody", "AB" * 32, str(person.path / "own.crt")]
    assert refused(person, "revoke", *words, "--ca", str(ca)) == ["certs.revoke"] * 3
    assert (ca / "revoked").read_bytes() == b""
    (ca / "revoked").write_text("garbage\n")
    assert refused(person, "revoke", "alice", "--ca", str(ca)) == ["revoked.line"]
    assert (ca / "revoked").read_text() == "garbage\n"


def test_every_command_has_examples(person: Home) -> None:
    for words in (["ca", "init"], ["issue"], ["csr"], ["renew"], ["revoke"], ["self-signed"], ["inspect"], ["trust", "install"]):
        text = said("certs", *words, "--help", home=person)
        assert f"kubegate certs {' '.join(words)}" in text.partition("Examples:")[2]


def test_addresses_are_addresses(person: Home) -> None:
    certs(person, "self-signed", "--name", "::1", "--name", "127.0.0.1", "--out", str(person.path / "own"))
    leaf = x509.load_pem_x509_certificate((person.path / "own.crt").read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("::1"), ipaddress.ip_address("127.0.0.1")]
