"""The client kubeconfig's file: whether it may be written, and writing it. What stands there is never lost unasked."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from kubegate.cluster.document import read_document
from kubegate.model.problem import InvalidInput, Problem
from kubegate.system.files import explained, reason, write_atomically

# How contexts of client kubeconfigs begin; a file that has others is not ours to replace.
CONTEXT_PREFIX = "kubegate-"


def target_of(out: Path, read: Iterable[Path]) -> Path:
    """The file that is really written: `out` itself, or where it links to, so that the link stays.

    Raises InvalidInput if it cannot or must not be written; `read` are files that this command reads.
    """
    try:
        found = _problem(out, read)
    except OSError as error:
        found = ("unusable", f"it cannot be used: {reason(error)}", "choose another file")
    if found is None:
        return Path(os.path.realpath(out))
    code, message, hint = found
    raise InvalidInput([Problem(f"--out {out}", f"out.{code}", message, hint)])


def write(target: Path, content: str) -> None:
    """Write the client kubeconfig in one step, readable by this user alone. Raises FileTrouble."""
    with explained(f"the client kubeconfig {target} cannot be written"):
        write_atomically(target, content.encode())


def _problem(out: Path, read: Iterable[Path]) -> tuple[str, str, str] | None:
    # A link that somebody else put there could lead anywhere.
    if out.is_symlink() and out.lstat().st_uid not in (os.geteuid(), 0):
        return "link", "it is a link that belongs to another user", "remove it, or choose another file"
    target = Path(os.path.realpath(out))
    if not target.parent.is_dir():
        return "no-folder", f"there is no folder {target.parent}", "make it (mkdir -p), or choose another file"
    if target in {Path(os.path.realpath(one)) for one in read}:
        return "source", "this command reads that very file", "choose another file"
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and stat.S_ISDIR(mode):
        return "folder", "it is a folder", "name a file in it"
    if mode is not None and not stat.S_ISREG(mode):
        return "special", "it is no regular file", "choose another file"
    if mode is not None and not _is_ours(target):
        message = "there is a file already that no gate wrote, and it would be lost"
        return "foreign", message, "move it away, or choose another file"
    if not os.access(target.parent, os.W_OK | os.X_OK):
        return "unwritable", f"the folder {target.parent} cannot be written to", "choose another file"
    return None


def _is_ours(target: Path) -> bool:
    """Whether this file is empty or a client kubeconfig of a gate."""
    if target.stat().st_size == 0:
        return True
    try:
        contexts = read_document(target).contexts
    except InvalidInput:
        return False
    return bool(contexts) and all(name.startswith(CONTEXT_PREFIX) for name in contexts)
