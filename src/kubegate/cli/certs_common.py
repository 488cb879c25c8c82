"""What the commands of `kubegate certs` have in common: options, all problems at once, files, and facts about a certificate."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.text import Text

from kubegate.cli.console import Output, line, rows, show, show_json
from kubegate.model.certificate_kinds import Form, Kind
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.system.file_sets import NewFile, in_the_way, write_all
from kubegate.system.files import reason

if TYPE_CHECKING:
    from kubegate.pki.certificate import Certificate

T = TypeVar("T")
U = TypeVar("U")

_SPAN = re.compile(r"(?=[0-9])(?:([0-9]{1,3})y)?(?:([0-9]{1,5})d)?(?:([0-9]{1,6})h)?")
_LONGEST = timedelta(days=100 * 365)
_MOST_BYTES = 1 << 20
_FEW_DAYS = 14

Names = Annotated[
    list[str] | None,
    typer.Option("--name", help="A DNS name (also *.example.com) or an address; may be repeated.", metavar="NAME"),
]
User = Annotated[str | None, typer.Option("--user", help="The user that a client is (common name).", metavar="USER")]
Groups = Annotated[
    list[str] | None,
    typer.Option("--group", help="A group that a client is in (organization); may be repeated.", metavar="GROUP"),
]
Lifetime = Annotated[str | None, typer.Option("--for", help="How long it is valid, as in 90d, 1y or 12h.", metavar="SPAN")]
KeyType = Annotated[Kind, typer.Option("--key-type", help="Which key is made.")]
AuthorityFolder = Annotated[
    Path, typer.Option("--ca", help="The folder of the CA (kubegate certs ca init).", metavar="FOLDER", readable=False)
]
FormOption = Annotated[Form, typer.Option("--format", help="The form of what is written.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Beginning of the files' names. Default: the first name, here.", metavar="PATH", readable=False),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        help="File with the password of --format pkcs12. Default: it is asked for.",
        metavar="FILE",
        readable=False,
    ),
]
Namespace = Annotated[str | None, typer.Option("--namespace", help="Namespace of --format secret.", metavar="NAME")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]


class Asked:
    """What was asked for, while it is found out whether it can be done: every problem, before anything is done."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def of(self, work: Callable[[], T], otherwise: U) -> T | U:
        """What comes of `work`, or `otherwise` if its input cannot be used."""
        try:
            return work()
        except InvalidInput as error:
            self.problems += error.problems
            return otherwise

    def places(self, paths: Sequence[Path], *, force: bool) -> None:
        """See that files can be written there, and that none is there unless that is meant."""
        for folder in dict.fromkeys(path.parent for path in paths):
            if not folder.is_dir():
                hint = "make it first, or name another one by --out"
                self.problems.append(Problem(printable(str(folder)), "certs.out", "is no folder", hint))
        for path in paths:
            shown = printable(str(path))
            if path.is_dir():
                self.problems.append(Problem(shown, "certs.out", "is a folder", "choose another name by --out"))
            elif not force and (path.exists() or path.is_symlink()):
                hint = "--force replaces it; --out names another place"
                self.problems.append(Problem(shown, "certs.exists", "is there already, and nothing was written", hint))

    def raise_if_any(self) -> None:
        """Raises InvalidInput with every problem that was found."""
        if self.problems:
            raise InvalidInput(dict.fromkeys(self.problems))


def lifetime(text: str | None, flag: str = "--for") -> timedelta | None:
    """A span such as `90d`, `1y` or `12h`. Raises InvalidInput."""
    if text is None:
        return None
    match = _SPAN.fullmatch(text.strip())
    years, days, hours = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    span = timedelta(days=365 * years + days, hours=hours)
    if not timedelta(hours=1) <= span <= _LONGEST:
        message = f"{printable(text[:40])!r} is not a span of time between 1h and 100y"
        raise InvalidInput([Problem(flag, "certs.lifetime", message, "write hours, days or years, as in 12h, 90d or 1y")])
    return span


def read(path: Path) -> bytes:
    """A file that a person named. Raises InvalidInput."""
    shown = printable(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInput([Problem(shown, "file.unreadable", f"cannot be read: {reason(error)}", "check the path")]) from None
    if len(content) > _MOST_BYTES:
        raise InvalidInput([Problem(shown, "file.large", "is larger than 1 MiB, which no certificate or key is")])
    return content


class Password:
    """The password of a key store: from a file, or asked for on the terminal once all else is right. Never an argument."""

    def __init__(self, form: Form, file: Path | None, asked: Asked) -> None:
        self._wanted = form is Form.PKCS12
        self._read: bytes | None = None
        if not self._wanted:
            if file is not None:
                message = "is for --format pkcs12 only: other forms are not enciphered"
                asked.problems.append(Problem("--password-file", "certs.password", message, "leave it out"))
        elif file is not None:
            self._read = asked.of(lambda: _password(file), b"")
        elif not sys.stdin.isatty():
            message = "a password is needed, and there is no terminal to ask for one"
            asked.problems.append(Problem("--password-file", "certs.password", message, "name a file that holds it alone"))

    def get(self) -> bytes:
        """The password; empty for forms that have none."""
        if not self._wanted or self._read is not None:
            return self._read or b""
        typed: str = typer.prompt("Password of the key store", hide_input=True, confirmation_prompt=True, err=True)
        return _good(typed.encode(), "the terminal")


def _password(file: Path) -> bytes:
    return _good(read(file).removesuffix(b"\n").removesuffix(b"\r"), printable(str(file)))


def _good(password: bytes, where: str) -> bytes:
    # keytool refuses shorter ones.
    if len(password) < 6 or b"\n" in password or b"\0" in password:
        message = "holds no password in one line of six characters or more"
        raise InvalidInput([Problem(where, "certs.password", message, "write one, as of: openssl rand -base64 24")])
    return password


def put(files: Sequence[NewFile], *, force: bool) -> None:
    """Write files: all of them, or none. Raises InvalidInput if one came there meanwhile, OSError."""
    try:
        write_all(files, replace=force)
    except FileExistsError:
        hint = "--force replaces it"
        there = [Problem(printable(str(path)), "certs.exists", "is there already", hint) for path in in_the_way(files)]
        raise InvalidInput(there) from None


def facts(one: "Certificate") -> dict[str, Any]:
    """A certificate for scripts."""
    from kubegate.pki.describe import key_of, usages_of

    return {
        "subject": one.subject,
        "issuer": one.issuer,
        "names": list(one.names),
        "usages": usages_of(one),
        "ca": one.is_ca,
        "self_signed": one.self_signed,
        "key": key_of(one),
        "not_before": one.not_before.isoformat(),
        "not_after": one.not_after.isoformat(),
        "days_left": days_left(one),
        "sha256": one.sha256,
    }


def days_left(one: "Certificate") -> int:
    """Whole days until a certificate ends, negative once it has."""
    return (one.not_after - datetime.now(UTC)).days


def left(one: "Certificate") -> tuple[str, str]:
    """The same in words, with a style."""
    days = days_left(one)
    if days < 0:
        return f"EXPIRED {-days} days ago", "bold red"
    return f"{days} days left", "yellow" if days < _FEW_DAYS else ""


def written(
    one: "Certificate", files: Sequence[NewFile], warnings: Iterable[Problem], output: Output, *more: tuple[str, str]
) -> None:
    """Say what was made, and where it is."""
    told = list(warnings)
    if output is Output.JSON:
        places = [{"path": str(file.path), "mode": f"{file.mode:04o}"} for file in files]
        told_of = [{"code": problem.code, "message": problem.message, "hint": problem.hint} for problem in told]
        show_json({"certificate": facts(one), "files": places, "warnings": told_of} | dict(more))
        return
    pairs = [
        ("for", ", ".join(one.names) or one.subject),
        ("valid until", f"{one.not_after:%Y-%m-%d %H:%M} UTC, {left(one)[0]}"),
        ("sha256", one.sha256),
        *more,
        *(("file", f"{file.path} (mode {file.mode:04o})") for file in files),
    ]
    show([*rows(pairs), *remarks(told)])


def remarks(found: Iterable[Problem]) -> Iterator[Text]:
    """Warnings as lines."""
    for problem in found:
        yield line(("warning: ", "bold yellow"), problem.message)
        if problem.hint:
            yield line((f"         {problem.hint}", "dim"))
