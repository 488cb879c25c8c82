"""The forms in which people expect a certificate and its key: PEM files, HAProxy's bundle, a Secret, PKCS #12."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from kubegate.model.certificate_kinds import Form
from kubegate.pki.certificate import Certificate, pem_chain
from kubegate.pki.issue import Issued
from kubegate.pki.key import FrontKey, key_pem
from kubegate.system.file_sets import NewFile

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


def file_name(name: str) -> str:
    """A name of a certificate as the beginning of a file's name: `*.example.com` is `wildcard.example.com`."""
    plain = name.replace("*", "wildcard").replace(":", "_")
    return _NOT_IN_NAMES.sub("-", plain).strip(".-")[:100] or "certificate"


def bundle(chain: Sequence[Certificate], key: FrontKey) -> bytes:
    """One PEM in the order in which HAProxy reads it: certificate, its issuers, key."""
    return pem_chain(chain) + key_pem(key)


def secret(name: str, namespace: str | None, chain: Sequence[Certificate], key: FrontKey) -> bytes:
    """The manifest of a Secret of type kubernetes.io/tls; the last issuer stands in `ca.crt`, as cert-manager has it."""
    data = {"tls.crt": pem_chain(chain), "tls.key": key_pem(key)}
    if len(chain) > 1:
        data["ca.crt"] = chain[-1].pem
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": metadata,
        "data": {field: base64.b64encode(content).decode() for field, content in data.items()},
    }
    return yaml.safe_dump(manifest, sort_keys=False).encode()


def secret_name(name: str) -> str:
    """The name of a certificate as that of an object (RFC 1123 subdomain)."""
    return re.sub(r"[^a-z0-9.-]+", "-", file_name(name).lower().replace("_", "-")).strip(".-") or "certificate"


def key_store(name: str, chain: Sequence[Certificate], key: FrontKey, password: bytes) -> bytes:
    """A PKCS #12 file, enciphered by AES-256: Java from 8u301 on, and Windows from 10 on, read it."""
    issuers = [one.parsed for one in chain[1:]]
    encryption = serialization.BestAvailableEncryption(password)
    return pkcs12.serialize_key_and_certificates(name.encode(), key, chain[0].parsed, issuers or None, encryption)


def files(base: Path, issued: Issued, form: Form, *, password: bytes = b"", namespace: str | None = None) -> tuple[NewFile, ...]:
    """The files of a certificate, `base` and an ending each; those that hold a key are 0600.

    Where somebody else has the key there is the certificate alone, which is PEM in any form.
    """
    chain, key = issued.chain, issued.key
    if key is None:
        return (NewFile(_ending(base, ".crt"), pem_chain(chain), 0o644),)
    match form:
        case Form.PEM:
            return (NewFile(_ending(base, ".key"), key_pem(key)), NewFile(_ending(base, ".crt"), pem_chain(chain), 0o644))
        case Form.BUNDLE:
            return (NewFile(_ending(base, ".pem"), bundle(chain, key)),)
        case Form.SECRET:
            return (NewFile(_ending(base, ".yaml"), secret(secret_name(base.name), namespace, chain, key)),)
        case Form.PKCS12:
            return (NewFile(_ending(base, ".p12"), key_store(base.name, chain, key, password)),)


def paths(base: Path, form: Form, *, has_key: bool = True) -> tuple[Path, ...]:
    """Where `files` are to be written."""
    if not has_key:
        return (_ending(base, ".crt"),)
    endings = {Form.PEM: (".key", ".crt"), Form.BUNDLE: (".pem",), Form.SECRET: (".yaml",), Form.PKCS12: (".p12",)}[form]
    return tuple(_ending(base, one) for one in endings)


def _ending(base: Path, ending: str) -> Path:
    return base.with_name(base.name + ending)
