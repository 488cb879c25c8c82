"""Files that a kubeconfig names: where they are, what is in them, and what is wrong with them."""

import os
from pathlib import Path

from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem

_MOST_BYTES = 16 << 20


def read_file(path: Path, where: str, code: str) -> bytes:
    """The content of a file. Raises InvalidInput with one problem, `code`, at `where` if it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        what = (error.strerror or "error").lower()
        raise InvalidInput([Problem(where, code, f"{printable(str(path))} cannot be read: {what}")]) from None
    if len(content) > _MOST_BYTES:
        raise InvalidInput([Problem(where, code, f"{printable(str(path))} is larger than 16 MiB")])
    return content


def beside(file: Path, text: str) -> Path:
    """A path as it stands in `file`: relative ones start at the file's folder, and are cleaned without looking.

    As client-go's ResolveLocalPaths does it (filepath.Join of the absolute folder): `..` is taken away before links
    are followed.
    """
    return Path(os.path.normpath(file.absolute().parent / text))
