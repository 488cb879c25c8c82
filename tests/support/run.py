"""`kubegate run` as an operator runs it: a declared file that tests write and write again, and the gate that follows it."""

import asyncio
import contextlib
import json
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import psutil
import yaml

from kubegate.model.address import Endpoint
from kubegate.model.gate_status import ClusterStatus, GateStatus
from kubegate.runtime.control import ask
from kubegate.runtime.gate_folders import folders_of
from kubegate.runtime.generation import Store
from kubegate.system.network import free_port
from kubegate.system.processes import ProcessId
from tests.support.expose import Home, command, kubegate
from tests.support.forge import Forged, forge
from tests.support.rawh2 import Client as Client2
from tests.support.rawhttp import Answer, Client, request
from tests.support.tls import API_NAME, client_context, cluster_authority, front_authority
from tests.support.upstream import eventually

_START_SECONDS = 60.0
_END_SECONDS = 60.0
Document = dict[str, Any]


def front_leaf(*names: str) -> Forged:
    """A certificate for the gate to show for these names."""
    return forge(names[0], front_authority(), names=list(names))


def write_pair(folder: Path, name: str, leaf: Forged) -> dict[str, str]:
    """Certificate and key as an operator has them; returns what a declaration says of them."""
    (folder / f"{name}.crt").write_bytes(leaf.pem)
    (folder / f"{name}.key").write_bytes(leaf.key_pem)
    return {"cert": f"{name}.crt", "key": f"{name}.key"}


class Listening(Protocol):
    """Whatever has an address of its own."""

    @property
    def endpoint(self) -> Endpoint: ...


def cluster(folder: Path, name: str, *upstreams: Listening, ca: Forged | None = None, **more: Any) -> Document:
    """The declaration of a cluster `NAME.test` with these API servers, their CA and a certificate in `folder`."""
    (folder / f"{name}-ca.crt").write_bytes((ca or cluster_authority()).pem)
    declared: Document = {
        "name": name,
        "hosts": [f"{name}.test"],
        "upstream": {
            "servers": [str(upstream.endpoint) for upstream in upstreams],
            "ca": f"{name}-ca.crt",
            "serverName": API_NAME,
        },
        "health": {"interval": "300ms"},
    }
    if more.get("mode") != "passthrough":
        declared["certificate"] = write_pair(folder, name, front_leaf(f"{name}.test", "127.0.0.1"))
    return declared | more


def gate_file(_: Path, *clusters: Document, port: int | None = None, listener: Document | None = None, **more: Any) -> Document:
    """A whole declaration with one listener on loopback."""
    address = f"127.0.0.1:{port or free_port('127.0.0.1')}"
    declared = {
        "apiVersion": "kubegate.dev/v1alpha1",
        "kind": "Gate",
        "listeners": [{"name": "main", "address": address} | (listener or {})],
        "clusters": list(clusters),
    }
    return declared | more


class Running:
    """A gate that runs, and its file."""

    def __init__(self, file: Path, home: Home, before: Sequence[str] = (), extra: Mapping[str, str] | None = None) -> None:
        self.file = file
        self.home = home
        with (file.parent / "said.log").open("ab") as said:
            self.process = subprocess.Popen(
                [*before, *command("run", "-c", str(file))],
                env=home.environ(extra),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
        self.extra = dict(extra or {})
        self.folders = folders_of(file, home.environ(extra))

    @property
    def said(self) -> str:
        """Everything that it, or one before it, has said."""
        return (self.file.parent / "said.log").read_text()

    def wait_for(self, words: str, times: int = 1, seconds: float = 30) -> None:
        """Wait until words were said that often."""
        deadline = time.monotonic() + seconds
        while self.said.count(words) < times:
            assert time.monotonic() < deadline, f"{words!r} was not said {times} times, but: {self.said}"
            assert self.process.poll() is None or self.said.count(words) >= times, f"it ended: {self.said}"
            time.sleep(0.02)

    def until_running(self) -> None:
        """Wait until it answers on its own socket."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.said}"
            with contextlib.suppress(AssertionError):
                if self.status().pid == self.process.pid:
                    return
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    @property
    def document(self) -> Document:
        """The file as it is now."""
        found: Document = yaml.safe_load(self.file.read_text())
        return found

    def rewrite(self, document: Document) -> None:
        """Put another declaration in the file's place, in one step."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(document, sort_keys=False))
        fresh.replace(self.file)

    def edit(self, change: Callable[[Document], object]) -> int:
        """Change the declaration and wait until a new generation runs; returns its number."""
        before = self.status().generation
        document = self.document
        change(document)
        self.rewrite(document)
        return self.next_generation(before)

    def next_generation(self, before: int, seconds: float = 30) -> int:
        """Wait for a generation after `before`; returns its number."""
        deadline = time.monotonic() + seconds
        while (now := self.status().generation) <= before:
            assert time.monotonic() < deadline, f"still generation {before}: {self.said}"
            time.sleep(0.05)
        return now

    def status(self) -> GateStatus:
        """Its status, asked in this process. Raises AssertionError if nobody answers."""
        from kubegate.runtime import control_client

        try:
            return control_client.status(self.file, self.home.environ(self.extra))
        except control_client.NotRunning as error:
            raise AssertionError(error.message) from None

    def cluster(self, name: str) -> ClusterStatus:
        """The status of one cluster."""
        return next(cluster for cluster in self.status().clusters if cluster.name == name)

    def until_up(self, name: str, servers: int = 1) -> None:
        """Wait until that many API servers of a cluster are known to be up."""
        eventually(
            lambda: sum(s.state == "up" and s.why == "answers" for s in self.cluster(name).servers) >= servers, f"{name} is up"
        )

    @property
    def port(self) -> int:
        """The port of the first listener."""
        return int(self.document["listeners"][0]["address"].rpartition(":")[2])

    @property
    def haproxy(self) -> psutil.Process:
        """HAProxy's master process."""
        found = ProcessId.load(Store(self.folders.run, self.folders.kept).process_file)
        assert found is not None
        return psutil.Process(found.pid)

    def workers(self) -> list[int]:
        """The pids of all workers."""
        return sorted(child.pid for child in self.haproxy.children())

    def port_of(self, listener: str) -> int:
        """The port of a listener, or of the metrics."""
        addresses = {one["name"]: one["address"] for one in self.document["listeners"]}
        addresses["metrics"] = self.document.get("metrics", {}).get("address", "")
        return int(addresses[listener].rpartition(":")[2])

    def dial(
        self, name: str | None = "one.test", *, trusted: Forged | None = None, verify: bool = True, listener: str | None = None
    ) -> Client:
        """A connection that speaks HTTP/1; `name` is sent as SNI and verified, None sends none and verifies the address."""
        port = self.port_of(listener) if listener else self.port
        return Client.connect("127.0.0.1", port, client(trusted, verify=verify), name or "127.0.0.1")

    def dial2(self, name: str | None = "one.test", *, verify: bool = True, listener: str | None = None) -> Client2:
        """A connection that speaks HTTP/2; `name` as in `dial`."""
        port = self.port_of(listener) if listener else self.port
        return Client2.connect("127.0.0.1", port, client(verify=verify), name or "127.0.0.1")

    def ask(
        self, target: str = "/", name: str | None = "one.test", host: str | None = None, method: str = "GET", **more: Any
    ) -> Answer:
        """One request on a connection of its own."""
        with self.dial(name, **more) as connection:
            return connection.ask(request(method, target, host=host or name or f"127.0.0.1:{self.port}"))

    def tell(self, command: str) -> str:
        """One question to the Runtime API of HAProxy's current worker."""
        return asyncio.run(ask(Store(self.folders.run, self.folders.kept).admin_socket, command))

    def kill(self) -> None:
        """End the control plane without a chance to do anything."""
        self.process.kill()
        self.process.wait()

    def again(self) -> "Running":
        """Another control plane for the same file."""
        heir = Running(self.file, self.home, extra=self.extra)
        heir.until_running()
        return heir

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = _END_SECONDS) -> int:
        """Ask it to stop and wait; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def end(self) -> None:
        """Make sure that nothing of it runs any more."""
        with contextlib.suppress(AssertionError, psutil.Error):
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                time.sleep(0.1)
                self.process.send_signal(signal.SIGTERM)
                self.process.wait(_END_SECONDS)
        for process in self.home.processes():
            if process.name() == "haproxy":
                with contextlib.suppress(psutil.Error):
                    process.kill()


def client(trusted: Forged | None = None, *, verify: bool = True) -> ssl.SSLContext:
    """What a client of the gate trusts: the CA of its certificates, or nobody in particular."""
    context = client_context(trusted or front_authority())
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def run(document: Document, home: Home, folder: Path | None = None, **more: Any) -> Iterator[Running]:
    """`kubegate run` with this declaration, answering; nothing of it is left at the end."""
    folder = folder or home.path
    file = folder / "kubegate.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    gate = Running(file, home, **more)
    try:
        gate.until_running()
        yield gate
    finally:
        gate.end()


def refused(document: Document | str, home: Home, *words: str) -> list[dict[str, str]]:
    """The problems with which a command, `check` by default, refuses a declaration; it must exit with 2 and say nothing else."""
    file = home.path / "kubegate.yaml"
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False))
    done = kubegate(*(words or ("check",)), "-c", str(file), "--output", "json", home=home)
    assert done.returncode == 2, done.stdout + done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)["problems"]
    return found


def open_files(pid: int) -> int:
    """How many descriptors a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
