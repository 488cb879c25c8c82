"""What clients of the gate have to trust, so that they accept the certificate that it shows."""

import contextlib
import functools
import ipaddress
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from kubegate.model.address import is_address
from kubegate.model.problem import Problem
from kubegate.pki.certificate import UNPARSABLE, Certificate, read_certificate
from kubegate.pki.pem import blocks


def client_ca(chain: Sequence[Certificate], where: str, now: datetime, system: Path | None) -> tuple[bytes | None, list[Problem]]:
    """The PEM for `certificate-authority-data` of clients, None if the CAs of `system` verify the chain; and warnings.

    Whatever stays true when the certificate is renewed comes first: its root, the system's CAs, an intermediate CA.
    A public intermediate, which is replaced often, is therefore never chosen where the system's CAs do.
    """
    leaf, authority = chain[0], _last_issuer(chain)
    if leaf.self_signed:
        return leaf.pem, []
    if authority is not None and authority.self_signed:
        return authority.pem, []
    if system is not None and is_publicly_trusted(chain, now, system):
        return None, []
    if authority is not None:
        return authority.pem, [_root_missing(authority, where)]
    return leaf.pem, [_pinned(where)]


def is_publicly_trusted(chain: Sequence[Certificate], now: datetime, system: Path) -> bool:
    """Whether the CA bundle in `system` verifies the chain for the leaf's own first name at `now`."""
    leaf = chain[0]
    if not leaf.names:
        return False
    try:
        verifier = PolicyBuilder().store(system_store(system)).time(now).build_server_verifier(_subject(leaf))
        verifier.verify(leaf.parsed, [one.parsed for one in chain[1:]])
    except (OSError, VerificationError, *UNPARSABLE):
        return False
    return True


def system_store(path: Path) -> Store:
    """The CAs in the system's bundle. Raises OSError."""
    state = path.stat()
    return _store(path, state.st_ino, state.st_mtime_ns)


def system_authorities(path: Path, last: Certificate) -> list[Certificate]:
    """Those in the system's bundle that could have issued a certificate, by their names. Raises OSError."""
    return [read_certificate(one) for one in _readable(path.read_bytes()) if one.subject == last.parsed.issuer]


@functools.lru_cache(maxsize=1)
def _store(path: Path, _inode: int, _changed: int) -> Store:
    """The CAs in a file, read once for each of its states: they are hundreds, and certificates may be a thousand."""
    return Store(_readable(path.read_bytes()))


def _readable(bundle: bytes) -> list[x509.Certificate]:
    """The certificates of a bundle; one of hundreds that cannot be read must not cost the others their trust."""
    found = []
    for block in blocks(bundle):
        if block.label == "CERTIFICATE":
            with contextlib.suppress(*UNPARSABLE):
                found.append(x509.load_pem_x509_certificate(block.text))
    return found


def _subject(leaf: Certificate) -> x509.DNSName | x509.IPAddress:
    name = leaf.names[0]
    if is_address(name):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name.replace("*", "any", 1))


def _last_issuer(chain: Sequence[Certificate]) -> Certificate | None:
    last = None
    for before, issuer in pairwise(chain):
        if not (issuer.is_ca and before.is_issued_by(issuer)):
            break
        last = issuer
    return last


def _root_missing(authority: Certificate, where: str) -> Problem:
    return Problem(
        where,
        "front.trust.intermediate",
        f"the chain ends in an intermediate CA ({authority.subject}), and some clients, as Python before 3.13, trust roots only",
        "append the root CA certificate to the file",
    )


def _pinned(where: str) -> Problem:
    return Problem(
        where,
        "front.trust.pinned",
        "no CA certificate comes with this certificate and the system does not know its CA: clients pin exactly this "
        "certificate, and fail when it is renewed",
        "append the certificate of its CA to the file",
    )
