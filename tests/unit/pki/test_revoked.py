"""Lists of certificates: what is written is read again, what cannot be read is told line by line."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kubegate.model.problem import InvalidInput
from kubegate.pki.certificate import read_certificate
from kubegate.pki.revoked import _twin_der, append, entry_of, normal_fingerprint, read_revoked
from tests.support.forge import forge

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LEAF = forge("al\u202eice\nof", organizations=["a b"])
OWN = read_certificate(LEAF.certificate)
ENTRY = entry_of(OWN, WHEN, OWN)


def test_a_line() -> None:
    digest = LEAF.certificate.fingerprint(hashes.SHA256()).hex().upper()
    assert ENTRY.line == f"{digest}+{ENTRY.twin} {int(WHEN.timestamp())} {ENTRY.subject}\n".encode()
    assert ENTRY.line.count(b"\n") == 1
    assert ENTRY.line.isascii()
    assert read_revoked(ENTRY.line, "x") == (ENTRY,)


def test_comments_copies_and_other_spellings() -> None:
    colons = ":".join(ENTRY.sha256[i : i + 2] for i in range(0, 64, 2)).lower()
    text = f"# a list\n\n{colons} 5 CN=first\n{ENTRY.sha256} 6 CN=again\r\n{'0' * 64} 7".encode()
    assert [(one.sha256, int(one.time.timestamp()), one.subject) for one in read_revoked(text, "x")] == [
        (ENTRY.sha256, 5, "CN=first"),
        ("0" * 64, 7, ""),
    ]
    assert read_revoked(b"", "x") == ()


def test_every_line_that_is_none() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_revoked(b"garbage\n" + ENTRY.line + b"ABC 5 x\n" + b"0" * 64 + b" never x\n\xff\xfe\n", "list")
    assert [one.where for one in caught.value.problems] == ["list:1", "list:3", "list:4", "list:5"]


def test_append_keeps_what_is_there() -> None:
    before = b"# mine\n" + b"0" * 64 + b" 5 CN=old"
    after = append(before, [ENTRY, ENTRY])
    assert after.startswith(before + b"\n")
    assert [one.sha256 for one in read_revoked(after, "x")] == ["0" * 64, ENTRY.sha256]
    assert append(after, [ENTRY]) == after


@pytest.mark.parametrize("text", ["AB", "", "x" * 64, "0" * 63, "0" * 65])
def test_no_fingerprint(text: str) -> None:
    assert normal_fingerprint(text) is None


def test_a_subject_is_read_again() -> None:
    plain = read_certificate(forge("alice, the first", organizations=["a+b"]).certificate)
    name = x509.Name.from_rfc4514_string(entry_of(plain, WHEN, plain).subject)
    assert name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value == "alice, the first"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_the_twin_is_the_same_certificate_and_valid(curve: ec.EllipticCurve) -> None:
    issuer = forge("ca", ca=True, usages=None, key=ec.generate_private_key(curve))
    plain = read_certificate(forge("alice", issuer).certificate)
    ca = read_certificate(issuer.certificate)
    entry = entry_of(plain, WHEN, ca)
    other = read_certificate(x509.load_der_x509_certificate(_twin_der(plain, ca)))
    assert other.is_issued_by(ca)
    assert other.parsed.tbs_certificate_bytes == plain.parsed.tbs_certificate_bytes
    assert entry_of(other, WHEN, ca).forms == f"{entry.twin}+{entry.sha256}" != entry.forms


def test_rsa_has_no_twin() -> None:
    issuer = forge("ca", ca=True, usages=None, key=rsa.generate_private_key(65537, 2048))
    plain = read_certificate(forge("alice", issuer).certificate)
    assert entry_of(plain, WHEN, read_certificate(issuer.certificate)).twin == ""


def test_the_twin_is_added_to_a_line_that_lacks_it() -> None:
    plain = f"{ENTRY.sha256} 5 CN=by hand\n".encode()
    after = append(plain, [ENTRY])
    assert [one.forms for one in read_revoked(after, "x")] == [ENTRY.forms]
    assert append(after, [ENTRY]) == after
    with pytest.raises(InvalidInput):
        read_revoked(f"{ENTRY.sha256}+ 5 x\n".encode(), "x")
