"""One cluster at a time: the lock, and who holds it.

The lock is an abstract unix socket and not a file: the kernel releases it with its holder whatever happens, tells the
holder's pid to whoever connects, and nothing is left behind.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from tests.cluster.errors import ClusterError

NAME = "\0kubegate-test-cluster"


class Lock:
    """Held from construction until `release`."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(NAME)
            self._socket.listen(1)
        except OSError:
            self._socket.close()
            raise ClusterError(f"The test cluster is in use by {_holder()}; wait for it to end.") from None

    def release(self) -> None:
        self._socket.close()


def _holder() -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(NAME)
            pid, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return "another process"
    return f"pid {pid} (`{' '.join(word.decode(errors='replace') for word in words if word)}`)"
