"""Pins of public keys: SHA-256 of the SubjectPublicKeyInfo, as in `kubeadm join --discovery-token-ca-cert-hash`."""

import hashlib
import re
from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kubegate.model.names import printable
from kubegate.pki.certificate import Certificate

_PIN = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)


def pin_of(certificate: Certificate) -> str:
    """`sha256:HEX` of the public key (RFC 5280, section 4.1.2.7): the same for every certificate of that key."""
    key = certificate.parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(key).hexdigest()}"


def parse_pin(text: str) -> str:
    """A pin as it was typed, in normal form. Raises ValueError with a sentence."""
    found = _PIN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"'{printable(text)}' is no pin")
    return f"sha256:{found[1].lower()}"


def pinned(certificates: Iterable[Certificate], pins: Sequence[str]) -> list[Certificate]:
    """The certificates whose public key is pinned."""
    return [one for one in certificates if pin_of(one) in pins]
