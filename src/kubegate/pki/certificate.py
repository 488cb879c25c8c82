"""Certificates as people and the gate need them: names, validity, issuer, fingerprint. No chain building, no trust."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.pem import blocks, is_cut_off

UNPARSABLE = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)
"""What the `cryptography` library raises, now or later, about a certificate that it cannot understand."""

_E = TypeVar("_E", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate. All text is escaped for terminals, times are aware (UTC).

    `sha256` is the fingerprint of the DER form as `AA:BB:...`. `usages` are the extended key usages as dotted OIDs,
    None where the certificate does not restrict them.
    """

    parsed: x509.Certificate = field(repr=False)
    dns_names: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    sha256: str
    is_ca: bool
    usages: frozenset[str] | None

    @property
    def subject(self) -> str:
        """The subject as RFC 4514 writes it."""
        return printable(self.parsed.subject.rfc4514_string())

    @property
    def issuer(self) -> str:
        """The issuer, as the subject."""
        return printable(self.parsed.issuer.rfc4514_string())

    @property
    def self_signed(self) -> bool:
        """Whether its own key signed it, which is calculated each time."""
        return _signed(self.parsed, self.parsed)

    @property
    def names(self) -> tuple[str, ...]:
        """The DNS names, then the addresses, that clients may verify."""
        return self.dns_names + self.ip_addresses

    @property
    def pem(self) -> bytes:
        """The certificate alone as one PEM block."""
        return self.parsed.public_bytes(serialization.Encoding.PEM)

    @property
    def may_serve(self) -> bool:
        """Whether its extended key usages allow a TLS server (RFC 5280, section 4.2.1.12)."""
        return self.usages is None or ExtendedKeyUsageOID.SERVER_AUTH.dotted_string in self.usages

    def is_valid_at(self, now: datetime) -> bool:
        """Whether `now` lies within its validity, both ends included."""
        return self.not_before <= now <= self.not_after

    def is_issued_by(self, issuer: "Certificate") -> bool:
        """Whether `issuer`'s name and key signed this certificate. Says nothing about CA flags or validity."""
        return _signed(self.parsed, issuer.parsed)


def read_certificate(parsed: x509.Certificate) -> Certificate:
    """The facts of a parsed certificate. Raises one of UNPARSABLE if an extension cannot be understood."""
    # Names that cannot be understood are found here; whether they are text is asked only where they are shown.
    _ = parsed.subject, parsed.issuer
    constraints = _extension(parsed, x509.BasicConstraints)
    usage = _extension(parsed, x509.ExtendedKeyUsage)
    names = _extension(parsed, x509.SubjectAlternativeName)
    return Certificate(
        parsed=parsed,
        dns_names=tuple(printable(name) for name in names.get_values_for_type(x509.DNSName)) if names else (),
        ip_addresses=tuple(str(ip) for ip in names.get_values_for_type(x509.IPAddress)) if names else (),
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        sha256=parsed.fingerprint(hashes.SHA256()).hex(":").upper(),
        is_ca=bool(constraints and constraints.ca),
        usages=frozenset(oid.dotted_string for oid in usage) if usage else None,
    )


def load_bundle(pem: bytes, where: str) -> list[Certificate]:
    """Every certificate of a PEM bundle in its order; text and keys between them are left out.

    Raises InvalidInput, with one problem for each block that cannot be read, if the bundle is not sound as a whole.
    """
    if is_cut_off(pem):
        raise InvalidInput([_problem(where, "cut", "a PEM block begins but does not end: the file was cut off")])
    found = [block.text for block in blocks(pem) if block.label == "CERTIFICATE"]
    if not found:
        raise InvalidInput([_nothing_found(pem, where)])
    certificates: list[Certificate] = []
    problems: list[Problem] = []
    for number, text in enumerate(found, 1):
        try:
            certificates.append(read_certificate(x509.load_pem_x509_certificate(text)))
        except UNPARSABLE:
            what = f"certificate {number} of {len(found)} cannot be read: it is damaged or of an unknown form"
            problems.append(_problem(where, "damaged", what))
    if problems:
        raise InvalidInput(problems)
    return certificates


def check_ca(pem: bytes, where: str, now: datetime | None = None) -> list[Problem]:
    """What is wrong with a bundle of CA certificates: not readable, or not one of them valid at `now` (None: today).

    An expired certificate beside a valid one is a rotation that is not finished, and fine.
    """
    now = now or datetime.now(UTC)
    try:
        bundle = load_bundle(pem, where)
    except InvalidInput as error:
        return list(error.problems)
    if any(one.is_valid_at(now) for one in bundle):
        return []
    newest = max(bundle, key=lambda one: one.not_after)
    if newest.not_after < now:
        message = f"the CA certificate ({newest.subject}) expired on {newest.not_after:%Y-%m-%d}"
        return [_problem(where, "expired", message, "fetch the cluster's current CA certificate")]
    message = f"the CA certificate ({newest.subject}) is not valid before {newest.not_before:%Y-%m-%d %H:%M} UTC"
    return [_problem(where, "early", message, "check the clock of this machine")]


def pem_chain(certificates: Sequence[Certificate]) -> bytes:
    """The certificates in their order as one PEM text, nothing else in it."""
    return b"".join(one.pem for one in certificates)


def _extension(parsed: x509.Certificate, kind: type[_E]) -> _E | None:
    try:
        return parsed.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _nothing_found(pem: bytes, where: str) -> Problem:
    labels = sorted({block.label for block in blocks(pem)})
    if not pem.strip():
        return _problem(where, "empty", "is empty, a certificate was expected")
    if labels and all(block.is_key for block in blocks(pem)):
        return _problem(where, "key", "holds a private key only, a certificate was expected", "give the certificate")
    if labels:
        return _problem(where, "other", f"holds no certificate, only {printable(', '.join(labels))}")
    hint = "convert it: openssl x509 -inform DER -in FILE" if pem[:1] == b"\x30" else ""
    return _problem(where, "format", "is not PEM: no -----BEGIN CERTIFICATE----- in it", hint)


def _problem(where: str, code: str, message: str, hint: str = "") -> Problem:
    return Problem(where, f"certificate.{code}", message, hint)
