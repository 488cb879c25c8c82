from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from kubegate.model.problem import InvalidInput
from kubegate.pki.certificate import check_ca, load_bundle
from tests.support.forge import CLIENT, forge

NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)
ROOT = forge("root", ca=True, now=NOW)
LEAF = forge("server", ROOT, names=["api.test", "10.0.0.1", "*.api.test", "::1"], organizations=["a, b"], now=NOW)


def broken(pem: bytes) -> bytes:
    lines = pem.splitlines()
    return b"\n".join([lines[0], lines[1], b"AAAA" + lines[2][4:], *lines[3:-2], lines[-1]]) + b"\n"


def codes(pem: bytes) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        load_bundle(pem, "ca.crt")
    assert {problem.where for problem in caught.value.problems} == {"ca.crt"}
    return [problem.code for problem in caught.value.problems]


def test_facts() -> None:
    leaf, root = load_bundle(LEAF.pem + ROOT.pem, "x")
    assert leaf.dns_names == ("api.test", "*.api.test")
    assert leaf.ip_addresses == ("10.0.0.1", "::1")
    assert leaf.subject == "CN=server,O=a\\, b"
    assert leaf.issuer == root.subject == "CN=root"
    assert (leaf.not_before, leaf.not_after) == (NOW - timedelta(days=1), NOW + timedelta(days=30))
    assert len(leaf.sha256) == 95
    assert leaf.sha256[2] == ":"
    assert (leaf.is_ca, leaf.self_signed, leaf.may_serve) == (False, False, True)
    assert (root.is_ca, root.self_signed) == (True, True)
    assert leaf.is_issued_by(root)
    assert not root.is_issued_by(leaf)


def test_a_client_certificate_may_not_serve() -> None:
    assert not load_bundle(forge("c", usages=[CLIENT]).pem, "x")[0].may_serve
    assert load_bundle(forge("c", usages=None).pem, "x")[0].may_serve


def test_same_name_with_another_key_is_not_the_issuer() -> None:
    other = forge("root", ca=True)
    leaf, stranger = load_bundle(LEAF.pem + other.pem, "x")
    assert not leaf.is_issued_by(stranger)


def test_text_for_terminals_is_escaped() -> None:
    found = load_bundle(forge("a\x1b[2J\u202e").pem, "x")[0]
    assert found.subject == "CN=a\\x1b[2J\\u202e"


def test_text_and_keys_between_certificates_are_left_out() -> None:
    text = b"# a comment\r\n" + LEAF.key_pem + b"subject=server\n" + LEAF.pem.replace(b"\n", b"\r\n") + b"\n\n" + ROOT.pem
    assert [one.subject for one in load_bundle(text, "x")] == ["CN=server,O=a\\, b", "CN=root"]


@pytest.mark.parametrize(
    ("pem", "expected"),
    [
        (b"", ["certificate.empty"]),
        (b" \n\n", ["certificate.empty"]),
        (b"hello", ["certificate.format"]),
        (LEAF.key_pem, ["certificate.key"]),
        (b"-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n", ["certificate.other"]),
        (LEAF.pem[:-20], ["certificate.cut"]),
        (ROOT.pem + LEAF.pem[: len(LEAF.pem) // 2], ["certificate.cut"]),
        (ROOT.pem + broken(LEAF.pem) + ROOT.pem, ["certificate.damaged"]),
        (broken(LEAF.pem) * 2, ["certificate.damaged"] * 2),
        (b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", ["certificate.damaged"]),
    ],
)
def test_what_is_wrong_with_a_bundle(pem: bytes, expected: list[str]) -> None:
    assert codes(pem) == expected


def test_der_is_told_how_to_be_converted() -> None:
    with pytest.raises(InvalidInput) as caught:
        load_bundle(LEAF.certificate.public_bytes(Encoding.DER), "x")
    assert "openssl x509 -inform DER" in caught.value.problems[0].hint


def test_ca_bundles() -> None:
    old = forge("old", ca=True, until=timedelta(days=-1), since=timedelta(days=9), now=NOW)
    early = forge("early", ca=True, since=timedelta(days=-1), now=NOW)
    assert check_ca(ROOT.pem, "ca", NOW) == []
    assert check_ca(old.pem + ROOT.pem, "ca", NOW) == []
    expired, young = check_ca(old.pem, "ca", NOW), check_ca(early.pem, "ca", NOW)
    assert [problem.code for problem in expired] == ["certificate.expired"]
    assert "2030-05-31" in expired[0].message
    assert [problem.code for problem in young] == ["certificate.early"]
    assert [problem.code for problem in check_ca(b"", "ca", NOW)] == ["certificate.empty"]


def test_without_a_time_today_counts() -> None:
    assert check_ca(forge("ca", ca=True).pem, "ca") == []
    assert check_ca(forge("ca", ca=True, until=timedelta(hours=-1)).pem, "ca") != []


def test_nothing_secret_in_repr() -> None:
    assert "BEGIN" not in repr(load_bundle(LEAF.pem, "x"))
