"""Certificates for tests: an authority, what it issues, and the contexts that use them. Elliptic keys, for they are made at once."""

import datetime
import functools
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

API_NAME = "kubernetes.default.svc"
GATE_NAME = "gate.test"


@dataclass(frozen=True)
class Leaf:
    """A certificate and its key as PEM."""

    certificate: bytes
    key: bytes

    @property
    def pem(self) -> bytes:
        """Key and certificate in one, as HAProxy reads them."""
        return self.key + self.certificate


class Authority:
    """A certificate authority that signs whatever a test needs."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self._name, self._key.public_key(), days=30)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        common_name: str,
        *,
        organizations: Sequence[str] = (),
        names: Sequence[str] = (),
        addresses: Sequence[str] = (),
        client: bool = False,
        days: int = 30,
    ) -> Leaf:
        """A leaf for a server, or for a client; negative `days` give one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = self._builder(subject, key.public_key(), days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return Leaf(
            builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )  # fmt: skip

    def _builder(self, subject: x509.Name, public: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=60))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def server_context(leaf: Leaf, client_ca: Authority | None = None) -> ssl.SSLContext:
    """For a server that shows `leaf`, and asks for a client certificate if `client_ca` is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, leaf)
    if client_ca:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=client_ca.pem.decode())
    return context


def client_context(authority: Authority, leaf: Leaf | None = None) -> ssl.SSLContext:
    """For a client that trusts `authority`, and shows `leaf` if it is given."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if leaf:
        _load(context, leaf)
    return context


def _load(context: ssl.SSLContext, leaf: Leaf) -> None:
    # The module ssl reads keys from files only.
    descriptor, name = tempfile.mkstemp()
    try:
        os.write(descriptor, leaf.pem)
        context.load_cert_chain(name)
    finally:
        os.close(descriptor)
        Path(name).unlink()


@functools.cache
def cluster_authority() -> Authority:
    """The CA of the API servers of tests."""
    return Authority("cluster test CA")


@functools.cache
def front_authority() -> Authority:
    """The CA of the gate's own certificate in tests."""
    return Authority("gate test CA")


@functools.cache
def api_leaf() -> Leaf:
    """The certificate of an honest API server."""
    return cluster_authority().issue("kube-apiserver", names=[API_NAME, "kubernetes"], addresses=["127.0.0.1"])


@functools.cache
def gate_leaf() -> Leaf:
    """The certificate that a gate shows in tests."""
    return front_authority().issue("gate", names=[GATE_NAME], addresses=["127.0.0.1", "::1"])
