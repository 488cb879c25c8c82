"""Lists of certificates: those that a CA has issued, and those that are revoked, one a line.

A line is the SHA-256 of the certificate's DER form in hexadecimal, a Unix time and the subject, escaped. The time is that of the
revocation, or, in a list of what was issued, that of the end. Empty lines and those that begin with `#` are left out.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import Certificate

# More than this many would make each change of the list slow.
MOST = 100_000
_FINGERPRINT = re.compile(r"[0-9A-F]{64}")
_TIME = re.compile(r"[0-9]{1,12}")
_MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate: its fingerprint in hexadecimal capitals without colons, a time (UTC), and its subject, escaped."""

    sha256: str
    time: datetime
    subject: str

    @property
    def line(self) -> bytes:
        """The entry as it stands in the file."""
        return f"{self.sha256} {int(self.time.timestamp())} {self.subject}".rstrip().encode() + b"\n"


def fingerprint(certificate: Certificate) -> str:
    """The SHA-256 of the DER form as these lists have it."""
    return certificate.sha256.replace(":", "")


def entry_of(certificate: Certificate, time: datetime) -> Entry:
    """The entry of a certificate."""
    return Entry(fingerprint(certificate), time, certificate.subject)


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
            found.setdefault(entry.sha256, entry)
    if len(found) > MOST:
        problems.append(Problem(where, "revoked.many", f"has more than {MOST} certificates", "let a new CA issue new ones"))
    if problems:
        raise InvalidInput(problems[:_MOST_TOLD])
    return tuple(found.values())


def append(content: bytes, entries: Sequence[Entry]) -> bytes:
    """A list with these entries at its end; what stood there stays byte for byte, and what stood there already is not added."""
    known = {entry.sha256 for _, text in _lines(content) if (entry := _entry(text))}
    whole = content if not content or content.endswith(b"\n") else content + b"\n"
    return whole + b"".join(entry.line for entry in entries if entry.sha256 not in known)


def _lines(content: bytes) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(content.split(b"\n"), 1):
        text = raw.decode("utf-8", "backslashreplace").strip()
        if text and not text.startswith("#"):
            yield number, text


def _entry(text: str) -> Entry | None:
    fields = text.split(maxsplit=2)
    sha256 = normal_fingerprint(fields[0])
    if sha256 is None or len(fields) < 2 or not _TIME.fullmatch(fields[1]):
        return None
    try:
        time = datetime.fromtimestamp(int(fields[1]), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return Entry(sha256, time, printable(fields[2]) if len(fields) > 2 else "")
