"""A folder that a command makes for its files: all of them are in it, or it is not there."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from kubegate.model.problem import InvalidInput, Problem
from kubegate.system.files import reason, write_new


def write_folder(folder: Path, files: Mapping[str, tuple[bytes, int]]) -> None:
    """Write a new folder with these files, bytes and modes, or, if that fails, nothing."""
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        hint = "name a folder that does not exist yet, in one that does"
        message = f"the folder cannot be made: {reason(error)}"
        raise InvalidInput([Problem(f"--out {folder}", "out.folder", message, hint)]) from None
    try:
        for name, (content, mode) in files.items():
            path = folder / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_new(path, content, mode)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
