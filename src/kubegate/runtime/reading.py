"""Reading a declared file from the disk."""

import functools
from pathlib import Path

from kubegate.model.gatefile import Declaration, read_declaration
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.system.files import reason

# A certificate that was renewed is no reason to read a long declaration again.
_read = functools.lru_cache(maxsize=1)(read_declaration)


def read_file(file: Path, shown: str = "") -> Declaration:
    """The declaration in a file, which people know as `shown`. Raises InvalidInput."""
    shown = printable(shown or str(file))
    try:
        content = file.read_bytes()
    except OSError as error:
        hint = {
            FileNotFoundError: "name the declared file by -c FILE",
            IsADirectoryError: "name the file in it by -c FILE",
            PermissionError: "run this as a user who may read it",
        }.get(type(error), "check the path")
        raise InvalidInput([Problem(shown, "file.unreadable", f"it cannot be read: {reason(error)}", hint)]) from None
    return _read(content, shown, file.absolute().parent)
