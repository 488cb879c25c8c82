"""The certificates of the cluster: three authorities that do not know each other, and what they issue.

An `Authority` and the `Leaf`s it issued are files of one folder, `<name>.crt` and `<name>.key`; keys are for root only.
The names are the same in every cluster, as with clusters of the same installer: only keys tell them apart.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.cluster.layout import Site

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Leaf:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path

    @classmethod
    def at(cls, stem: Path) -> Leaf:
        return cls(stem.with_name(f"{stem.name}.crt"), stem.with_name(f"{stem.name}.key"))


class Authority:
    """A certificate authority whose files are `<name>.crt` and `<name>.key` of a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._folder = folder
        self.certificate = folder / f"{name}.crt"
        self.key = folder / f"{name}.key"

    @classmethod
    def create(cls, folder: Path, name: str) -> Authority:
        authority = cls(folder, name)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"kubegate test {name}")])
        builder = _builder(subject, subject, key.public_key(), key.public_key(), days=3650)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_usage(authority=True), critical=True)
        _write(authority.certificate, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        _write_key(authority.key, key)
        return authority

    def issue(
        self,
        common_name: str,
        *,
        file: str | Path | None = None,
        organizations: Sequence[str] = (),
        names: Sequence[str] = (),
        addresses: Sequence[str] = (),
        usages: Sequence[x509.ObjectIdentifier] = (CLIENT,),
        days: int = 365,
    ) -> Leaf:
        """A certificate and its key in `<file>.crt` and `.key` of the folder; an absolute `file` leads elsewhere."""
        leaf = Leaf.at(self._folder / (file or common_name.replace(":", "-")))
        signer = serialization.load_pem_private_key(self.key.read_bytes(), None)
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )
        builder = _builder(subject, issuer.subject, key.public_key(), signer.public_key(), days=days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        _write(leaf.certificate, builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        _write_key(leaf.key, key)
        return leaf


def create(site: Site) -> None:
    """Everything that the control plane and the gate need before the first process starts."""
    site.pki.mkdir(parents=True, exist_ok=True)
    cluster, front_proxy, etcd = (Authority.create(site.pki, name) for name in ("ca", "front-proxy-ca", "etcd-ca"))
    both = (SERVER, CLIENT)
    etcd.issue("etcd", addresses=[site.control_address], usages=both)
    etcd.issue("apiserver-etcd-client")
    for index, _ in enumerate(site.every_api_address):
        cluster.issue(
            "kube-apiserver",
            file=f"apiserver-{index}",
            names=site.api_names,
            addresses=[*site.every_api_address, site.service_address, "127.0.0.1"],
            usages=(SERVER,),
        )
    cluster.issue("apiserver-kubelet-client")
    cluster.issue("control-plane", addresses=[site.control_address], usages=(SERVER,))
    cluster.issue("system:kube-controller-manager", file="controller-manager")
    cluster.issue("system:kube-scheduler", file="scheduler")
    cluster.issue("system:kube-proxy", file="kube-proxy")
    cluster.issue("admin", organizations=["system:masters"])
    front_proxy.issue("front-proxy-client")
    front_proxy.issue("kubegate", file="kubegate-front-proxy")
    # RSA, as kubeadm makes it: tokens are then signed with RS256.
    signing = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write_key(site.pki / "service-accounts.key", signing)
    public = signing.public_key()
    _write(
        site.pki / "service-accounts.pub",
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
    days: int,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, data: bytes, mode: int = 0o644) -> None:
    path.touch(mode)
    path.write_bytes(data)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(path, pem, 0o600)
