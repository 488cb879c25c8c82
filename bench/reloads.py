"""Reloads under load: what each costs a gate, and how many requests are lost.

Each gate is told to read a changed configuration in the way in which its operators do it. Envoy is not here: it takes changes
by its own API, and has no such reload.
"""

import contextlib
import http.client
import itertools
import os
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench import processes
from bench.machine import on_core
from bench.upstream import LOOPBACK, POD, Bench, answers
from kubegate.runtime.binary import find
from kubegate.system.network import free_port
from tests.support.expose import home
from tests.support.run import Running, gate_file, run
from tests.support.tls import API_NAME, GATE_NAME

RELOADS = 50
CLIENTS = 8
_BETWEEN_SECONDS = 0.1
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Reloading:
    """A gate, the process above all of its others, and what makes it read its configuration and returns when it has."""

    name: str
    port: int
    pid: int
    reload: Callable[[], None]


@dataclass
class Clients:
    """Clients that ask on kept connections, and open another one where theirs was closed before they asked again."""

    port: int
    answered: int = 0
    lost: int = 0
    _stopping: threading.Event = field(default_factory=threading.Event)
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def work(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        while not self._stopping.is_set():
            connection = http.client.HTTPSConnection(LOOPBACK, self.port, context=context, timeout=_PATIENCE_SECONDS)
            with contextlib.closing(connection):
                while not self._stopping.is_set() and self._once(connection):
                    pass

    def _once(self, connection: http.client.HTTPSConnection) -> bool:
        try:
            connection.request("GET", POD, headers={"Authorization": "Bearer t"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            with self._counting:
                self.lost += 1
            return False
        with self._counting:
            self.answered += answer.status == 200
            self.lost += answer.status != 200
        return not answer.will_close

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        threads = [threading.Thread(target=self.work, daemon=True) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join(_PATIENCE_SECONDS)


@contextlib.contextmanager
def kubegate(bench: Bench, upstream: int) -> Iterator[Reloading]:
    """`kubegate run`, whose file is written anew with another timeout."""
    pem = str(bench.folder / "front.pem")
    declared = {
        "name": "dev",
        "hosts": [GATE_NAME],
        "certificate": {"cert": pem, "key": pem},
        "upstream": {"servers": [f"{LOOPBACK}:{upstream}"], "ca": str(bench.folder / "ca.pem"), "serverName": API_NAME},
    }
    with home() as person:
        document = gate_file(person.path, declared, listener={"defaultCluster": "dev"})
        port = int(document["listeners"][0]["address"].rpartition(":")[2])
        with run(document, person, before=on_core(bench.cores.gate)) as gate:
            spans = itertools.count(301)
            yield Reloading("kubegate", port, gate.process.pid, lambda: _edited(gate, next(spans)))


def _edited(gate: Running, seconds: int) -> None:
    gate.edit(lambda document: document["clusters"][0].update(timeouts={"request": f"{seconds}s"}))


@contextlib.contextmanager
def seed(bench: Bench, upstream: int) -> Iterator[Reloading]:
    """HAProxy by hand, in master-worker mode, which reads its file again on SIGUSR2."""
    port = free_port(LOOPBACK)
    config = bench.fill("seed-haproxy.cfg", PORT=port, UPSTREAM_PORT=upstream, HOST=GATE_NAME)
    command: list[str | Path] = [*on_core(bench.cores.gate), find().path, "-W", "-f", config]
    with processes.running(command, lambda: answers(port)) as process:
        yield Reloading("HAProxy by hand", port, process.pid, lambda: _signalled(process.pid, signal.SIGUSR2))


@contextlib.contextmanager
def nginx(bench: Bench, upstream: int) -> Iterator[Reloading]:
    """nginx, which reads its file again on SIGHUP."""
    port = free_port(LOOPBACK)
    config = bench.fill("nginx.conf", PORT=port, UPSTREAM_PORT=upstream, API_NAME=API_NAME, FOLDER=bench.folder)
    command: list[str | Path] = [*on_core(bench.cores.gate), "nginx", "-p", bench.folder, "-c", config]
    with processes.running(command, lambda: answers(port)) as process:
        yield Reloading("nginx", port, process.pid, lambda: _signalled(process.pid, signal.SIGHUP))


def _signalled(pid: int, number: signal.Signals) -> None:
    """Send a signal, and wait until there is a worker that was not there before."""
    before = {child.pid for child in psutil.Process(pid).children()}
    os.kill(pid, number)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not {child.pid for child in psutil.Process(pid).children()} - before:
        if time.monotonic() > deadline:
            raise SystemExit(f"process {pid} did not reload")
        time.sleep(0.01)


STARTS = (kubegate, seed, nginx)


@dataclass(frozen=True)
class Reloads:
    """What came of some reloads: milliseconds of CPU for each of them, requests answered and lost."""

    milliseconds: float
    answered: int
    lost: int


def measure(gate: Reloading) -> Reloads:
    """Reload under load; what its requests cost is taken off, as they cost it before."""
    clients = Clients(gate.port)
    with clients.working():
        time.sleep(1)
        request = _cost_of_a_request(gate.pid, clients)
        cpu, answered = processes.cpu_with_ended(gate.pid), clients.answered
        for _ in range(RELOADS):
            gate.reload()
            time.sleep(_BETWEEN_SECONDS)
        used, carried = processes.cpu_with_ended(gate.pid) - cpu, clients.answered - answered
    return Reloads((used - carried * request) * 1000 / RELOADS, clients.answered, clients.lost)


def _cost_of_a_request(pid: int, clients: Clients) -> float:
    cpu, answered = processes.cpu_with_ended(pid), clients.answered
    time.sleep(3)
    return (processes.cpu_with_ended(pid) - cpu) / max(1, clients.answered - answered)
