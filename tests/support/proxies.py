"""Real proxies on loopback: pproxy (HTTP, HTTP in TLS, SOCKS5; with a password), tinyproxy and sshd's SOCKS5."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.forge import Forged
from tests.support.listening import closed_port
from tests.support.wire import Wire

USER, PASSWORD = "jane doe", "very-secret:%/@"
QUOTED = "jane%20doe:very-secret%3A%25%2F%40"
_PATIENCE_SECONDS = 10.0
_SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def needed(program: str) -> str:
    """A program of the system, or the test is left out."""
    found = shutil.which(program, path=_SYSTEM_PATH)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


class Server:
    """A TCP server that plays one script with each connection, in threads."""

    def __init__(self, script: Callable[[Wire], None], port: int = 0, **wire: Any) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self._script, self._wire = script, wire
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._play, args=(connection,), daemon=True).start()

    def _play(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), Wire(connection, **self._wire) as wire:
            self._script(wire)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextlib.contextmanager
def pproxy(folder: Path, scheme: str, *, login: bool = False, leaf: Forged | None = None) -> Iterator[int]:
    """A proxy for `http` or `socks5`, in TLS where `leaf` is given; its port."""
    port = closed_port()
    command = [sys.executable, "-W", "ignore", "-m", "pproxy", "-l"]
    command.append(f"{scheme}{'+ssl' if leaf else ''}://127.0.0.1:{port}{f'#{USER}:{PASSWORD}' if login else ''}")
    if leaf is not None:
        (folder / "proxy.crt").write_bytes(leaf.pem)
        (folder / "proxy.key").write_bytes(leaf.key_pem)
        command += ["--ssl", f"{folder}/proxy.crt,{folder}/proxy.key"]
    with _running(command, port):
        yield port


@contextlib.contextmanager
def tinyproxy(folder: Path, *, login: bool = False) -> Iterator[int]:
    """A proxy that speaks HTTP; its port."""
    port = closed_port()
    lines = [f"Port {port}", "Listen 127.0.0.1", "Timeout 30", "MaxClients 50", "Allow 127.0.0.1", f'LogFile "{folder}/log"']
    (folder / "tinyproxy.conf").write_text("\n".join([*lines, *(["BasicAuth jane very-secret"] if login else []), ""]))
    with _running([needed("tinyproxy"), "-d", "-c", str(folder / "tinyproxy.conf")], port):
        yield port


@contextlib.contextmanager
def ssh_socks(folder: Path) -> Iterator[int]:
    """SOCKS5 by `ssh -D` through an sshd of its own; its port."""
    sshd, keygen, ssh = needed("sshd"), needed("ssh-keygen"), needed("ssh")
    folder.chmod(0o700)
    Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "mine"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "mine.pub", folder / "authorized")
    port, socks = closed_port(), closed_port()
    options = [f"HostKey={folder}/host", f"AuthorizedKeysFile={folder}/authorized", "StrictModes=no", "UsePAM=no"]
    options += ["PidFile=none", f"ListenAddress=127.0.0.1:{port}", "PermitRootLogin=yes"]
    server = [sshd, "-D", "-e", "-f", "/dev/null", *(part for one in options for part in ("-o", one))]
    client = [ssh, "-N", "-D", f"127.0.0.1:{socks}", "-p", str(port), "-i", str(folder / "mine"), "-F", "/dev/null"]
    client += ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known", "-o", "BatchMode=yes", "127.0.0.1"]
    with _running(server, port), _running(client, socks):
        yield socks


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            assert process.poll() is None, f"{command[0]} has ended with {process.returncode}"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert time.monotonic() < deadline, f"{command[0]} does not listen"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()
