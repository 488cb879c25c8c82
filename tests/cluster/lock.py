"""One user of a cluster at a time: the lock, and who holds it.

The lock is an abstract unix socket and not a file: the kernel releases it with its holder whatever happens, tells the
holder's pid to whoever connects, and nothing is left behind.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.layout import Site


class Lock:
    """Held from construction until `release`."""

    def __init__(self, site: Site) -> None:
        name = f"\0{site.work.name}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(name)
            self._socket.listen(1)
        except OSError:
            self._socket.close()
            raise ClusterError(f"The {site.name} test cluster is in use by {_holder(name)}; wait for it to end.") from None

    def release(self) -> None:
        self._socket.close()


def _holder(name: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(name)
            pid, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return "another process"
    return f"pid {pid} (`{' '.join(word.decode(errors='replace') for word in words if word)}`)"
