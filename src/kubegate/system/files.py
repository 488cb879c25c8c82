"""Files that are either the old ones or the new ones, and never readable by others."""

import os
import secrets
import stat
from pathlib import Path

from kubegate.errors import KubegateError


class UnsafeFolder(KubegateError):
    """A folder that should hold secrets belongs to someone else, is open to others, or is not a folder."""


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace `path` by `content` in one step (write, fsync, rename, fsync of the folder). Raises OSError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
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


def sync_folder(path: Path) -> None:
    """Make renames in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private_folder(path: Path) -> Path:
    """`path` as a folder of mode 0700 that belongs to this user, made if it is missing.

    Raises UnsafeFolder if something else stands there, OSError if it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise UnsafeFolder(f"{path} is not a folder", "move it away") from None
        if found.st_uid != os.geteuid():
            raise UnsafeFolder(f"{path} belongs to another user", "remove it, or choose another folder") from None
        if stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o700)
    return path
