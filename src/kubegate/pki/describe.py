"""What a certificate is, in words: its key, and what it may be used for."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from kubegate.pki.certificate import Certificate
from kubegate.pki.constraints import permitted
from kubegate.pki.key import kind_of

_USAGES = {
    ExtendedKeyUsageOID.SERVER_AUTH.dotted_string: "TLS server",
    ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string: "TLS client",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string: "anything",
    ExtendedKeyUsageOID.CODE_SIGNING.dotted_string: "code signing",
    ExtendedKeyUsageOID.EMAIL_PROTECTION.dotted_string: "e-mail",
    ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string: "OCSP",
    ExtendedKeyUsageOID.TIME_STAMPING.dotted_string: "time stamps",
}


def key_of(one: Certificate) -> str:
    """The key of a certificate, as `ECDSA secp256r1` or `RSA 2048`."""
    try:
        public = one.parsed.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "of an unknown kind"
    if isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return kind_of(public)
    return type(public).__name__.removesuffix("PublicKey").lstrip("_")


def usages_of(one: Certificate) -> list[str]:
    """What a certificate may be used for: its extended key usages in words, or what it is where it restricts none."""
    if one.is_ca:
        return ["issuing certificates", *_extended(one)]
    return _extended(one) or ["not restricted"]


def constrained_to(one: Certificate) -> str:
    """The names for which a CA may vouch, empty if it is not restricted."""
    found = permitted(one.parsed)
    return found.shown if found is not None else ""


def is_version_3(one: Certificate) -> bool:
    """Whether it has extensions at all: clients read names nowhere else."""
    return one.parsed.version is x509.Version.v3


def _extended(one: Certificate) -> list[str]:
    return [_USAGES.get(oid, oid) for oid in sorted(one.usages or ())]
