"""Clients with certificates, and what a gate's declaration says of them."""

import functools
import hashlib
import ssl
import tempfile
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from tests.support.expose import Home
from tests.support.forge import CLIENT, Forged, forge
from tests.support.rawh2 import Client as Client2
from tests.support.rawhttp import Client
from tests.support.run import Document, Running, client
from tests.support.tls import authority


@functools.cache
def clients_authority() -> Forged:
    """The CA of client certificates."""
    return authority("clients test CA")


def person(
    name: str, issuer: Forged | None = None, *, until: timedelta = timedelta(days=30), since: timedelta = timedelta(days=1)
) -> Forged:
    """A client certificate of somebody."""
    return forge(name, issuer or clients_authority(), usages=(CLIENT,), until=until, since=since)


def fingerprint(leaf: Forged) -> str:
    """Its SHA-256 in hexadecimal capitals."""
    return hashlib.sha256(leaf.der).hexdigest().upper()


def twin(certificate: x509.Certificate, order: int) -> x509.Certificate:
    """The same certificate with the other signature that is valid, by ECDSA on P-256 (`order` is that of the curve's group)."""
    r, s = decode_dss_signature(certificate.signature)
    der, body = certificate.public_bytes(serialization.Encoding.DER), certificate.tbs_certificate_bytes
    signature = b"\0" + encode_dss_signature(r, order - s)
    content = body + der[4 + len(body) :][: -len(certificate.signature) - 3] + bytes([3, len(signature)]) + signature
    return x509.load_der_x509_certificate(b"\x30\x82" + len(content).to_bytes(2) + content)


def holding(leaf: Forged | None, *issuers: Forged, tickets: bool = True) -> ssl.SSLContext:
    """A client of the gate that shows this certificate and its issuers, whatever CAs the gate trusts; None shows none."""
    context = client()
    if leaf is not None:
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(leaf.key_pem + leaf.pem + b"".join(one.pem for one in issuers))
            context.load_cert_chain(file.name)
    if not tickets:
        context.options |= ssl.OP_NO_TICKET
    return context


def dial(gate: Running, leaf: Forged | None, name: str = "one.test") -> Client:
    """A connection that speaks HTTP/1."""
    return Client.connect("127.0.0.1", gate.port, holding(leaf), name)


def dial2(gate: Running, leaf: Forged | None, name: str = "one.test") -> Client2:
    """A connection that speaks HTTP/2."""
    return Client2.connect("127.0.0.1", gate.port, holding(leaf), name)


def declared(place: Home, *revoked: Forged, mode: str = "required") -> Document:
    """What a listener says that asks for certificates of the tests' CA, some of which are revoked."""
    (place.path / "clients.crt").write_bytes(clients_authority().pem)
    revoke(place, *revoked)
    return {"clientCertificates": {"ca": "clients.crt", "revoked": "revoked", "mode": mode}}


def revoke(place: Home, *leaves: Forged) -> None:
    """Put the list of revoked certificates in the place of the one that was there."""
    fresh = place.path / "revoked.new"
    fresh.write_text("".join(f"{fingerprint(leaf)} 1764000000 {leaf.certificate.subject.rfc4514_string()}\n" for leaf in leaves))
    fresh.replace(place.path / "revoked")
