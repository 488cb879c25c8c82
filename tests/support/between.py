"""Something between a client and an API server that does not let everything pass: a real HAProxy, told to misbehave."""

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kubegate.runtime.binary import find
from kubegate.system.network import free_port
from tests.support.forge import Forged
from tests.support.tls import whole

_START_SECONDS = 20.0


@contextlib.contextmanager
def between(upstream_port: int, leaf: Forged, *rules: str) -> Iterator[int]:
    """HAProxy on loopback that opens TLS with `leaf` and goes on to a port there by TLS; gives its own port.

    `rules` are lines of its frontend.
    """
    port = free_port("127.0.0.1")
    with tempfile.TemporaryDirectory(prefix="kg-") as name:
        folder = Path(name)
        (folder / "front.pem").write_bytes(whole(leaf))
        lines = [
            "defaults",
            "  mode http",
            "  timeout connect 5s",
            "  timeout client 30s",
            "  timeout server 30s",
            "frontend front",
            f"  bind 127.0.0.1:{port} ssl crt {folder}/front.pem alpn http/1.1",
            *(f"  {rule}" for rule in rules),
            "  default_backend api",
            "backend api",
            f"  server api 127.0.0.1:{upstream_port} ssl verify none",
        ]
        (folder / "haproxy.cfg").write_text("\n".join(lines) + "\n")
        process = subprocess.Popen([find().path, "-db", "-q", "-f", str(folder / "haproxy.cfg")])
        try:
            _wait_for(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None and time.monotonic() < deadline, "HAProxy did not start"
        time.sleep(0.02)


@contextlib.contextmanager
def swallowing() -> Iterator[int]:
    """A port on loopback on which no connection is ever established: its queue is full, so the kernel answers nothing."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        time.sleep(0.2)
        yield int(listener.getsockname()[1])
