"""The certificate that a signer makes of an approved request: the same as kube-controller-manager's, field by field."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from kubegate.bootstrap.signing_request import SigningRequest
from kubegate.errors import KubegateError

BACKDATE = timedelta(minutes=5)
"""How long before now a certificate is valid, for clocks that are slow."""
SHORT = timedelta(hours=8)
"""A lifetime below this is counted from now and not from the beginning of validity."""
LEAST = timedelta(minutes=10)
"""The shortest lifetime that is issued, whatever is asked for."""

# Names of `spec.usages` (certificates.k8s.io/v1, KeyUsage) and what they are in a certificate (RFC 5280, section 4.2.1).
_KEY_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "data encipherment": "data_encipherment",
    "key agreement": "key_agreement",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
_EXTENDED = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
}


_SUBJECT = (
    NameOID.COUNTRY_NAME,
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.LOCALITY_NAME,
    NameOID.STATE_OR_PROVINCE_NAME,
    NameOID.STREET_ADDRESS,
    NameOID.POSTAL_CODE,
    NameOID.COMMON_NAME,
    NameOID.SERIAL_NUMBER,
)
_SINGLE = (NameOID.COMMON_NAME, NameOID.SERIAL_NUMBER)


class CannotSign(KubegateError):
    """The request asks for what this signer cannot give, or its CA is not valid any more."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA and how long its certificates are valid at most."""

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes = field(repr=False)
    longest: timedelta = timedelta(hours=8760)


def sign(request: SigningRequest, usages: frozenset[str], seconds: int | None, issuer: Issuer, now: datetime) -> x509.Certificate:
    """A certificate for the request; `seconds` is the lifetime that was asked for. Raises CannotSign."""
    begin, end = validity(seconds, issuer, now)
    unknown = sorted(usages - _KEY_USAGES.keys() - _EXTENDED.keys())
    if unknown:
        raise CannotSign(f"usages that are not known: {', '.join(unknown)}")
    parsed = request.parsed
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(parsed.subject))
        .issuer_name(issuer.certificate.subject)
        .public_key(parsed.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(_key_usage(usages), critical=True)
    )
    if extended := list(dict.fromkeys(_EXTENDED[one] for one in sorted(usages & _EXTENDED.keys()))):
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_authority(issuer.certificate), critical=False)
    if names := _alternative_names(parsed):
        # RFC 5280, section 4.2.1.6: with an empty subject the names are all there is.
        builder = builder.add_extension(names, critical=not list(_subject(parsed.subject)))
    return builder.sign(issuer.key, None if isinstance(issuer.key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def validity(seconds: int | None, issuer: Issuer, now: datetime) -> tuple[datetime, datetime]:
    """From when to when a certificate is valid that is made now. Raises CannotSign."""
    last = issuer.certificate.not_valid_after_utc
    if now >= last:
        raise CannotSign("the certificate of the CA has expired", "give the signer a new CA")
    asked = issuer.longest if seconds is None else min(timedelta(seconds=seconds), issuer.longest)
    lifetime = max(asked, LEAST)
    end = now + lifetime if lifetime < SHORT else now + lifetime - BACKDATE
    return now - BACKDATE, min(end, last)


def _subject(asked: x509.Name) -> x509.Name:
    """What Go's crypto/x509/pkix keeps of a subject, in its order: values of one kind in one set, and the last single one."""
    found = []
    for kind in _SUBJECT:
        values = list(dict.fromkeys(asked.get_attributes_for_oid(kind)))
        if values:
            found.append(x509.RelativeDistinguishedName(values[-1:] if kind in _SINGLE else values))
    return x509.Name(found)


def _key_usage(usages: frozenset[str]) -> x509.KeyUsage:
    wanted = {_KEY_USAGES[one] for one in usages if one in _KEY_USAGES}
    has: Callable[[str], bool] = wanted.__contains__
    agrees = has("key_agreement")
    return x509.KeyUsage(
        digital_signature=has("digital_signature"),
        content_commitment=has("content_commitment"),
        key_encipherment=has("key_encipherment"),
        data_encipherment=has("data_encipherment"),
        key_agreement=agrees,
        key_cert_sign=has("key_cert_sign"),
        crl_sign=has("crl_sign"),
        encipher_only=agrees and has("encipher_only"),
        decipher_only=agrees and has("decipher_only"),
    )


def _authority(ca: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = ca.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_KEY_IDENTIFIER).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key())  # type: ignore[arg-type]
    assert isinstance(own, x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _alternative_names(parsed: x509.CertificateSigningRequest) -> x509.SubjectAlternativeName | None:
    """Those of the kinds that kube-controller-manager copies; others it drops."""
    try:
        asked = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    kinds = (x509.DNSName, x509.RFC822Name, x509.IPAddress, x509.UniformResourceIdentifier)
    names = [name for kind in kinds for name in asked if type(name) is kind]
    return x509.SubjectAlternativeName(names) if names else None
