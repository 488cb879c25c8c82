"""`kubegate certs self-signed`, `ca init`, `issue` and `csr`: certificates and keys that are made."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from kubegate.cli.certs_common import (
    Asked,
    AuthorityFolder,
    Force,
    FormOption,
    Groups,
    KeyType,
    Lifetime,
    Names,
    Namespace,
    Out,
    Password,
    PasswordFile,
    User,
    lifetime,
    put,
    read,
    written,
)
from kubegate.cli.console import Output, errors_reported, line, show, show_json
from kubegate.cli.options import OutputAs
from kubegate.model.certificate_kinds import Form, Kind, Purpose
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem

NOTHING = "nothing was written"
SELF_SIGNED = "Make a certificate that is signed by its own key."
SELF_SIGNED_EXAMPLES = (
    "kubegate certs self-signed --name gate.example.com --name 192.0.2.7",
    "kubegate certs self-signed --name gate.example.com --format bundle --out /etc/haproxy/gate",
)
CA_INIT = "Make a CA for loopback and the names that it may vouch for, in a new folder."
CA_INIT_EXAMPLES = (
    "kubegate certs ca init ca --name example.com --name 10.0.0.0/8",
    "kubegate certs ca init ca --for 5y --output json",
)
ISSUE = "Issue a certificate for a server or a client."
ISSUE_EXAMPLES = (
    "kubegate certs issue server --ca ca --name gate.example.com",
    "kubegate certs issue server --ca ca --name gate.example.com --format secret --namespace gate",
    "kubegate certs issue client --ca ca --user alice --group developers --for 30d",
    "kubegate certs issue client --ca ca --user alice --format pkcs12 --password-file password",
    "kubegate certs issue client --ca ca --csr alice.csr --out alice",
)
CSR = "Make a key, and a request for a certificate that somebody else issues."
CSR_EXAMPLES = (
    "kubegate certs csr --user alice --group developers",
    "kubegate certs csr --name gate.example.com --key gate.key --out gate",
)


def self_signed(
    name: Names = None,
    span: Lifetime = None,
    key_type: KeyType = Kind.P256,
    form: FormOption = Form.PEM,
    out: Out = None,
    password_file: PasswordFile = None,
    namespace: Namespace = None,
    force: Force = False,
    output: OutputAs = Output.TEXT,
) -> None:
    """Make a self-signed certificate."""
    from kubegate.pki import formats
    from kubegate.pki.issue import Wanted, issue_own, normal_names

    with errors_reported(output, NOTHING):
        asked = Asked()
        names = asked.of(partial(normal_names, name or [], "--name"), None)
        valid = asked.of(partial(lifetime, span), None)
        wanted = Wanted(Purpose.SERVER, "", names or (), lifetime=valid, kind=key_type)
        issued = asked.of(partial(issue_own, wanted), None) if names is not None else None
        base = out or Path(formats.file_name(names[0] if names else "certificate"))
        asked.places(formats.paths(base, form), force=force)
        password = Password(form, password_file, asked)
        asked.raise_if_any()
        assert issued is not None
        files = formats.files(base, issued, form, password=password.get(), namespace=namespace)
        put(files, force=force)
        message = "it is self-signed: a client that skips its verification gives its token to whoever stands in between"
        warning = Problem(
            "", "certificate.self-signed", message, "give clients the certificate, or use a CA: kubegate certs ca init"
        )
        written(issued.leaf, files, [warning], output)


def ca_init(
    folder: Annotated[Path, typer.Argument(help="The folder of the CA, which is made.", readable=False)],
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            help="What it may vouch for besides loopback: a domain, an address or a network; may be repeated.",
            metavar="NAME",
        ),
    ] = None,
    common_name: Annotated[str, typer.Option(help="Its own name.", metavar="TEXT")] = "kubegate local CA",
    span: Lifetime = None,
    key_type: KeyType = Kind.P256,
    force: Force = False,
    output: OutputAs = Output.TEXT,
) -> None:
    """Make a CA."""
    from kubegate.pki.ca import CERTIFICATE, KEY, REVOKED, Authority
    from kubegate.pki.describe import constrained_to
    from kubegate.system.file_sets import NewFile
    from kubegate.system.files import explained, private_folder, why_no_private_folder

    with errors_reported(output, NOTHING):
        asked = Asked()
        valid = asked.of(partial(lifetime, span), None)
        made = asked.of(partial(Authority.create, name or [], common_name, lifetime=valid, kind=key_type), None)
        if (why := why_no_private_folder(folder)) is not None:
            asked.problems.append(Problem(printable(str(folder)), "certs.out", why, "choose another folder"))
        elif folder.exists() and _shared(folder):
            message = "holds other things and is open to others, whom a CA would lock out"
            hint = "choose a folder of its own, which is made"
            asked.problems.append(Problem(printable(str(folder)), "certs.out", message, hint))
        elif folder.exists():
            asked.places([folder / KEY, folder / CERTIFICATE], force=force)
        asked.raise_if_any()
        assert made is not None
        with explained(f"the folder {folder} cannot be made"):
            private_folder(folder)
        files = made.files(folder)
        put(files, force=force)
        if not (folder / REVOKED).exists():
            # A gate that is to follow it finds it.
            put([revoked := NewFile(folder / REVOKED, b"")], force=False)
            files = (*files, revoked)
        bounds = constrained_to(made.certificate)
        written(made.certificate, files, [], output, ("vouches for", bounds))


def _shared(folder: Path) -> bool:
    """Whether a folder is one that others use for something else: as the folder of a CA it would be closed to them."""
    from kubegate.pki.ca import CERTIFICATE, ISSUED, KEY, REVOKED

    own = {KEY, CERTIFICATE, ISSUED, REVOKED}
    return bool(folder.stat().st_mode & 0o077) and any(one.name not in own for one in folder.iterdir())


def issue(
    purpose: Annotated[Purpose, typer.Argument(help="Whom it is for.")],
    ca: AuthorityFolder,
    name: Names = None,
    user: User = None,
    group: Groups = None,
    csr: Annotated[
        Path | None,
        typer.Option(
            "--csr", help="A request (kubegate certs csr) instead of names and a new key.", metavar="FILE", readable=False
        ),
    ] = None,
    span: Lifetime = None,
    key_type: KeyType = Kind.P256,
    form: FormOption = Form.PEM,
    out: Out = None,
    password_file: PasswordFile = None,
    namespace: Namespace = None,
    force: Force = False,
    output: OutputAs = Output.TEXT,
) -> None:
    """Issue a certificate."""
    from kubegate.pki import formats
    from kubegate.pki import issue as issuing
    from kubegate.pki.ca import Authority
    from kubegate.pki.request import read_request
    from kubegate.pki.revoked import entry_of

    with errors_reported(output, NOTHING):
        asked = Asked()
        asked.problems += _misfits(purpose, name, user, group, csr)
        authority = asked.of(partial(Authority.load, ca), None)
        valid = asked.of(partial(lifetime, span), None)
        names = asked.of(partial(issuing.normal_names, name or [], "--name"), None)
        request = asked.of(lambda: read_request(read(csr), printable(str(csr))), None) if csr is not None else None
        if request is not None:
            user, group = request.common_name, list(request.organizations)
            names = asked.of(partial(issuing.normal_names, request.names, printable(str(csr))), None)
        wanted = issuing.Wanted(purpose, user or "", names or (), tuple(group or ()), valid, key_type)
        issued = None
        if authority is not None and names is not None and (csr is None or request is not None):
            issued = asked.of(partial(issuing.issue, authority, wanted, key=request.key if request else None), None)
        base = out or Path(
            formats.file_name((user if purpose is Purpose.CLIENT else None) or next(iter(names or ()), "certificate"))
        )
        asked.places(formats.paths(base, form, has_key=csr is None), force=force)
        password = Password(form, password_file, asked)
        if authority is not None:
            asked.of(authority.issued, ())
        asked.raise_if_any()
        assert issued is not None
        assert authority is not None
        files = formats.files(base, issued, form, password=password.get(), namespace=namespace)
        # Known before it is there: a certificate that nobody remembers could not be revoked by its name.
        authority.note_issued(entry_of(issued.leaf, issued.leaf.not_after, authority.certificate))
        put(files, force=force)
        written(issued.leaf, files, issuing.cautions(wanted), output, ("subject", issued.leaf.subject))


def csr(
    name: Names = None,
    user: User = None,
    group: Groups = None,
    key: Annotated[
        Path | None, typer.Option(help="The key that it is for. Default: a new one.", metavar="FILE", readable=False)
    ] = None,
    key_type: KeyType = Kind.P256,
    out: Out = None,
    force: Force = False,
    output: OutputAs = Output.TEXT,
) -> None:
    """Make a request."""
    from kubegate.pki import formats
    from kubegate.pki.issue import normal_names
    from kubegate.pki.key import key_pem, load_key, make_key
    from kubegate.pki.request import make_request
    from kubegate.system.file_sets import NewFile

    with errors_reported(output, NOTHING):
        asked = Asked()
        names = asked.of(partial(normal_names, name or [], "--name"), ())
        if not names and not user and not asked.problems:
            asked.problems.append(
                Problem("--user", "certs.name", "a request needs a user or a name, and there is none", "give one")
            )
        given = asked.of(lambda: load_key(read(key), printable(str(key))), None) if key is not None else make_key(key_type)
        base = out or Path(formats.file_name(user or next(iter(names), "request")))
        paths = [base.with_name(f"{base.name}.csr"), *([] if key else [base.with_name(f"{base.name}.key")])]
        asked.places(paths, force=force)
        asked.raise_if_any()
        assert given is not None
        try:
            pem = make_request(user or names[0], group or [], names, given)
        except ValueError:
            hint = "names of users and groups have 64 characters at most"
            raise InvalidInput([Problem("--user", "certs.name", "the names do not fit into a request", hint)]) from None
        files = [NewFile(paths[0], pem, 0o644), *([] if key else [NewFile(paths[1], key_pem(given))])]
        put(files, force=force)
    if output is Output.JSON:
        show_json({"files": [{"path": str(one.path), "mode": f"{one.mode:04o}"} for one in files]})
    else:
        show(line(f"  {one.path} (mode {one.mode:04o})") for one in files)
        show([line("Have it signed, as by: kubegate certs issue client --ca FOLDER --csr ", str(paths[0]))])


def _misfits(
    purpose: Purpose, name: list[str] | None, user: str | None, group: list[str] | None, csr: Path | None
) -> list[Problem]:
    """Options that do not go together."""
    found = []
    given = {"--name": name, "--user": user, "--group": group}
    if csr is not None:
        found += [_unused(flag, "the request says it") for flag, value in given.items() if value]
    elif purpose is Purpose.CLIENT and name:
        found.append(_unused("--name", "clients are verified by no name; the user is --user"))
    elif purpose is Purpose.SERVER:
        found += [_unused(flag, "it is for clients") for flag in ("--user", "--group") if given[flag]]
    return found


def _unused(flag: str, why: str) -> Problem:
    return Problem(flag, "certs.unused", f"is not used here: {why}", "leave it out")
