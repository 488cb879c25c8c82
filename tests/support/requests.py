"""Certificate signing requests as honest nodes and forgers make them."""

import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
NODES = "system:nodes"
_EXTENSION_REQUEST = bytes.fromhex("2a864886f70d01090e")


def key() -> ec.EllipticCurvePrivateKey:
    """What the kubelet makes."""
    return ec.generate_private_key(ec.SECP256R1())


def names(*given: str) -> list[x509.GeneralName]:
    """Addresses and DNS names as alternative names."""
    found: list[x509.GeneralName] = []
    for one in given:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(one)))
        except ValueError:
            found.append(x509.DNSName(one))
    return found


def subject(common_name: str, *organizations: str) -> x509.Name:
    """As the kubelet orders it."""
    organisation = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    return x509.Name([*organisation, *([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])])


def request(
    node: str = "worker-1",
    claimed: Sequence[x509.GeneralName] = (),
    *,
    of: x509.Name | None = None,
    by: Key | None = None,
    more: Sequence[x509.ExtensionType] = (),
) -> bytes:
    """A request in PEM: by default that of a node of this name."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(of or subject(f"system:node:{node}", NODES))
    if claimed:
        builder = builder.add_extension(x509.SubjectAlternativeName(claimed), critical=False)
    for one in more:
        builder = builder.add_extension(one, critical=False)
    return builder.sign(by or key(), hashes.SHA256()).public_bytes(Encoding.PEM)


def with_extensions_twice(common_name: str, innocent: str, evil: str) -> bytes:
    """A request with two attributes that ask for alternative names, in DER that no library writes (RFC 2986)."""
    signer = ed25519.Ed25519PrivateKey.generate()
    public = signer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    attributes = b"".join(_extension_request(x509.SubjectAlternativeName([x509.DNSName(one)])) for one in (innocent, evil))
    info = _der(0x30, b"\x02\x01\x00", subject(common_name, NODES).public_bytes(), public, _der(0xA0, attributes))
    algorithm = _der(0x30, _der(0x06, bytes.fromhex("2b6570")))
    der = _der(0x30, info, algorithm, _der(0x03, b"\x00", signer.sign(info)))
    return x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)


def _extension_request(names: x509.SubjectAlternativeName) -> bytes:
    extension = _der(0x30, _der(0x06, bytes.fromhex("551d11")), _der(0x04, names.public_bytes()))
    return _der(0x30, _der(0x06, _EXTENSION_REQUEST), _der(0x31, _der(0x30, extension)))


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag]) + (bytes([size]) if size < 0x80 else bytes([0x80 | len(octets)]) + octets) + content
