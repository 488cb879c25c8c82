"""Certificate signing requests (PKCS #10, RFC 2986): made, and read as what somebody wants, which is not yet what he gets."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from kubegate.model.address import is_address
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import UNPARSABLE
from kubegate.pki.key import FrontKey, suitable_public
from kubegate.pki.pem import blocks

_LABELS = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for: subject and names, escaped, and the key whose owner signed it."""

    common_name: str
    organizations: tuple[str, ...]
    names: tuple[str, ...]
    key: PublicKey = field(repr=False)


def subject(common_name: str, organizations: Sequence[str] = ()) -> x509.Name:
    """A subject as Kubernetes reads it: groups are organizations, the user is the common name. Raises ValueError if too long."""
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    return x509.Name([*parts, *([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])])


def alternatives(names: Sequence[str]) -> x509.SubjectAlternativeName:
    """Names and addresses as clients look for them."""
    return x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name) for name in names]
    )


def make_request(common_name: str, organizations: Sequence[str], names: Sequence[str], key: FrontKey) -> bytes:
    """A request in PEM, signed by the key that the certificate is to be for."""
    builder = x509.CertificateSigningRequestBuilder(subject(common_name, organizations))
    if names:
        builder = builder.add_extension(alternatives(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def read_request(pem: bytes, where: str) -> Asked:
    """What a PEM file asks for. Raises InvalidInput if it is not one sound request, signed by its own key."""
    found = list(blocks(pem))
    # Of two blocks one program reads the first and another one the second.
    if len(found) != 1 or pem.count(b"-----BEGIN ") != 1 or found[0].label not in _LABELS:
        raise InvalidInput([_problem(where, "is not one certificate request in PEM form", "make one: kubegate certs csr")])
    try:
        request = x509.load_pem_x509_csr(found[0].text)
        sound = request.is_signature_valid
        names = _names(request)
        public = request.public_key()
        parts = {oid: _texts(request.subject, oid) for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)}
    except (*UNPARSABLE, InvalidSignature, UnsupportedAlgorithm):
        message = "the certificate request cannot be read: it is damaged or of an unknown form"
        raise InvalidInput([_problem(where, message, "make a new one: kubegate certs csr")]) from None
    if not sound:
        message = "the certificate request is not signed by its own key, so whoever sent it may not have that key"
        raise InvalidInput([_problem(where, message, "ask its owner for a new one")])
    if not isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) or (why := suitable_public(public)):
        what = why if isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) else "the key is neither RSA nor ECDSA"
        raise InvalidInput([_problem(where, what, "use an ECDSA key on P-256, or RSA of 2048 bits or more")])
    common, organizations = parts[NameOID.COMMON_NAME], parts[NameOID.ORGANIZATION_NAME]
    return Asked(common[-1] if common else "", organizations, names, public)


def _texts(name: x509.Name, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(printable(str(one.value)) for one in name.get_attributes_for_oid(oid))


def _names(request: x509.CertificateSigningRequest) -> tuple[str, ...]:
    try:
        found = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    dns = (printable(name) for name in found.get_values_for_type(x509.DNSName))
    return (*dns, *(str(one) for one in found.get_values_for_type(x509.IPAddress)))


def _problem(where: str, message: str, hint: str) -> Problem:
    return Problem(where, "certs.request", message, hint)
