"""`kubegate proxy` and the real `kubectl proxy` as scripts run them: a process each, its start line, and what it says."""

import contextlib
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.cluster import build
from tests.support.expose import Home, command
from tests.support.rawhttp import Answer, Client, request
from tests.support.upstream import Request
from tests.support.wire import PATIENCE_SECONDS, Wire

_START_SECONDS = 30.0
_END_SECONDS = 40.0
# Headers of a WebSocket's opening (RFC 6455).
WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
_START = "Starting to serve on "


class Proxying:
    """A proxy that runs. `where` is what it printed: an address, or the path of a unix socket."""

    def __init__(self, process: subprocess.Popen[str], where: Sequence[str]) -> None:
        self.process = process
        self.places = tuple(where)
        self.events: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def where(self) -> str:
        """The first place where it listens."""
        return self.places[0]

    @property
    def port(self) -> int:
        """The port of the first place."""
        return int(self.where.rpartition(":")[2])

    @property
    def said(self) -> str:
        """What it has said on standard error so far."""
        return "".join(self.events)

    def wait_for(self, words: str, seconds: float = 20) -> None:
        """Wait until something was said."""
        deadline = time.monotonic() + seconds
        while words not in self.said:
            assert time.monotonic() < deadline, f"{words!r} was not said, but: {self.said}"
            time.sleep(0.01)

    def dial(self, at: int = 0) -> Client:
        """A connection to one of its places."""
        where = self.places[at]
        if "/" in where:
            return Client(unix(Path(where)))
        host, _, port = where.rpartition(":")
        return Client.connect("127.0.0.1" if host == "[::]" else host.strip("[]"), int(port))

    def ask(
        self, target: str = "/", *headers: str, method: str = "GET", host: str | None = "", at: int = 0, **more: Any
    ) -> Answer:
        """One request on a connection of its own; the Host is where it listens unless another one, or None, is given."""
        named = self.places[at] if "/" not in self.places[at] else "localhost"
        with self.dial(at) as client:
            return client.ask(request(method, target, *headers, host=host if host != "" else named, **more))

    def haproxy(self) -> list[psutil.Process]:
        """HAProxy's master, and its workers."""
        found = [one for one in psutil.Process(self.process.pid).children(recursive=True) if one.name() == "haproxy"]
        return sorted(found, key=lambda one: one.ppid() != self.process.pid)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = _END_SECONDS) -> int:
        """Ask it to stop, and wait; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(seconds)
        self._listener.join(seconds)
        return code

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with contextlib.suppress(ValueError):
            self.events.extend(self.process.stderr)


def unix(path: Path) -> Wire:
    """A connection to a unix socket."""
    found = _UnixSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    found.settimeout(PATIENCE_SECONDS)
    found.connect(str(path))
    return Wire(found)


class _UnixSocket(socket.socket):
    """A unix socket for `Wire`, which knows TCP."""

    def setsockopt(self, *_: object) -> None:
        """There is no delay to be switched off."""


def name_of(seen: Request) -> str:
    """The name in the client certificate that a request came with, empty if it had none."""
    assert seen.wire.tls is not None
    der = seen.wire.tls.getpeercert(binary_form=True)
    if not der:
        return ""
    [name] = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


def alive(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; one that nobody has buried does not."""
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def kubectl() -> Path:
    """The real kubectl of the test cluster's version; the test is skipped where it is not built."""
    folder = build.cached()
    if folder is None:
        pytest.skip("the Kubernetes programs are not built (python -m tests.cluster build)")
    return folder / "kubectl"


@contextlib.contextmanager
def proxying(
    *arguments: str, home: Home, program: Sequence[str] = (), extra: Mapping[str, str] | None = None, places: int = 1
) -> Iterator[Proxying]:
    """`kubegate proxy` (or another `program`) with these arguments, listening; ended at the end if it still runs."""
    process = subprocess.Popen(
        [*(program or command("proxy")), *arguments],
        env=home.environ(extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    running: Proxying | None = None
    try:
        running = Proxying(process, [_started(process) for _ in range(places)])
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
            if process.poll() is None:
                process.kill()
            process.wait(_END_SECONDS)
        with process:
            if running is not None:
                running.stop()


def _started(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    # Not by select: a second line may be in the buffer already.
    in_time = threading.Timer(_START_SECONDS, process.kill)
    in_time.start()
    line = process.stdout.readline()
    in_time.cancel()
    if not line.startswith(_START):
        process.kill()
        raise AssertionError(f"it did not start: {line}{process.communicate()[1]}")
    return line.removeprefix(_START).rstrip("\n")
