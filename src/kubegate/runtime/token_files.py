"""Files of `--token-auth-file` on disk: read, a record added or removed in one step, readable by their owner alone."""

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubegate.bootstrap.token_file import StaticToken, TokenFile, new_record, read_token_file, record_problems, without
from kubegate.cluster.files import read_file
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.system.file_sets import NewFile, write_all
from kubegate.system.files import alone_in, explained


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change did: the tokens that it was about, and what is wrong with the rest of the file."""

    tokens: tuple[StaticToken, ...]
    faults: tuple[Problem, ...]


def look(path: Path) -> TokenFile:
    """The tokens in a file and what is wrong with it, who may read it included. Raises InvalidInput if it cannot be read."""
    content = read_file(path, "FILE", "token-file.unreadable")
    found = read_token_file(content, printable(str(path)))
    return TokenFile(found.tokens, found.fatal, (*found.faults, *_openness(path)))


def add(path: Path, user: str, uid: str, groups: Sequence[str]) -> Changed:
    """Add a record with a new token, in a new file if there is none. Raises InvalidInput; then nothing was changed."""
    with _alone(path):
        before = read_file(path, "FILE", "token-file.unreadable") if path.exists() else b""
        found = _sound(path, before)
        if problems := record_problems(user, uid, groups, found):
            raise InvalidInput(problems)
        record = new_record(user, uid, groups)
        begun = before if not before or before.endswith(b"\n") else before + b"\n"
        _write(path, begun + record.encode())
    (made,) = read_token_file(record.encode(), "").tokens
    return Changed((made,), found.faults)


def remove(path: Path, user: str) -> Changed:
    """Remove all records with a token of a user, and those that such a record overruled. Raises InvalidInput; then nothing
    was changed."""
    with _alone(path):
        before = read_file(path, "FILE", "token-file.unreadable")
        found = _sound(path, before)
        gone = tuple(one for one in found.tokens if one.user == user)
        if not gone:
            known = ", ".join(sorted({printable(one.user) for one in found.tokens})) or "nobody"
            message = f"no token in {printable(str(path))} is that of {printable(user)}"
            raise InvalidInput([Problem("--user", "token-file.nobody", message, f"there are tokens of: {known}")])
        tokens = {one.token for one in gone}
        _write(path, without(before, (*gone, *(one for one in found.overruled if one.user == user or one.token in tokens))))
    return Changed(gone, ())


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    folder = Path(os.path.realpath(path)).parent
    with explained(f"{printable(str(folder))} cannot be used"), alone_in(folder):
        yield


def _sound(path: Path, content: bytes) -> TokenFile:
    found = read_token_file(content, printable(str(path)))
    if found.fatal:
        raise InvalidInput(found.fatal)
    return found


def _write(path: Path, content: bytes) -> None:
    """Write it for its owner, and for its group if that could read it: kube-apiserver may run as another user. For no others."""
    with explained(f"{printable(str(path))} cannot be written"):
        target = Path(os.path.realpath(path))
        found = NewFile.instead_of(target, content) if target.exists() else NewFile(target, content)
        write_all([found.kept_from_others()], replace=True)


def _openness(path: Path) -> list[Problem]:
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & 0o077:
        return []
    where = printable(str(path))
    message = f"other users of this machine may read or change its tokens (mode {mode:04o})"
    return [Problem(where, "token-file.mode", message, f"chmod 600 {where}")]
