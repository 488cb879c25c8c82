"""A key and the request for a client certificate (PKCS #10, RFC 2986) for one user of Kubernetes, who is in no group."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kubegate.pki.key import key_pem


def client_request(user: str) -> tuple[bytes, bytes]:
    """A new ECDSA P-256 key (PEM, PKCS #8) and the request (PEM) whose common name is the user's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)])
    request = x509.CertificateSigningRequestBuilder(subject).sign(key, hashes.SHA256())
    return key_pem(key), request.public_bytes(Encoding.PEM)
