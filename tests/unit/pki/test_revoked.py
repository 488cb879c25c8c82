"""Lists of certificates: what is written is read again, what cannot be read is told line by line."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from kubegate.model.problem import InvalidInput
from kubegate.pki.certificate import read_certificate
from kubegate.pki.revoked import append, entry_of, normal_fingerprint, read_revoked
from tests.support.forge import forge

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LEAF = forge("al\u202eice\nof", organizations=["a b"])
ENTRY = entry_of(read_certificate(LEAF.certificate), WHEN)


def test_a_line() -> None:
    digest = LEAF.certificate.fingerprint(hashes.SHA256()).hex().upper()
    assert ENTRY.line == f"{digest} {int(WHEN.timestamp())} {ENTRY.subject}\n".encode()
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
    name = x509.Name.from_rfc4514_string(entry_of(plain, WHEN).subject)
    assert name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value == "alice, the first"
