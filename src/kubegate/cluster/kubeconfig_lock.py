"""The lock file that kubectl takes before it changes a kubeconfig (client-go's clientcmd, loader.go: lockFile)."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from kubegate.errors import KubegateError
from kubegate.model.names import printable

_LOOK_SECONDS = 0.05
_OLD_SECONDS = 60.0
# A lock that a Ctrl-C left behind would keep kubectl from writing until somebody removes it.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Locked(KubegateError):
    """Another program has the lock file, or one that died left it behind. Nothing was changed."""


@contextlib.contextmanager
def locked(file: Path, seconds: float) -> Iterator[None]:
    """Hold `NAME.lock` beside `file`, which only one can make; wait so long for it. Raises Locked, or OSError.

    It stands beside the name that is used, not beside the file that a link leads to, as kubectl has it. A lock that is there
    is never removed, however old: whose it is cannot be known.
    """
    lock, deadline = file.with_name(f"{file.name}.lock"), time.monotonic() + seconds
    while (before := _taken(lock)) is None:
        if time.monotonic() > deadline:
            raise _held(lock, seconds)
        time.sleep(_LOOK_SECONDS)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _taken(lock: Path) -> set[int | signal.Signals] | None:
    """Make the lock file, and let signals that would end this process wait until it is gone again.

    Returns those that waited before, None if somebody else has it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if isinstance(error, FileExistsError):
            return None
        raise
    return set(before)


def _held(lock: Path, seconds: float) -> Locked:
    shown = printable(str(lock))
    try:
        age = max(0.0, time.time() - lock.lstat().st_mtime)
    except OSError:
        return Locked(f"{shown} was taken by other programs for {seconds:g} s", "try again")
    message = f"{shown} says that another program writes the kubeconfig; it is {_said(age)} old"
    if age < _OLD_SECONDS:
        return Locked(message, "wait for that program; remove the lock file only if there is none")
    return Locked(message, f"no program takes that long: one that died left it. See that no kubectl runs, then: rm {shown}")


def _said(seconds: float) -> str:
    """An age in the largest unit that fits."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
