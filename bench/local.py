"""`kubegate proxy` beside the real `kubectl proxy`, both with their default filters. `python -m bench.local [--quick]`.

Written into docs/performance.md where nothing was left out.
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import clients, load, report, upstream
from bench.figures import Figure, times
from bench.machine import describe, on_core, open_files
from bench.peers import Peer
from bench.processes import running
from bench.upstream import DOWNLOAD, LOOPBACK, Bench, Fixed, answers
from kubegate.system.network import free_port
from tests.cluster import build
from tests.support.expose import home, kubeconfig
from tests.support.tls import API_NAME

BEGIN, END = "<!-- local proxy: written by `python -m bench.local` -->", "<!-- end of the local proxy -->"
OURS, THEIRS = "kubegate proxy", "kubectl proxy"
CONNECTIONS = (1, 16, 64)
WATCHES = 1000
_REQUESTS = 4000
_STARTS = 9
_STEP_SECONDS = 0.002
_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Row:
    """One figure of both proxies; `most` is what ours may be of theirs, or by itself where `alone`."""

    what: str
    unit: str
    ours: Figure
    theirs: Figure
    most: float | None = None
    alone: bool = False

    @property
    def ratio(self) -> Figure:
        """Ours as a part of theirs, round by round."""
        return times(self.ours, self.theirs)

    @property
    def verdict(self) -> str:
        """Whether what was to be reached was, empty where nothing was."""
        if self.most is None:
            return ""
        return "reached" if (self.ours.median if self.alone else self.ratio.median) <= self.most else "**missed**"

    def cells(self) -> tuple[str, ...]:
        """As a line of a table."""
        shown = [f"{one.median:.2f} ± {one.spread:.2f}" for one in (self.ours, self.theirs, self.ratio)]
        bound = "" if self.most is None else f"{self.most:g}{f' {self.unit}' if self.alone else 'x'}"
        return (f"{self.what} ({self.unit})", shown[0], shown[1], f"{shown[2]}", bound, self.verdict)


Command = Callable[[Path, int], Sequence[str | Path]]


def _ours(config: Path, port: int) -> Sequence[str | Path]:
    return [sys.executable, "-m", "kubegate", "proxy", f"--kubeconfig={config}", f"--port={port}"]


def _theirs(config: Path, port: int) -> Sequence[str | Path]:
    return [build.programs(print) / "kubectl", "proxy", f"--kubeconfig={config}", f"--port={port}"]


COMMANDS: dict[str, Command] = {OURS: _ours, THEIRS: _theirs}


@contextlib.contextmanager
def started(bench: Bench, name: str, port_of_server: int) -> Iterator[Peer]:
    """A proxy that runs on a core of its own, as the person whose token is in a kubeconfig."""
    port = free_port(LOOPBACK)
    with home() as person:
        config = kubeconfig(person.path / "config", f"https://{LOOPBACK}:{port_of_server}", cluster={"tls-server-name": API_NAME})
        command = [*on_core(bench.cores.gate), *COMMANDS[name](config, port)]
        environ = {**person.environ(), "GOMAXPROCS": "1"}
        environ.pop("PATH", None)
        with running(command, lambda: answers(port, tls=False), **environ) as process:
            yield Peer(name, port, process.pid, tls=False, local=True)


def both(
    bench: Bench, port: int, rounds: int, opened: Callable[[Peer], AbstractContextManager[Callable[[], float]]]
) -> tuple[Figure, Figure]:
    """One number of each proxy a round, in turns: ours, theirs."""
    values: dict[str, list[float]] = {OURS: [], THEIRS: []}
    with contextlib.ExitStack() as stack:
        measures = [(name, stack.enter_context(opened(stack.enter_context(started(bench, name, port))))) for name in COMMANDS]
        for number in range(rounds):
            for name, measure in measures if number % 2 else reversed(measures):
                values[name].append(measure())
    return Figure(tuple(values[OURS])), Figure(tuple(values[THEIRS]))


def _each(measure: Callable[[Peer], float]) -> Callable[[Peer], AbstractContextManager[Callable[[], float]]]:
    @contextlib.contextmanager
    def opened(peer: Peer) -> Iterator[Callable[[], float]]:
        yield lambda: measure(peer)

    return opened


def _start(bench: Bench, name: str, port: int) -> float:
    """Seconds from exec to the first answer of the API server."""
    at = free_port(LOOPBACK)
    with home() as person:
        config = kubeconfig(person.path / "config", f"https://{LOOPBACK}:{port}", cluster={"tls-server-name": API_NAME})
        environ = {key: value for key, value in person.environ().items() if key != "PATH"}
        began = time.monotonic()
        ready = [0.0]

        def answered() -> bool:
            while not answers(at, tls=False):
                if time.monotonic() - began > _PATIENCE_SECONDS:
                    return False
                time.sleep(_STEP_SECONDS)
            ready[0] = time.monotonic() - began
            return True

        with running([*on_core(bench.cores.gate), *COMMANDS[name](config, at)], answered, **environ):
            return ready[0]


def rows(bench: Bench, fixed: Fixed, streams: int, rounds: int) -> Iterator[Row]:
    """All figures, as they come."""

    @contextlib.contextmanager
    def steady(peer: Peer) -> Iterator[Callable[[], float]]:
        with load.Steady.open(bench, peer, fixed, http2=False) as kept:
            yield lambda: kept.window().microseconds

    yield Row("small GET, 32 connections", "µs of CPU", *both(bench, fixed.port, 4 * rounds, steady), most=0.25)
    for connections in CONNECTIONS:
        for quantile, name in ((50, "p50"), (99, "p99")):

            def taken(peer: Peer, connections: int = connections, quantile: int = quantile) -> float:
                found = load.latencies(bench, peer, connections, _REQUESTS)
                return statistics.quantiles(found, n=100)[quantile - 1]

            what = f"{name} of a small GET, {connections} connection{'s' if connections > 1 else ''}"
            yield Row(what, "µs", *both(bench, fixed.port, rounds, _each(taken)))

    def downloaded(peer: Peer) -> float:
        return load.fixed_number(bench, peer, DOWNLOAD["200 MB"], 4, http2=False).microseconds / 1000

    yield Row("download of 200 MB", "ms of CPU", *both(bench, fixed.port, max(3, rounds // 2), _each(downloaded)))
    held = {name: [] for name in COMMANDS}  # type: dict[str, list[float]]
    for name in COMMANDS:
        with started(bench, name, streams) as peer:
            held[name].append(clients.watches(peer, WATCHES))
    yield Row(f"open watch, one of {WATCHES:,}", "KiB", Figure(tuple(held[OURS])), Figure(tuple(held[THEIRS])))
    starts = {name: tuple(_start(bench, name, fixed.port) for _ in range(_STARTS)) for name in COMMANDS}
    yield Row("exec to first answer, warm", "s", Figure(starts[OURS]), Figure(starts[THEIRS]), most=0.5, alone=True)


def main() -> None:
    """Print the table, and write it down."""
    parser = argparse.ArgumentParser(prog="python -m bench.local", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, and nothing is written")
    quick = parser.parse_args().quick
    open_files()
    found = []
    with tempfile.TemporaryDirectory(prefix="kg-") as folder:
        bench = Bench.make(Path(folder))
        os.sched_setaffinity(0, {bench.cores.load})
        with upstream.fixed(bench, DOWNLOAD) as fixed, upstream.streams(bench) as streams:
            for row in rows(bench, fixed, streams, 3 if quick else 10):
                print(" | ".join(row.cells()), flush=True)
                found.append(row)
    if not quick:
        page = Path(__file__).parent.parent / "docs" / "performance.md"
        head = ("", OURS, THEIRS, "ours as a part of theirs", "at most", "")
        table = report.table(head, [row.cells() for row in found])
        said = f"{datetime.now(UTC):%Y-%m-%d}, {describe()}; each proxy with one thread on a core of its own (median ± spread)."
        page.write_text(report.put_into(page.read_text(), f"{said}\n\n{table}", BEGIN, END))


if __name__ == "__main__":
    main()
