"""`kubegate certs renew` and `revoke`: certificates that are to last longer, or not as long as they say."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kubegate.cli.certs_common import Asked, AuthorityFolder, Lifetime, days_left, lifetime, put, read, written
from kubegate.cli.console import Output, errors_reported, line, show, show_json
from kubegate.cli.options import OutputAs
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.system.file_sets import NewFile

if TYPE_CHECKING:
    from kubegate.pki.ca import Authority
    from kubegate.pki.certificate import Certificate
    from kubegate.pki.issue import Issued
    from kubegate.pki.key import FrontKey
    from kubegate.pki.revoked import Entry

NOTHING = "nothing was changed"
RENEW = "Issue a certificate once more, in the place of the one that is there."
RENEW_EXAMPLES = (
    "kubegate certs renew gate.crt --ca ca",
    "kubegate certs renew gate.pem --ca ca --within 30d",
    "kubegate certs renew self-signed.pem --keep-key",
)
REVOKE = "Revoke client certificates at the gates that follow this CA."
REVOKE_EXAMPLES = (
    "kubegate certs revoke alice.crt --ca ca",
    "kubegate certs revoke alice --ca ca",
    "kubegate certs revoke 5F:3A:...:9C --ca ca --output json",
)


def renew(
    file: Annotated[Path, typer.Argument(help="The certificate: PEM, or a bundle with its key.", readable=False)],
    ca: Annotated[
        Path | None,
        typer.Option("--ca", help="The folder of its CA. Not for self-signed ones.", metavar="FOLDER", readable=False),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="Its key. Default: in FILE, or beside it with the ending .key.", metavar="FILE", readable=False),
    ] = None,
    within: Annotated[
        str | None, typer.Option(help="Only if it ends within this time, as in 30d; else leave it as it is.", metavar="SPAN")
    ] = None,
    keep_key: Annotated[bool, typer.Option("--keep-key", help="Keep the key, for clients that pin it.")] = False,
    span: Lifetime = None,
    output: OutputAs = Output.TEXT,
) -> None:
    """Renew a certificate in its place: key and certificate are replaced, each in one step."""
    with errors_reported(output, NOTHING):
        asked = Asked()
        valid = asked.of(lambda: lifetime(span), None)
        soon = asked.of(lambda: lifetime(within, "--within"), None)
        old = asked.of(lambda: _Old.read(file, key), None)
        asked.raise_if_any()
        assert old is not None
        if soon is not None and old.leaf.not_after - datetime.now(UTC) > soon:
            _left_as_it_is(old, output)
            return
        issued = old.again(ca, valid, keep_key=keep_key)
        files = old.files(issued)
        put(files, force=True)
        end = f"{old.leaf.not_after:%Y-%m-%d %H:%M} UTC"
        stays = f"valid until {end}: if its key is in wrong hands, revoke it (kubegate certs revoke {old.leaf.sha256})"
        written(issued.leaf, files, [], output, ("the old one", stays))


class _Old:
    """A certificate that is to be renewed, with its key, and the files that they stand in."""

    def __init__(self, file: Path, key_file: Path, chain: Sequence["Certificate"], key: "FrontKey") -> None:
        self.file = file
        self.leaf = chain[0]
        self._key_file = key_file
        self._key = key

    @classmethod
    def read(cls, file: Path, key_file: Path | None) -> "_Old":
        """The certificate in a file. Raises InvalidInput with all that is wrong with it and its key."""
        from kubegate.pki.certificate import load_bundle
        from kubegate.pki.key import belongs_to, load_key
        from kubegate.pki.pem import blocks

        asked = Asked()
        content = asked.of(lambda: read(file), None)
        chain = asked.of(lambda: load_bundle(content, printable(str(file))), []) if content is not None else []
        if key_file is None:
            inside = content is not None and any(block.is_key for block in blocks(content))
            key_file = file if inside else file.with_suffix(".key")
        place = key_file
        key = asked.of(lambda: load_key(read(place), printable(str(place))), None)
        if chain and key is not None and not belongs_to(key, chain[0].parsed):
            message = f"the key does not belong to the certificate in {printable(str(file))}"
            asked.problems.append(Problem(printable(str(place)), "certs.key", message, "name its own by --key"))
        asked.raise_if_any()
        assert key is not None
        return cls(file, place, chain, key)

    def again(self, ca: Path | None, valid: timedelta | None, *, keep_key: bool) -> "Issued":
        """The same once more. Raises InvalidInput if that CA has not issued it."""
        from kubegate.pki.ca import Authority
        from kubegate.pki.issue import issue, issue_own, wanted_again
        from kubegate.pki.key import same_kind
        from kubegate.pki.revoked import entry_of

        where = printable(str(self.file))
        key = self._key if keep_key else same_kind(self._key)
        wanted = wanted_again(self.leaf, valid)
        if self.leaf.is_ca:
            raise InvalidInput(
                [Problem(where, "certs.renew", "is a CA, and whoever trusts it has to be given a new one by hand")]
            )
        if self.leaf.self_signed and ca is None:
            return issue_own(wanted, key=key)
        if ca is None:
            message = f"was issued by {self.leaf.issuer}, and only that CA can renew it"
            raise InvalidInput([Problem(where, "certs.renew", message, "name the folder of its CA by --ca")])
        authority = Authority.load(ca)
        if not self.leaf.is_issued_by(authority.certificate):
            message = f"was issued by {self.leaf.issuer}, not by the CA in {printable(str(ca))}"
            raise InvalidInput([Problem(where, "certs.renew", message, "name the folder of its own CA by --ca")])
        issued = issue(authority, wanted, key=key)
        authority.note_issued(entry_of(issued.leaf, issued.leaf.not_after, authority.certificate))
        return issued

    def files(self, issued: "Issued") -> list[NewFile]:
        """What takes the place of its files: the key first, as a gate that follows them waits for the pair."""
        from kubegate.pki.certificate import pem_chain
        from kubegate.pki.formats import bundle
        from kubegate.pki.key import key_pem

        assert issued.key is not None
        if self._key_file == self.file:
            return [NewFile.instead_of(self.file, bundle(issued.chain, issued.key)).kept_from_others()]
        key = NewFile.instead_of(self._key_file, key_pem(issued.key)).kept_from_others()
        return [key, NewFile.instead_of(self.file, pem_chain(issued.chain))]


def _left_as_it_is(old: _Old, output: Output) -> None:
    if output is Output.JSON:
        from kubegate.cli.certs_common import facts

        show_json({"certificate": facts(old.leaf), "files": [], "warnings": []})
    else:
        show([line(f"{old.file} has {days_left(old.leaf)} days left, and was left as it is")])


def revoke(
    what: Annotated[list[str], typer.Argument(help="A certificate's file, its SHA-256, or the user's name.", metavar="WHAT...")],
    ca: AuthorityFolder,
    output: OutputAs = Output.TEXT,
) -> None:
    """Revoke certificates."""
    from kubegate.pki.ca import REVOKED, Authority
    from kubegate.pki.revoked import Entry

    with errors_reported(output, "nothing was revoked"):
        authority = Authority.load(ca)
        asked = Asked()
        issued = asked.of(authority.issued, ())
        before = {entry.sha256: entry for entry in asked.of(authority.revoked, ())}
        asked.raise_if_any()
        # By fingerprint, with the end of its validity.
        meant: dict[str, Entry] = {}
        for one in what:
            for entry in asked.of(lambda one=one: _meant(one, authority, issued), ()):  # type: ignore[misc]
                meant[entry.sha256] = entry
        asked.raise_if_any()
        now = datetime.now(UTC)
        new = [replace(entry, time=now) for entry in meant.values() if _adds(entry, before.get(entry.sha256))]
        if new:
            authority.revoke(new)
    told = _Reach(list(meant.values()), {entry.sha256 for entry in new}, str(ca / REVOKED))
    if output is Output.JSON:
        show_json(told.facts())
    else:
        show(told.lines())


def _adds(entry: "Entry", there: "Entry | None") -> bool:
    """Whether a list knows less of a certificate than this."""
    return there is None or bool(entry.twin and not there.twin)


def _meant(text: str, authority: "Authority", issued: Sequence["Entry"]) -> Sequence["Entry"]:
    """The certificates that a word means, with their ends. Raises InvalidInput if it means none of this CA."""
    from kubegate.pki.certificate import load_bundle
    from kubegate.pki.revoked import entry_of, normal_fingerprint

    path, shown = Path(text), printable(text)
    if (sha256 := normal_fingerprint(text)) is not None:
        found = [entry for entry in issued if sha256 in (entry.sha256, entry.twin)]
        message = "is no certificate that this CA has issued"
    elif path.is_file():
        leaf = load_bundle(read(path), shown)[0]
        found = [entry_of(leaf, leaf.not_after, authority.certificate)] if leaf.is_issued_by(authority.certificate) else []
        message = f"was issued by {leaf.issuer}, not by this CA, so no gate that follows this CA would look for it"
    else:
        found = [entry for entry in issued if entry.time > datetime.now(UTC) and text in (entry.subject, _user(entry.subject))]
        message = "is no file, and no user with a certificate of this CA that is still valid"
    if not found:
        hint = "name a certificate's file, its SHA-256, or a user; `issued` in the folder of the CA lists them"
        raise InvalidInput([Problem(shown, "certs.revoke", message, hint)])
    return found


def _user(subject: str) -> str | None:
    """The common name in a subject as lists have it; None if there is none that could be read."""
    from cryptography import x509

    try:
        common = x509.Name.from_rfc4514_string(subject).get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    except ValueError:
        return None
    return str(common[-1].value) if common else None


class _Reach:
    """What a revocation does, and what it does not."""

    def __init__(self, meant: Sequence["Entry"], new: set[str], file: str) -> None:
        self._meant = meant
        self._new = new
        self._file = file

    def facts(self) -> dict[str, object]:
        """For scripts."""
        certificates = [
            {
                "sha256": entry.sha256,
                "subject": entry.subject,
                "newly_revoked": entry.sha256 in self._new,
                "works_elsewhere_until": entry.time.isoformat() if entry.time > datetime.now(UTC) else None,
            }
            for entry in self._meant
        ]
        return {"file": self._file, "certificates": certificates, "reach": list(self._sentences())}

    def lines(self) -> Iterator[Text]:
        """For people."""
        for entry in self._meant:
            yield line(("revoked  " if entry.sha256 in self._new else "already  ", "bold"), entry.subject, "  ", entry.sha256)
        yield from (line(sentence) for sentence in self._sentences())

    def _sentences(self) -> Iterator[str]:
        yield (
            f"It binds within a second at every gate with a listener whose clientCertificates.revoked is {self._file} and whose "
            "mode is required; at one that follows a copy, once that is copied."
        )
        last = max((entry.time for entry in self._meant), default=datetime.now(UTC))
        if last <= datetime.now(UTC):
            yield "It had expired already, so it works nowhere else either."
            return
        yield (
            f"Elsewhere it still works until {last:%Y-%m-%d %H:%M} UTC: a kube-apiserver that trusts this CA checks no "
            "revocation list, and takes it from whoever reaches it past the gate."
        )
        # A kube-apiserver grants this group everything before it asks what is bound.
        if any("O=system:masters" in entry.subject for entry in self._meant):
            yield "The group system:masters keeps its rights whatever is bound: only another CA of the API server ends it."
        else:
            yield "To end that sooner, take away the rights of its user, or let the API server trust another CA."
