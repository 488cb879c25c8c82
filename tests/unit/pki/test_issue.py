"""Certificates of a CA: what is in them, what it refuses to put into one, and that clients accept the first alone."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from kubegate.model.certificate_kinds import Kind, Purpose
from kubegate.model.problem import InvalidInput
from kubegate.pki.ca import Authority
from kubegate.pki.certificate import pem_chain
from kubegate.pki.formats import bundle
from kubegate.pki.issue import Issued, Wanted, cautions, issue, issue_own, normal_names, wanted_again
from kubegate.pki.key import belongs_to, key_pem
from kubegate.pki.revoked import entry_of
from tests.support.forge import serving, shake

NOW = datetime.now(UTC)
CA = Authority.create(["example.test"])
SERVER = Wanted(Purpose.SERVER, "", ("gate.example.test", "127.0.0.1"))
CLIENT = Wanted(Purpose.CLIENT, "alice", organizations=("dev", "ops"))


def refused(wanted: Wanted, authority: Authority = CA) -> str:
    """Everything for which it is refused."""
    with pytest.raises(InvalidInput) as caught:
        issue(authority, wanted)
    assert all(one.hint for one in caught.value.problems)
    return str(caught.value)


def shaken(issued: Issued, name: str, trusted: bytes) -> None:
    """A handshake with a server that shows it. Raises what the client raises."""
    assert issued.key is not None
    shake(serving(bundle(issued.chain, issued.key)), ssl.create_default_context(cadata=trusted.decode()), name)


def test_a_server() -> None:
    issued = issue(CA, SERVER)
    leaf = issued.leaf
    assert leaf.names == SERVER.names
    assert leaf.usages == frozenset({ExtendedKeyUsageOID.SERVER_AUTH.dotted_string})
    assert not leaf.is_ca
    assert leaf.is_issued_by(CA.certificate)
    assert issued.chain[1:] == (CA.certificate,)
    assert isinstance(issued.key, ec.EllipticCurvePrivateKey)
    assert belongs_to(issued.key, leaf.parsed)
    assert 396 <= (leaf.not_after - NOW).days <= 397
    for name in SERVER.names:
        shaken(issued, name, CA.certificate.pem)


def test_a_server_is_nobody_else() -> None:
    issued = issue(CA, SERVER)
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(issued, "other.example.test", CA.certificate.pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(issued, SERVER.names[0], Authority.create([]).certificate.pem)


def test_a_client() -> None:
    leaf = issue(CA, CLIENT).leaf
    assert leaf.subject == "CN=alice,O=ops,O=dev"
    assert leaf.usages == frozenset({ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string})
    assert leaf.names == ()
    assert not leaf.may_serve


def test_rsa_on_request() -> None:
    issued = issue(CA, Wanted(Purpose.SERVER, "", ("localhost",), kind=Kind.RSA2048))
    assert isinstance(issued.key, rsa.RSAPrivateKey)
    assert issued.key.key_size == 2048
    usage = issued.leaf.parsed.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_encipherment
    shaken(issued, "localhost", CA.certificate.pem)


def test_a_public_key_is_enough() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issued = issue(CA, SERVER, key=key.public_key())
    assert issued.key is None
    assert belongs_to(key, issued.leaf.parsed)


def test_names_that_it_may_not_vouch_for_all_at_once() -> None:
    said = refused(Wanted(Purpose.SERVER, "", ("example.com", "8.8.8.8", "gate.example.test")))
    assert "example.com" in said
    assert "8.8.8.8" in said
    assert "for gate.example.test" not in said


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(Purpose.SERVER, ""), "there is none"),
        (Wanted(Purpose.CLIENT, ""), "there is none"),
        (Wanted(Purpose.CLIENT, "x" * 65), "65 characters"),
        (Wanted(Purpose.CLIENT, "a\u202eb"), "\\u202e"),
        (Wanted(Purpose.CLIENT, "alice.smith"), "looks like a DNS name"),
        (Wanted(Purpose.SERVER, "", ("localhost",), lifetime=timedelta(days=826)), "825 days"),
        (Wanted(Purpose.CLIENT, "alice", lifetime=timedelta(days=4000)), "the CA itself"),
    ],
)
def test_what_would_not_be_accepted(wanted: Wanted, words: str) -> None:
    assert words in refused(wanted)


@pytest.mark.parametrize("user", ["alice", "system:node:a.b", "alice@example.com", "alice.example.test", "x" * 64])
def test_users_that_are_accepted(user: str) -> None:
    assert issue(CA, Wanted(Purpose.CLIENT, user)).leaf.subject.startswith("CN=")


def test_a_ca_that_has_ended_issues_nothing() -> None:
    old = Authority.create([], lifetime=timedelta(days=1), now=NOW - timedelta(days=2))
    assert "not now" in refused(Wanted(Purpose.SERVER, "", ("localhost",)), old)


def test_a_lifetime_that_nobody_chose_ends_with_the_ca() -> None:
    young = Authority.create([], lifetime=timedelta(days=30))
    assert issue(young, Wanted(Purpose.SERVER, "", ("localhost",))).leaf.not_after <= young.certificate.not_after


def test_names_are_read_and_told_all_at_once() -> None:
    assert normal_names(["Gate.Example.Test.", "[::1]", "*.example.test", "::1"], "x") == (
        "gate.example.test",
        "::1",
        "*.example.test",
    )
    with pytest.raises(InvalidInput) as caught:
        normal_names(["a b", "*", "*.test", "https://x", "fine.test"], "--name")
    assert len(caught.value.problems) == 4


def test_its_own() -> None:
    issued = issue_own(Wanted(Purpose.SERVER, "", ("gate.test",)))
    assert issued.leaf.self_signed
    assert not issued.leaf.is_ca
    shaken(issued, "gate.test", issued.leaf.pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(issued, "gate.test", CA.certificate.pem)


@pytest.mark.parametrize("wanted", [SERVER, CLIENT])
def test_once_more(wanted: Wanted) -> None:
    old = issue(CA, wanted)
    new = issue(CA, wanted_again(old.leaf))
    assert (new.leaf.subject, new.leaf.names, new.leaf.usages) == (old.leaf.subject, old.leaf.names, old.leaf.usages)
    assert abs((new.leaf.not_after - new.leaf.not_before) - (old.leaf.not_after - old.leaf.not_before)) < timedelta(seconds=2)
    assert new.leaf.sha256 != old.leaf.sha256


def test_masters_are_worth_a_warning() -> None:
    [warning] = cautions(Wanted(Purpose.CLIENT, "root", organizations=("system:masters",)))
    assert "may do everything" in warning.message
    assert cautions(CLIENT) == []


def test_a_ca_is_kept_and_found(tmp_path: Path) -> None:
    for file in CA.files(tmp_path):
        file.path.write_bytes(file.content)
    found = Authority.load(tmp_path)
    assert found.certificate.sha256 == CA.certificate.sha256
    leaf = issue(found, CLIENT).leaf
    found.note_issued(entry_of(leaf, leaf.not_after, CA.certificate))
    found.revoke([entry_of(leaf, NOW, CA.certificate)])
    found.revoke([entry_of(leaf, NOW, CA.certificate)])
    assert [one.subject for one in found.issued()] == [leaf.subject]
    assert [one.sha256 for one in found.revoked()] == [leaf.sha256.replace(":", "")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_list_stays_with_its_owner(tmp_path: Path) -> None:
    """A gate that runs as another user goes on to read it."""
    for file in CA.files(tmp_path):
        file.path.write_bytes(file.content)
    (real := tmp_path / "of-the-gate").touch(0o640)
    os.chown(real, 1234, 2345)
    (tmp_path / "revoked").symlink_to(real)
    Authority.load(tmp_path).revoke([entry_of(issue(CA, CLIENT).leaf, NOW, CA.certificate)])
    found = real.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 2345, 0o640)
    assert found.st_size
    assert (tmp_path / "revoked").is_symlink()


def test_a_ca_that_is_none_all_problems_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        Authority.load(tmp_path)
    assert [one.code for one in caught.value.problems] == ["file.unreadable"] * 2
    issued = issue(CA, SERVER)
    other = Authority.create([])
    (tmp_path / "ca.crt").write_bytes(pem_chain(issued.chain))
    (tmp_path / "ca.key").write_bytes(key_pem(other.key))
    with pytest.raises(InvalidInput) as caught:
        Authority.load(tmp_path)
    assert len(caught.value.problems) == 2


def test_names_for_which_no_local_ca_should_vouch() -> None:
    with pytest.raises(InvalidInput) as caught:
        Authority.create(["com", "0.0.0.0/0", "a b", "example.test"], common_name="")
    assert len(caught.value.problems) == 4
    assert all(one.hint for one in caught.value.problems)
