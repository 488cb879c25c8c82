"""The file of `kube-apiserver --token-auth-file`: read as the API server reads it, with all that it passes over in silence.

The format is that of Go's encoding/csv with any number of columns: token, user, uid, and groups, of which several are one
quoted column.
"""

import csv
import io
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kubegate.model.names import printable
from kubegate.model.problem import Problem

TOKEN_BYTES = 16
"""128 bits."""

# One record of RFC 4180 as encoding/csv takes it: a quote stands nowhere but around a column, or twice within one.
_RECORD = re.compile(r'(?:[^",\n]*|"(?:[^"]|"")*")(?:,(?:[^",\n]*|"(?:[^"]|"")*"))*\n?')
_FEWEST_COLUMNS = 3
_GROUPS_COLUMN = 3
_SHORT_TOKEN = 22
_TOKEN = re.compile(r"[\x21-\x7e]+")
_SHOWN = 4
_ALL_RIGHTS = "system:masters"


@dataclass(frozen=True, slots=True)
class StaticToken:
    """One token of the file. `line` is where its record begins, `lines` how many lines that has."""

    line: int
    lines: int
    token: str = field(repr=False)
    user: str
    uid: str
    groups: tuple[str, ...]

    @property
    def masked(self) -> str:
        """Enough of the token to tell it from others."""
        return f"{printable(self.token[:_SHOWN])}..." if len(self.token) > 2 * _SHOWN else "..."


@dataclass(frozen=True, slots=True)
class TokenFile:
    """What the API server makes of a file: the tokens that authenticate, and what is wrong.

    With one of `fatal` kube-apiserver does not start; `faults` it passes over, or mentions in its log. Each of `overruled`
    has a token of which a later record says whose it is.
    """

    tokens: tuple[StaticToken, ...]
    fatal: tuple[Problem, ...]
    faults: tuple[Problem, ...]
    overruled: tuple[StaticToken, ...] = ()


def read_token_file(content: bytes, where: str) -> TokenFile:
    """Read the content of a token file that is called `where` in problems. It never raises."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return TokenFile((), (_problem(where, line, "bytes", "is not UTF-8", "write the line anew"),), ())
    fatal: list[Problem] = []
    faults: list[Problem] = []
    if text.startswith("\ufeff"):
        message = "begins with a byte order mark, which the API server takes for a part of the first token"
        faults.append(_problem(where, 1, "mark", message, "save the file as UTF-8 without a mark"))
    found = [one for one in _records(text, where, fatal) if one.columns]
    tokens = [token for record in found if (token := _token(record, where, fatal, faults))]
    winners = tuple(_last_of_each(tokens, where, faults))
    return TokenFile(winners, tuple(fatal), tuple(faults), tuple(one for one in tokens if one not in winners))


def new_record(user: str, uid: str, groups: Sequence[str], token: str | None = None) -> str:
    """A line for a file, with a new token of 128 bits unless one is given; several groups are quoted."""
    buffer = io.StringIO()
    columns = [token or secrets.token_hex(TOKEN_BYTES), user, uid, *([",".join(groups)] if groups else [])]
    csv.writer(buffer, lineterminator="\n").writerow(columns)
    return buffer.getvalue()


def record_problems(user: str, uid: str, groups: Sequence[str], existing: TokenFile) -> list[Problem]:
    """What speaks against a new record beside those that are there."""
    problems = []
    for flag, text in (("--user", user), ("--uid", uid), *(("--group", group) for group in groups)):
        if not text or text != text.strip() or not text.isprintable():
            message = f"{printable(text)!r} is empty, or has spaces at an end or characters that cannot be seen"
            problems.append(Problem(flag, "token-file.text", message, "write a plain name"))
    for group in groups:
        if "," in group:
            message = f"{printable(group)!r} has a comma, which parts groups in this file"
            problems.append(Problem("--group", "token-file.comma", message, "give --group once for each group"))
        if group == _ALL_RIGHTS:
            message = f"the group {_ALL_RIGHTS} may do everything, and nothing takes that from a token of this file but a restart"
            problems.append(Problem("--group", "token-file.masters", message, "give the token a group of its own"))
    for one in existing.tokens:
        if one.uid == uid and one.user != user:
            message = f"{printable(uid)!r} is the uid of {printable(one.user)} (line {one.line})"
            problems.append(Problem("--uid", "token-file.uid", message, "choose another one"))
    return problems


def without(content: bytes, tokens: Sequence[StaticToken]) -> bytes:
    """The content of a file without the records of `tokens`, everything else as it was."""
    gone = {number for one in tokens for number in range(one.line, one.line + one.lines)}
    lines = content.decode().split("\n")
    return "\n".join(text for number, text in enumerate(lines, 1) if number not in gone).encode()


@dataclass(frozen=True, slots=True)
class _Record:
    line: int
    lines: int
    columns: tuple[str, ...]


def _records(text: str, where: str, fatal: list[Problem]) -> Iterator[_Record]:
    """Each record; the reading ends where the API server's would."""
    lines = text.replace("\r\n", "\n").split("\n")
    reader = csv.reader((f"{line}\n" for line in lines), strict=True)
    first = 1
    try:
        for columns in reader:
            raw = "\n".join(lines[first - 1 : reader.line_num])
            if not _RECORD.fullmatch(raw):
                fatal.append(_problem(where, first, "quote", "has a quote within a column", "put quotes around the whole column"))
                return
            yield _Record(first, reader.line_num - first + 1, tuple(columns))
            first = reader.line_num + 1
    except csv.Error as error:
        fatal.append(_problem(where, first, "csv", f"is no record: {error}", "close each quote, and put a comma behind it"))


def _token(record: _Record, where: str, fatal: list[Problem], faults: list[Problem]) -> StaticToken | None:
    line, columns = record.line, record.columns
    if len(columns) < _FEWEST_COLUMNS:
        message = f"has {len(columns)} of the columns token, user and uid: the API server does not start with it"
        fatal.append(_problem(where, line, "columns", message, "write token,user,uid"))
        return None
    token, user, uid = columns[:_FEWEST_COLUMNS]
    if not token:
        faults.append(_problem(where, line, "empty", "has an empty token, and is passed over", "remove the line"))
        return None
    if len(columns) > _GROUPS_COLUMN + 1:
        lost = ", ".join(printable(one) for one in columns[_GROUPS_COLUMN + 1 :])
        groups = ",".join(printable(one.strip()) for one in columns[_GROUPS_COLUMN:])
        message = f"has its groups in several columns, of which all but the first are ignored: {lost}"
        faults.append(_problem(where, line, "unquoted", message, f'write them as one column: "{groups}"'))
    groups_text = columns[_GROUPS_COLUMN] if len(columns) > _GROUPS_COLUMN else ""
    found = StaticToken(line, record.lines, token, user, uid, tuple(groups_text.split(",")) if groups_text else ())
    faults += _weaknesses(found, where)
    return found


def _weaknesses(one: StaticToken, where: str) -> Iterator[Problem]:
    if not _TOKEN.fullmatch(one.token):
        message = "has a token with spaces or characters that no client can send, so it never authenticates"
        yield _problem(where, one.line, "characters", message, "make a new one: kubegate bootstrap token-file add")
    elif len(one.token) < _SHORT_TOKEN:
        message = f"has a token of {len(one.token)} characters, which can be guessed"
        yield _problem(where, one.line, "short", message, "make one of 128 bits: kubegate bootstrap token-file add")
    for what, text in (("user", one.user), ("uid", one.uid), *(("group", group) for group in one.groups)):
        if text != text.strip() or (not text and what != "uid"):
            message = f"has a {what} that is empty or has spaces at an end, and these count: {printable(text)!r}"
            yield _problem(where, one.line, "spaces", message, "write it without them")
    if _ALL_RIGHTS in one.groups:
        message = f"is in the group {_ALL_RIGHTS}: whoever has the token may do everything"
        yield _problem(where, one.line, "masters", message, "give it a group of its own")


def _last_of_each(tokens: Sequence[StaticToken], where: str, faults: list[Problem]) -> Iterator[StaticToken]:
    last = {one.token: one for one in tokens}
    for one in tokens:
        winner = last[one.token]
        if winner is one:
            yield one
        else:
            message = f"has the token of line {winner.line}, which wins: {printable(winner.user)}, not {printable(one.user)}"
            faults.append(_problem(where, one.line, "duplicate", message, "remove one of the two"))


def _problem(where: str, line: int, code: str, message: str, hint: str) -> Problem:
    return Problem(f"{where}:{line}", f"token-file.{code}", message, hint)
