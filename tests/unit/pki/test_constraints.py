"""Which names a CA may vouch for; each name inside has a neighbour outside."""

import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from kubegate.pki.ca import Authority
from kubegate.pki.constraints import constraints, impersonates, parse_permitted, permitted, too_broad
from tests.support.forge import Forged, forge

CA = Authority.create(["example.test", "10.1.0.0/16", "2001:db8::/32", "192.0.2.7"])
INSIDE = ["example.test", "a.b.example.test", "*.example.test", "localhost", "127.0.0.1", "127.9.9.9", "::1", "10.1.2.3"]
INSIDE += ["192.0.2.7", "2001:db8::9"]
OUTSIDE = ["example.com", "notexample.test", "test", "example.test.evil.org", "10.2.0.1", "8.8.8.8", "192.0.2.8", "::2", "*.com"]


@pytest.mark.parametrize("name", INSIDE)
def test_inside(name: str) -> None:
    found = permitted(CA.certificate.parsed)
    assert found is not None
    assert found.critical
    assert found.allows(name)


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside(name: str) -> None:
    found = permitted(CA.certificate.parsed)
    assert found is not None
    assert not found.allows(name)


@pytest.mark.parametrize(
    ("text", "normal"),
    [("Example.Test.", "example.test"), ("10.0.0.0/8", "10.0.0.0/8"), ("10.0.0.1", "10.0.0.1/32"), ("[::1]", "::1/128")],
)
def test_names_are_read(text: str, normal: str) -> None:
    assert parse_permitted(text) == normal


@pytest.mark.parametrize("text", ["*.example.test", "10.0.0.1/8", "https://x", "a b", "", "10.0.0.0/99"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_permitted(text)


@pytest.mark.parametrize("name", ["com", "org", "", "0.0.0.0/0", "::/0", "8.0.0.0/7", "2000::/3"])
def test_too_broad(name: str) -> None:
    assert len(too_broad([name])) == 1


def test_not_too_broad() -> None:
    assert too_broad(["localhost", "internal", "example.com", "10.0.0.0/8", "2001:db8::/32", "127.0.0.0/8"]) == []


def made(extension: x509.NameConstraints | None, *, critical: bool = True) -> x509.Certificate:
    """A CA certificate with these constraints."""
    base: Forged = forge("CA", ca=True)
    builder = (
        x509.CertificateBuilder(base.certificate.subject, base.certificate.subject, base.key.public_key())
        .serial_number(1)
        .not_valid_before(base.certificate.not_valid_before_utc)
        .not_valid_after(base.certificate.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    if extension is not None:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(base.key, hashes.SHA256())


DNS, IP = x509.DNSName("example.test"), x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))


def test_a_bound_ca_impersonates_nobody() -> None:
    assert impersonates(CA.certificate.parsed) == []
    assert impersonates(made(constraints(["example.test"]))) == []


@pytest.mark.parametrize(
    ("extension", "critical", "words"),
    [
        (None, True, "no name constraints"),
        (x509.NameConstraints([DNS, IP], None), False, "not critical"),
        (x509.NameConstraints([IP], None), True, "do not restrict DNS names"),
        (x509.NameConstraints([DNS], None), True, "do not restrict addresses"),
        (x509.NameConstraints(None, [DNS, IP]), True, "do not restrict DNS names"),
        (x509.NameConstraints([x509.DNSName("com"), IP], None), True, "top-level domain"),
        (x509.NameConstraints([x509.DNSName(""), IP], None), True, "top-level domain"),
        (x509.NameConstraints([DNS, x509.IPAddress(ipaddress.ip_network("0.0.0.0/0"))], None), True, "one network"),
    ],
)
def test_others_could(extension: x509.NameConstraints | None, critical: bool, words: str) -> None:
    assert words in " ".join(impersonates(made(extension, critical=critical)))
