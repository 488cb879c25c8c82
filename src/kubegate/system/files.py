"""Files that are either the old ones or the new ones, and never readable by others."""

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from kubegate.errors import KubegateError


class UnsafeFolder(KubegateError):
    """A folder that should hold secrets belongs to someone else, is open to others, or is not a folder."""


class FileTrouble(KubegateError):
    """The operating system refused something about a file: no space, no permission, no such folder."""


def reason(error: OSError) -> str:
    """What the operating system says, in its words without its numbers."""
    return (error.strerror or str(error) or type(error).__name__).lower()


FileState = tuple[int, int, int]
"""As long as this stays the same (inode, size, time of the last change in ns), reading a file gives the same; zeros for none."""


def state_of(path: Path) -> FileState:
    """The state of a file, through links; it never fails."""
    try:
        found = os.stat(path)  # noqa: PTH116 - thousands of them are looked at again and again
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


@contextlib.contextmanager
def explained(doing: str, hint: str = "") -> Iterator[None]:
    """Turn an OSError into a FileTrouble that begins with `doing`, as in `FILE cannot be written`."""
    try:
        yield
    except OSError as error:
        raise FileTrouble(f"{doing}: {reason(error)}", hint) from None


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace `path` by `content` in one step (write, fsync, rename, fsync of the folder). Raises OSError.

    A link at `path` is replaced too, not followed.
    """
    # A short name, for that of `path` may be as long as names can be.
    temporary = path.with_name(f".kubegate-{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_once(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Make a new file in one step, whole or not at all. Raises OSError, FileExistsError if something is there already."""
    temporary = path.with_name(f".kubegate-{secrets.token_hex(6)}")
    try:
        write_new(temporary, content, mode)
        sync_file(temporary)
        os.link(temporary, path, follow_symlinks=False)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_new(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Make a new file in a folder that nobody looks into yet. It survives a power cut after `sync_file` and `sync_folder`.

    Raises OSError, also if it is there already.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)


def sync_file(path: Path) -> None:
    """Make what is in a file survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make new names and renames in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """While one process reads and writes files in a folder inside the block, others wait. The lock ends with its process.

    Raises OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def private_folder(path: Path) -> Path:
    """`path` as a folder of mode 0700 that belongs to this user, made if it is missing; others lose the right to read it.

    Raises UnsafeFolder if something else stands there, OSError if it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if why := _unsafe(found):
            raise UnsafeFolder(f"{path} {why}", "choose another folder") from None
        if stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o700)
    return path


def why_no_private_folder(path: Path) -> str | None:
    """Why `private_folder` would fail as far as one can see without changing anything; None if nothing speaks against it."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        parent = next(one for one in path.absolute().parents if one.exists())
        if not parent.is_dir():
            return f"cannot be made: {parent} is not a folder"
        return f"cannot be made: {parent} cannot be written to" if not os.access(parent, os.W_OK | os.X_OK) else None
    except OSError as error:
        return f"cannot be made: {reason(error)}"
    if why := _unsafe(found):
        return why
    return "cannot be written to" if not os.access(path, os.W_OK | os.X_OK) else None


def _unsafe(found: os.stat_result) -> str | None:
    if not stat.S_ISDIR(found.st_mode):
        return "is not a folder"
    if found.st_uid != os.geteuid():
        return "belongs to another user"
    # Readable by others can be mended; where others may write, as in /tmp, they have to.
    return "can be written to by other users" if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else None
