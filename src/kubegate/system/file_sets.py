"""Several files that belong together: all of them are written, or none, and nothing that is there is lost unasked."""

import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from kubegate.system.files import sync_file, sync_folder, write_new


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that is to be written; `content` may be a key. `owner` (uid, gid) None is whoever writes it."""

    path: Path
    content: bytes = field(repr=False)
    mode: int = 0o600
    owner: tuple[int, int] | None = None

    @classmethod
    def instead_of(cls, path: Path, content: bytes) -> "NewFile":
        """One in the place of a file that is there, through links, with its owner and mode. Raises OSError."""
        target = path.resolve()
        found = target.stat()
        return cls(target, content, stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid))

    def kept_from_others(self) -> "NewFile":
        """The same, for its owner and its group alone."""
        return replace(self, mode=self.mode & 0o770)


def in_the_way(files: Sequence[NewFile]) -> list[Path]:
    """The paths at which something stands already, links that lead nowhere included."""
    return [one.path for one in files if os.path.lexists(one.path)]


def write_all(files: Sequence[NewFile], *, replace: bool) -> None:
    """Write files so that each is there whole, or not at all; with `replace` in the place of what stands there, in this order.

    Raises OSError; then those that would not replace anything are not there, and none is half written.
    """
    with ExitStack() as undo:
        staged = []
        for one in files:
            # A short name, for that of the file may be as long as names can be.
            temporary = one.path.with_name(f".kubegate-{secrets.token_hex(6)}")
            undo.callback(temporary.unlink, missing_ok=True)
            write_new(temporary, one.content, one.mode)
            if one.owner is not None:
                os.chown(temporary, *one.owner)
            sync_file(temporary)
            staged.append((temporary, one.path))
        with ExitStack() as made:
            for temporary, path in staged:
                if replace:
                    temporary.replace(path)
                else:
                    # Unlike a rename it fails where somebody was quicker.
                    os.link(temporary, path)
                    made.callback(path.unlink, missing_ok=True)
            made.pop_all()
    for folder in {one.path.parent for one in files}:
        sync_folder(folder)
