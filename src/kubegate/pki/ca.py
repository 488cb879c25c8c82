"""A certificate authority in a folder: a certificate, its key, what it has issued, and what of that is revoked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from kubegate.model.certificate_kinds import Kind
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import Certificate, load_bundle, read_certificate
from kubegate.pki.constraints import constraints, parse_permitted, too_broad
from kubegate.pki.key import FrontKey, belongs_to, key_pem, load_key, make_key
from kubegate.pki.request import subject
from kubegate.pki.revoked import Entry, append, read_revoked
from kubegate.system.file_sets import NewFile, write_all
from kubegate.system.files import alone_in, reason

CERTIFICATE, KEY, ISSUED, REVOKED = "ca.crt", "ca.key", "issued", "revoked"
CLOCK_SKEW = timedelta(hours=1)
_LIFETIME = timedelta(days=3650)
_MOST_BYTES = 16 << 20
_LONGEST_COMMON_NAME = 64


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA; `folder` is where it is kept, None if it is nowhere yet."""

    certificate: Certificate
    key: FrontKey = field(repr=False)
    folder: Path | None = None

    @classmethod
    def create(
        cls,
        names: Sequence[str],
        common_name: str = "kubegate local CA",
        *,
        lifetime: timedelta | None = None,
        kind: Kind = Kind.P256,
        now: datetime | None = None,
    ) -> Self:
        """A new CA that may vouch for loopback and these names (DNS names, addresses, networks), and can sign no other CA.

        Raises InvalidInput with every name for which no local CA should vouch.
        """
        now = now or datetime.now(UTC)
        permitted, problems = _permitted(names)
        if not 0 < len(common_name) <= _LONGEST_COMMON_NAME or not common_name.isprintable():
            message = f"a name of 1 to {_LONGEST_COMMON_NAME} printable characters is needed"
            problems.append(Problem("--common-name", "certs.name", message, "choose another one"))
        if problems:
            raise InvalidInput(problems)
        key = make_key(kind)
        own = subject(common_name)
        builder = (
            x509.CertificateBuilder(own, own, key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(now + (lifetime or _LIFETIME))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_signs_certificates(), critical=True)
            .add_extension(constraints(permitted), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return cls(read_certificate(builder.sign(key, hashes.SHA256())), key)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The CA in a folder. Raises InvalidInput with everything that is wrong with its certificate and key."""
        shown = printable(str(folder))
        problems: list[Problem] = []
        chain: list[Certificate] = []
        key: FrontKey | None = None
        try:
            chain = load_bundle(_read(folder / CERTIFICATE), f"{shown}/{CERTIFICATE}")
        except InvalidInput as error:
            problems += error.problems
        try:
            key = load_key(_read(folder / KEY), f"{shown}/{KEY}")
        except InvalidInput as error:
            problems += error.problems
        if chain and not chain[0].is_ca:
            message = "is no CA certificate (its basic constraints do not say so)"
            problems.append(Problem(f"{shown}/{CERTIFICATE}", "certs.ca", message, "make a CA: kubegate certs ca init"))
        if chain and key and not belongs_to(key, chain[0].parsed):
            message = f"the key does not belong to the certificate in {CERTIFICATE}"
            problems.append(Problem(f"{shown}/{KEY}", "certs.ca", message, "put the pair back that belongs together"))
        if problems or key is None:
            raise InvalidInput(problems)
        return cls(chain[0], key, folder)

    @property
    def where(self) -> str:
        """Its certificate's place, for messages."""
        return printable(str(self.folder / CERTIFICATE)) if self.folder else "the CA"

    @property
    def key_identifier(self) -> x509.AuthorityKeyIdentifier:
        """By which its certificates say who issued them."""
        try:
            own = self.certificate.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        except x509.ExtensionNotFound:
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)

    def files(self, folder: Path) -> tuple[NewFile, ...]:
        """What a folder of this CA holds in the beginning, the list of what is revoked left out."""
        return (
            NewFile(folder / KEY, key_pem(self.key)),
            NewFile(folder / CERTIFICATE, self.certificate.pem, 0o644),
        )

    def issued(self) -> tuple[Entry, ...]:
        """What it has issued, with the ends of their validity. Raises InvalidInput."""
        return self._list(ISSUED)

    def revoked(self) -> tuple[Entry, ...]:
        """What it has revoked, and when. Raises InvalidInput."""
        return self._list(REVOKED)

    def note_issued(self, entry: Entry) -> None:
        """Remember a certificate. Raises InvalidInput or OSError."""
        self._add(ISSUED, [entry])

    def revoke(self, entries: Sequence[Entry]) -> None:
        """Add certificates to what is revoked, in one step. Raises InvalidInput or OSError."""
        self._add(REVOKED, entries)

    def _list(self, name: str) -> tuple[Entry, ...]:
        assert self.folder is not None, "it is kept in a folder"
        path = self.folder / name
        return read_revoked(_read(path) if path.exists() else b"", printable(str(path)))

    def _add(self, name: str, entries: Sequence[Entry]) -> None:
        assert self.folder is not None, "it is kept in a folder"
        with alone_in(self.folder):
            # What cannot be read must not be made worse.
            self._list(name)
            path = self.folder / name
            before = path.read_bytes() if path.exists() else b""
            content = append(before, entries)
            # A gate that reads the list by a link, or as its owner, goes on to do so.
            there = path.exists()
            write_all([NewFile.instead_of(path, content) if there else NewFile(path.resolve(), content)], replace=True)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as error:
        hint = "name the folder of a CA; kubegate certs ca init makes one" if isinstance(error, FileNotFoundError) else ""
        raise InvalidInput([Problem(printable(str(path)), "file.unreadable", f"cannot be read: {reason(error)}", hint)]) from None


def _permitted(names: Sequence[str]) -> tuple[list[str], list[Problem]]:
    found, problems = list[str](), list[Problem]()
    for name in names:
        try:
            found.append(parse_permitted(name))
        except ValueError as error:
            problems.append(Problem("--name", "certs.name", printable(str(error)), "write a DNS name, an address or a network"))
    hint = "name the domain, the address or the network that is yours"
    problems += [Problem("--name", "certs.constraint", reason, hint) for reason in too_broad(found)]
    return found, problems


def _signs_certificates() -> x509.KeyUsage:
    return x509.KeyUsage(False, False, False, False, False, True, True, False, False)
