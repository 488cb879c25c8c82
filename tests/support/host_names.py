"""Names that lead to this machine for as long as a test runs: kubectl and others look them up in /etc/hosts."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

_HOSTS = Path("/etc/hosts")
_MARKER = "# kubegate test names"


@contextlib.contextmanager
def host_names(*names: str, address: str = "127.0.0.1") -> Iterator[None]:
    """Names with an address of this machine."""
    mine = f"{address} {' '.join(names)} {_MARKER}"
    _HOSTS.write_text("\n".join([*_HOSTS.read_text().splitlines(), mine]) + "\n")
    try:
        yield
    finally:
        _HOSTS.write_text("\n".join(line for line in _HOSTS.read_text().splitlines() if line != mine) + "\n")
