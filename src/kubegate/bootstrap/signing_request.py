"""A certificate signing request, read in one way only: what is read here is what any signer signs, or it is refused.

Two readers of the same bytes may see two requests: of two PEM blocks `cryptography` takes the first and kube-controller-manager
the last; of two attributes with extensions one takes the first and Go takes both. So only one form of each is accepted.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from kubegate.errors import KubegateError

# RFC 2985, section 5.4.2.
_EXTENSION_REQUEST = x509.ObjectIdentifier("1.2.840.113549.1.9.14")
# Microsoft's attribute with extensions, which `cryptography` reads and Go does not.
_MICROSOFT_EXTENSIONS = x509.ObjectIdentifier("1.3.6.1.4.1.311.2.1.14")
_MOST_BYTES = 1 << 16
_UNREADABLE = (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


class NotOneRequest(KubegateError):
    """The bytes are not exactly one request in the one form that all readers read alike."""


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """What a request asks for. Nothing in it is escaped.

    `common_names` and `organizations` stand in their order; `other_attributes` are the dotted OIDs of what else the subject
    has. `other_names` counts the alternative names that are neither DNS names, addresses, e-mail addresses nor URIs.
    `extensions` are the dotted OIDs of all that is asked for beside alternative names. `key_sha256` is the SHA-256 of the
    public key (SubjectPublicKeyInfo) in hex.
    """

    common_names: tuple[str, ...]
    organizations: tuple[str, ...]
    other_attributes: tuple[str, ...]
    dns_names: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    emails: tuple[str, ...]
    uris: tuple[str, ...]
    other_names: int
    extensions: tuple[str, ...]
    key: str
    key_sha256: str
    parsed: x509.CertificateSigningRequest = field(repr=False, compare=False)

    @property
    def common_name(self) -> str:
        """The last one, which is the one that Go takes; empty if there is none."""
        return self.common_names[-1] if self.common_names else ""

    @property
    def names(self) -> tuple[str, ...]:
        """The DNS names and addresses."""
        return self.dns_names + self.ip_addresses


def read_request(pem: bytes) -> SigningRequest:
    """Read the `spec.request` of a CertificateSigningRequest. Raises NotOneRequest with a sentence that says why not."""
    parsed = _parsed(pem)
    if extra := _second_extensions(parsed):
        raise NotOneRequest(extra)
    try:
        return _facts(parsed)
    except _UNREADABLE:
        raise NotOneRequest("a name or extension in it cannot be read") from None
    except UnsupportedAlgorithm:
        raise NotOneRequest("its key is of a kind that is not known") from None


def _parsed(pem: bytes) -> x509.CertificateSigningRequest:
    if len(pem) > _MOST_BYTES:
        raise NotOneRequest(f"it is larger than {_MOST_BYTES >> 10} KiB, which no request is")
    try:
        parsed = x509.load_pem_x509_csr(pem)
        alike = parsed.public_bytes(serialization.Encoding.PEM) == pem
    except _UNREADABLE:
        raise NotOneRequest("it is no PEM block with a certificate signing request (PKCS #10)") from None
    if not alike:
        message = "it is not one plain PEM block: there is text, a header or another block beside it, or its form is unusual"
        raise NotOneRequest(message, "send what `openssl req` or Go's encoding/pem writes, and nothing else")
    try:
        signed = parsed.is_signature_valid
    except (*_UNREADABLE, UnsupportedAlgorithm):
        signed = False
    if not signed:
        raise NotOneRequest("its signature is not that of its own key")
    return parsed


def _second_extensions(parsed: x509.CertificateSigningRequest) -> str:
    try:
        kinds = [attribute.oid for attribute in parsed.attributes]
    except _UNREADABLE:
        return "an attribute of it cannot be read"
    if kinds.count(_EXTENSION_REQUEST) > 1:
        return "it asks for extensions in two places, which readers read differently"
    if _MICROSOFT_EXTENSIONS in kinds:
        return "it asks for extensions in an attribute that the API server does not read"
    return ""


def _facts(parsed: x509.CertificateSigningRequest) -> SigningRequest:
    subject = [(attribute.oid, _text(attribute.value)) for attribute in parsed.subject]
    kinds: dict[type, list[str]] = {x509.DNSName: [], x509.IPAddress: [], x509.RFC822Name: [], x509.UniformResourceIdentifier: []}
    others = 0
    extensions = list(parsed.extensions)
    for name in _alternative_names(extensions):
        if type(name) in kinds:
            kinds[type(name)].append(_name(name.value))
        else:
            others += 1
    return SigningRequest(
        common_names=tuple(value for oid, value in subject if oid == NameOID.COMMON_NAME),
        organizations=tuple(value for oid, value in subject if oid == NameOID.ORGANIZATION_NAME),
        other_attributes=tuple(
            oid.dotted_string for oid, _ in subject if oid not in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
        ),
        dns_names=tuple(kinds[x509.DNSName]),
        ip_addresses=tuple(kinds[x509.IPAddress]),
        emails=tuple(kinds[x509.RFC822Name]),
        uris=tuple(kinds[x509.UniformResourceIdentifier]),
        other_names=others,
        extensions=tuple(one.oid.dotted_string for one in extensions if not isinstance(one.value, x509.SubjectAlternativeName)),
        key=_key_kind(parsed),
        key_sha256=_key_hash(parsed),
        parsed=parsed,
    )


def _alternative_names(extensions: list[x509.Extension[x509.ExtensionType]]) -> Iterator[x509.GeneralName]:
    for one in extensions:
        if isinstance(one.value, x509.SubjectAlternativeName):
            yield from one.value


def _text(value: str | bytes) -> str:
    if isinstance(value, bytes):
        raise TypeError("an attribute of the subject is no text")
    return value


def _name(value: object) -> str:
    """A name as text; an address with a mask (RFC 5280 has that in constraints only) cannot be read."""
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        raise TypeError("an address has a mask")
    return str(value)


def _key_kind(parsed: x509.CertificateSigningRequest) -> str:
    key = parsed.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name}"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else type(key).__name__.removesuffix("PublicKey").strip("_")


def _key_hash(parsed: x509.CertificateSigningRequest) -> str:
    der = parsed.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    return digest.finalize().hex()
