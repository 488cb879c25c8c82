"""kubegate as a person starts it, by its command line; nothing here knows what is in it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.machine import on_core
from bench.upstream import LOOPBACK, Bench
from tests.support.expose import expose, home, kubeconfig
from tests.support.tls import API_NAME


@dataclass(frozen=True)
class Gate:
    """A kubegate that runs: its process, its HAProxy, and the folder of the configuration that runs."""

    port: int
    pid: int
    haproxy: Path
    config: Path


@contextlib.contextmanager
def kubegate(bench: Bench, upstream: int, *arguments: str) -> Iterator[Gate]:
    """Expose the API server on port `upstream` of loopback, with the front certificate of the run."""
    pem = str(bench.folder / "front.pem")
    certificate = () if "--passthrough" in arguments else ("--cert", pem, "--key", pem)
    with home() as person:
        declared = kubeconfig(
            person.path / "source.yaml", f"https://{LOOPBACK}:{upstream}", cluster={"tls-server-name": API_NAME}
        )
        argv = ["--kubeconfig", str(declared), "--listen", f"{LOOPBACK}:0", *certificate, *arguments]
        with expose(*argv, home=person, before=on_core(bench.cores.gate)) as gate:
            master = psutil.Process(gate.haproxy().pid)
            [config] = person.runtime.glob("*/current/haproxy.cfg")
            yield Gate(gate.port, gate.process.pid, Path(master.exe()), config.parent.resolve())
