"""What a signer makes of a request."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from kubegate.bootstrap.signing import CannotSign, Issuer, sign, validity
from kubegate.bootstrap.signing_request import read_request
from tests.support.requests import NODES, key, names, request, subject

NOW = datetime.now(UTC).replace(microsecond=0)
KEY = key()
SERVER = frozenset({"digital signature", "server auth"})
HOUR = 3600


def authority(days: float = 3650) -> Issuer:
    name = subject("cluster")
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(KEY.public_key()), critical=False)
        .sign(KEY, hashes.SHA256())
    )
    return Issuer(certificate, KEY)


CA = authority()
SERVING = read_request(request("worker-1", names("worker-1", "10.0.0.1")))


def test_a_serving_certificate_is_what_was_asked_for_and_clients_trust_it() -> None:
    made = sign(SERVING, SERVER | {"key encipherment"}, 2 * HOUR, CA, NOW)
    assert made.subject == SERVING.parsed.subject
    assert made.public_key() == SERVING.parsed.public_key()
    assert (made.not_valid_before_utc, made.not_valid_after_utc) == (NOW - timedelta(minutes=5), NOW + timedelta(hours=2))
    usage = made.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.digital_signature, usage.value.key_encipherment, usage.value.key_cert_sign) == (True, True, False)
    constraints = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    extended = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.SERVER_AUTH]
    verifier = PolicyBuilder().store(Store([CA.certificate])).time(NOW).build_server_verifier(x509.DNSName("worker-1"))
    assert verifier.verify(made, [])[0] == made


def test_a_client_certificate_has_no_names() -> None:
    made = sign(read_request(request()), frozenset({"digital signature", "client auth"}), None, CA, NOW)
    assert made.subject == subject("system:node:worker-1", NODES)
    with pytest.raises(x509.ExtensionNotFound):
        made.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_other_extensions_of_a_request_are_dropped() -> None:
    asked = read_request(request(more=[x509.BasicConstraints(ca=True, path_length=None)]))
    made = sign(asked, frozenset({"client auth"}), None, CA, NOW)
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize(
    ("seconds", "issuer", "end"),
    [
        (None, CA, timedelta(hours=8760) - timedelta(minutes=5)),
        (HOUR, CA, timedelta(hours=1)),
        (8 * HOUR - 1, CA, timedelta(hours=8) - timedelta(seconds=1)),
        (8 * HOUR, CA, timedelta(hours=8) - timedelta(minutes=5)),
        (1, CA, timedelta(minutes=10)),
        (99999 * HOUR, CA, timedelta(hours=8760) - timedelta(minutes=5)),
        (None, authority(days=2), timedelta(days=2)),
    ],
)
def test_how_long_it_is_valid(seconds: int | None, issuer: Issuer, end: timedelta) -> None:
    assert validity(seconds, issuer, NOW) == (NOW - timedelta(minutes=5), NOW + end)


def test_an_expired_authority_signs_nothing() -> None:
    with pytest.raises(CannotSign, match="expired"):
        sign(SERVING, SERVER, None, authority(days=-0.5), NOW)


@pytest.mark.parametrize("usages", [frozenset({"signing", "telepathy"})])
def test_usages_that_are_not_known_are_refused(usages: frozenset[str]) -> None:
    with pytest.raises(CannotSign, match="telepathy"):
        sign(SERVING, usages, None, CA, NOW)


def test_all_usages() -> None:
    every = frozenset(
        {"key agreement", "encipher only", "data encipherment", "any", "s/mime", "email protection", "code signing"}
    )
    asked = read_request(request(of=subject("anna")))
    made = sign(asked, every, None, CA, NOW)
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_agreement, usage.encipher_only, usage.decipher_only, usage.data_encipherment) == (True, True, False, True)
    assert ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
