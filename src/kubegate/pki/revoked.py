"""Lists of certificates: those that a CA has issued, and those that are revoked, one a line.

A line is the SHA-256 of the certificate's DER form in hexadecimal, a Unix time and the subject, escaped. Where the CA signs by
ECDSA that of its twin stands behind the first one, after a `+`: of the two signatures (r, s) and (r, n - s) either is valid, so
whoever has the certificate can show it in two forms. The time is that of the revocation, or, in a list of what was issued, that
of the end. Empty lines and those that begin with `#` are left out.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import Encoding

from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import Certificate

# More than this many would make each change of the list slow.
MOST = 100_000
_FINGERPRINT = re.compile(r"[0-9A-F]{64}")
_TIME = re.compile(r"[0-9]{1,12}")
_MOST_TOLD = 20
# The orders of the groups (SEC 2, version 2).
_ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    "secp521r1": (0x1FF << 512) + (((1 << 256) - 6) << 256) + 0x51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate: its fingerprint in hexadecimal capitals without colons, a time (UTC), and its subject, escaped.

    `twin` is the fingerprint of its other form, empty if it has none, or nobody knows.
    """

    sha256: str
    time: datetime
    subject: str
    twin: str = ""

    @property
    def forms(self) -> str:
        """The fingerprints of all its forms, with a `+` between them."""
        return f"{self.sha256}+{self.twin}" if self.twin else self.sha256

    @property
    def line(self) -> bytes:
        """The entry as it stands in the file."""
        return f"{self.forms} {int(self.time.timestamp())} {self.subject}".rstrip().encode() + b"\n"


def fingerprint(certificate: Certificate) -> str:
    """The SHA-256 of the DER form as these lists have it."""
    return certificate.sha256.replace(":", "")


def entry_of(certificate: Certificate, time: datetime, issuer: Certificate) -> Entry:
    """The entry of a certificate of this issuer."""
    return Entry(fingerprint(certificate), time, certificate.subject, _twin(certificate, issuer))


def _twin(certificate: Certificate, issuer: Certificate) -> str:
    der = _twin_der(certificate, issuer)
    if not der:
        return ""
    digest = Hash(SHA256())
    digest.update(der)
    return digest.finalize().hex().upper()


def _twin_der(certificate: Certificate, issuer: Certificate) -> bytes:
    """The same certificate with the other one of two signatures that are valid; empty if there is none."""
    key, parsed = issuer.parsed.public_key(), certificate.parsed
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _ORDERS:
        return b""
    r, s = decode_dss_signature(parsed.signature)
    begin, old = parsed.tbs_certificate_bytes, _tlv(3, b"\0" + parsed.signature)
    der = parsed.public_bytes(Encoding.DER)
    algorithm = der[der.index(begin) + len(begin) : -len(old)]
    new = _tlv(3, b"\0" + encode_dss_signature(r, _ORDERS[key.curve.name] - s))
    return _tlv(0x30, begin + algorithm + new)


def _tlv(tag: int, content: bytes) -> bytes:
    """Tag, length and content (X.690, section 8.1.3)."""
    size = len(content)
    length = size.to_bytes((size.bit_length() + 7) // 8 or 1)
    return bytes([tag]) + (length if size < 0x80 else bytes([0x80 | len(length)]) + length) + content


def normal_fingerprint(text: str) -> str | None:
    """A fingerprint as people copy it (with `sha256:`, colons, small letters) in the form of these lists; None if it is none."""
    bare = text.strip().upper().removeprefix("SHA256:").replace(":", "")
    return bare if _FINGERPRINT.fullmatch(bare) else None


def read_revoked(content: bytes, where: str) -> tuple[Entry, ...]:
    """The entries of a list in its order, each certificate once. Raises InvalidInput with every line that is none."""
    problems: list[Problem] = []
    found: dict[str, Entry] = {}
    for number, text in _lines(content):
        entry = _entry(text)
        if entry is None:
            problems.append(
                Problem(
                    f"{where}:{number}",
                    "revoked.line",
                    "is not a fingerprint (SHA-256, hexadecimal), a Unix time and a subject",
                    "let kubegate certs revoke write this file",
                )
            )
        else:
            first = found.setdefault(entry.sha256, entry)
            found[entry.sha256] = replace(first, twin=first.twin or entry.twin)
    if len(found) > MOST:
        problems.append(Problem(where, "revoked.many", f"has more than {MOST} certificates", "let a new CA issue new ones"))
    if problems:
        raise InvalidInput(problems[:_MOST_TOLD])
    return tuple(found.values())


def append(content: bytes, entries: Sequence[Entry]) -> bytes:
    """A list with these entries at its end; what stood there stays byte for byte, and what stood there already is not added."""
    known = {form for _, text in _lines(content) if (entry := _entry(text)) for form in (entry.sha256, entry.forms)}
    whole = content if not content or content.endswith(b"\n") else content + b"\n"
    return whole + b"".join(entry.line for entry in entries if entry.forms not in known)


def _lines(content: bytes) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(content.split(b"\n"), 1):
        text = raw.decode("utf-8", "backslashreplace").strip()
        if text and not text.startswith("#"):
            yield number, text


def _entry(text: str) -> Entry | None:
    fields = text.split(maxsplit=2)
    first, plus, second = fields[0].partition("+")
    sha256, twin = normal_fingerprint(first), normal_fingerprint(second) if plus else ""
    if sha256 is None or twin is None or len(fields) < 2 or not _TIME.fullmatch(fields[1]):
        return None
    try:
        time = datetime.fromtimestamp(int(fields[1]), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return Entry(sha256, time, printable(fields[2]) if len(fields) > 2 else "", twin)
