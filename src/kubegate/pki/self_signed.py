"""The certificate that the gate makes for itself where none was given: one key, one leaf, no CA that could sign more."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubegate.model.address import is_address, normal_name
from kubegate.model.facts import FrontCertificate
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import Certificate, load_bundle, read_certificate
from kubegate.pki.front import front
from kubegate.pki.key import FrontKey, belongs_to, key_pem, load_key
from kubegate.system.files import UnsafeFolder, private_folder, write_atomically

FILE_NAME = "self-signed.pem"

# Apple's clients refuse more (support.apple.com/103769), also for certificates that were trusted by hand.
_LIFETIME = timedelta(days=825)
_CLOCK_SKEW = timedelta(hours=1)
_LONGEST_COMMON_NAME = 64
_MOST_BYTES = 1 << 20


def self_signed(directory: Path, names: Sequence[str], now: datetime) -> tuple[FrontCertificate, bool, Path]:
    """The gate's own certificate for exactly `names`, whether it was made just now, and its file (certificate and key).

    The one in `directory` is used as long as it is valid and names the same; anything else there, damaged or not, is
    replaced. Clients trust it by itself (`client_ca_pem` is the leaf). Raises InvalidInput if the folder is not ours
    alone, if it cannot be written, or if a name is none.
    """
    wanted = _normal(names)
    path = directory / FILE_NAME
    try:
        private_folder(directory)
        if found := _stored(path, wanted, now):
            return _fact(*found), False, path
        made = make(wanted, now)
        write_atomically(path, made[0].pem + key_pem(made[1]))
    except UnsafeFolder as error:
        raise InvalidInput([Problem(str(directory), "front.state.unsafe", error.message, error.hint)]) from None
    except OSError as error:
        message = f"the gate's own certificate cannot be kept: {(error.strerror or 'error').lower()}"
        raise InvalidInput([Problem(str(path), "front.state.write", message)]) from None
    return _fact(*made), True, path


def make(names: Sequence[str], now: datetime) -> tuple[Certificate, FrontKey]:
    """A new ECDSA P-256 key and a certificate for `names` (normal, at least one), valid from an hour before `now`."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    common = names[0] if len(names[0]) <= _LONGEST_COMMON_NAME else "kubegate"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=subject, public_key=public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now - _CLOCK_SKEW + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_signing_only(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    return read_certificate(builder.sign(key, hashes.SHA256())), key


def _stored(path: Path, names: Sequence[str], now: datetime) -> tuple[Certificate, FrontKey] | None:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
        leaf, key = load_bundle(content, str(path))[0], load_key(content, str(path))
    except (InvalidInput, OSError):
        return None
    usable = leaf.self_signed and leaf.may_serve and leaf.is_valid_at(now) and belongs_to(key, leaf.parsed)
    return (leaf, key) if usable and set(leaf.names) == set(names) else None


def _fact(leaf: Certificate, key: FrontKey) -> FrontCertificate:
    return front([leaf], key, leaf.pem)


def _normal(names: Sequence[str]) -> tuple[str, ...]:
    problems, normal = [], dict[str, None]()
    for name in names:
        try:
            normal[normal_name(name)] = None
        except ValueError as error:
            problems.append(Problem("--host", "front.name", str(error)))
    if not names:
        problems.append(Problem("--host", "front.name", "a certificate needs a name or an address, and there is none"))
    if problems:
        raise InvalidInput(problems)
    return tuple(normal)


def _general(name: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name)


def _signing_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
