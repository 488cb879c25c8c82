"""A day compressed: changes, kills, reloads and renewals under load, with watches open. `python -m bench.soak [SECONDS]`.

At the end nothing may be lost, and nothing left: no request, no stream that nobody ended, no memory, descriptor, process or file.
"""

import argparse
import contextlib
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine, processes
from bench.held import Held
from bench.server import ApiServer
from kubegate.system.processes import ProcessId
from tests.support.expose import Home, home
from tests.support.load import Asked, Load
from tests.support.run import Document, Running, cluster, front_leaf, gate_file, open_files, run, write_pair
from tests.support.tls import authority, cluster_authority

_MIB = 1 << 20
_OLD_WORKERS = 3
_CLIENTS = 5
_PATIENCE_SECONDS = 60.0
_GROWTH_MIB = 5
_NEXT_CA = authority("next CA")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, what was found, and the most that it may be."""

    what: str
    found: float
    most: float | None = None
    details: str = ""

    @property
    def good(self) -> bool:
        """Whether it is as it should be."""
        return self.most is None or self.found <= self.most

    def __str__(self) -> str:
        bound = "" if self.most is None else f"  (at most {self.most:g}{'' if self.good else ': MISSED'})"
        return f"{self.what:66} {self.found:10.1f}{bound}{f'  {self.details}' if self.details else ''}"


@dataclass
class Sample:
    """Resident memory in bytes at a moment: of the control plane, HAProxy's master, its largest worker; and how many of these."""

    control: int
    master: int
    worker: int
    workers: int


@dataclass
class Soak:
    """A gate under load. `disturbed` are the moments from which on streams may end: their API server, HAProxy, or the bound."""

    gate: Running
    person: Home
    servers: tuple[ApiServer, ApiServer, ApiServer]
    watches: Held
    declared: Document
    seconds: float
    asked: list[Asked] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    timeline: list[tuple[float, str]] = field(default_factory=list)
    changes: int = 0
    kills: int = 0

    @property
    def folder(self) -> Path:
        """Where the file is."""
        return self.gate.file.parent

    def run(self) -> None:
        """Everything, in its order; the time is shared out in parts."""
        self._load(0.15, lambda: None)
        self._load(0.05, self._kill_control_plane)
        self._kill_haproxy()
        self._load(0.10, self._replace_control_plane)
        self.samples.clear()
        self._load(0.70, lambda: None)

    def _load(self, part: float, first: Callable[[], None]) -> None:
        """Requests on connections that stay and on new ones, while something changes every moment."""
        plain = ("GET", "/version", ())
        with (
            Load(self.gate, lambda _: plain, clients=2) as kept,
            Load(self.gate, lambda _: plain, clients=2, version="h2") as second,
            Load(self.gate, lambda _: plain, clients=1, keep=False) as single,
        ):
            first()
            self._change_until(time.monotonic() + part * self.seconds)
        for load in (kept, second, single):
            self.asked += load.asked

    def _change_until(self, deadline: float) -> None:
        kinds = [_certificate, _trusted, _servers, _ranges, _limits, _new_cluster, _host, _timeout]
        revived = 0.0
        while time.monotonic() < deadline:
            kind = kinds[self.changes % len(kinds)]
            before = self.gate.status().generation
            self._note(kind.__name__)
            kind(self, bool(self.changes // len(kinds) % 2))
            self.gate.next_generation(before, _PATIENCE_SECONDS)
            self._note("done")
            self.changes += 1
            self._sample()
            if not self.servers[0].alive:
                self.servers[0].start()
                self._note("server revived")
                self._until_up()
                revived = time.monotonic()
            elif time.monotonic() > revived + 10:
                self.watches.disturb()
                self._note("server killed")
                self.servers[0].kill()
                self.kills += 1
            time.sleep(0.3)
        if not self.servers[0].alive:
            self.servers[0].start()
        self._until_up()

    def _note(self, what: str) -> None:
        self.timeline.append((time.monotonic(), what))

    def _until_up(self) -> None:
        _eventually(lambda: sum(one.state == "up" for one in self.gate.cluster("one").servers) >= 1, "a server is up")

    def _sample(self) -> None:
        control = processes.resident(self.gate.process.pid)[0]
        master, *workers = processes.resident(self._haproxy())
        if workers:
            self.samples.append(Sample(control, master, max(workers), len(workers)))
        self.watches.note_words(self.gate.said.count("the oldest was ended"))

    def _haproxy(self) -> int:
        found = ProcessId.load(self.gate.folders.run / "haproxy.json")
        assert found is not None
        return found.pid

    def _kill_control_plane(self) -> None:
        self.kills += 1
        self.gate.kill()
        self.gate = self.gate.again()

    def _replace_control_plane(self) -> None:
        assert self.gate.stop(signal.SIGUSR2) == 0
        self.gate = self.gate.again()

    def _kill_haproxy(self) -> None:
        """Nobody asks meanwhile, for what is asked of a process that dies is lost, whoever it is."""
        self.kills += 1
        said = self.gate.said.count("HAProxy is back")
        self.watches.disturb()
        self.gate.haproxy.kill()
        _eventually(lambda: self.gate.said.count("HAProxy is back") > said, "HAProxy is back")
        self._until_up()

    def rewrite(self, change: Callable[[Document], object]) -> None:
        """Change the file."""
        document = self.gate.document
        change(document)
        self.gate.rewrite(document)

    def findings(self) -> Iterator[Finding]:
        """What came of it. Ends the watches."""
        begun = sum(one.begun for one in self.asked)
        failed = [one for one in self.asked if one.status != 200 and not one.begun]
        yield Finding("requests", len(self.asked))
        yield Finding("answers that a killed API server broke off", begun, self.kills * _CLIENTS)
        yield Finding("requests lost", len(failed), 0, "; ".join(map(self._around, failed[:3])))
        yield Finding("changes", self.changes)
        yield Finding("kills of the control plane, HAProxy and an API server", self.kills)
        _eventually(lambda: self.watches.open == self.watches.number, "every watch is open")
        yield Finding("watches that ended and were opened again, their server or worker being ended", self.watches.explained)
        yield Finding(
            "watches that ended for no reason", len(self.watches.unexplained), 0, str(self.watches.unexplained[:3] or "")
        )
        yield Finding("workers at one time", max(one.workers for one in self.samples), _OLD_WORKERS + 2)
        middle = len(self.samples) // 2
        for what, of in (("control plane", "control"), ("HAProxy's master", "master"), ("HAProxy's largest worker", "worker")):
            sizes = [getattr(one, of) / _MIB for one in self.samples]
            then, now = statistics.median(sizes[:middle]), statistics.median(sizes[middle:])
            yield Finding(f"{what}, resident, MiB", now)
            yield Finding("  growth from the first half to the second, MiB", now - then, _GROWTH_MIB)

    def _around(self, one: Asked) -> str:
        """What went on when something was lost."""
        before = [f"{what} {one.moment - moment:.2f} s before" for moment, what in self.timeline if moment < one.moment][-3:]
        return f"{one.status} {one.trouble} ({', '.join(before)})"

    def left(self, files_before: int, descriptors_before: int) -> Iterator[Finding]:
        """What is left when everybody has gone, and the file says again what it said at first."""
        self.gate.rewrite(self.declared)
        _eventually(lambda: not self.gate.status().old_workers and self.gate.status().leaving_servers == 0, "old workers end")
        yield Finding("processes: control plane, master, worker", len(self.person.processes()), 3)
        _eventually(lambda: len(self.person.left()) <= files_before, "files go", seconds=10)
        yield Finding("files", len(self.person.left()), files_before)
        yield Finding("descriptors of the control plane", open_files(self.gate.process.pid), descriptors_before)


def _certificate(soak: Soak, _: bool) -> None:
    write_pair(soak.folder, "one", front_leaf("one.test", "also.test", "127.0.0.1"))


def _trusted(soak: Soak, there: bool) -> None:
    fresh = soak.folder / "one-ca.crt.new"
    fresh.write_bytes(cluster_authority().pem + b"" if there else cluster_authority().pem + _NEXT_CA.pem)
    fresh.replace(soak.folder / "one-ca.crt")


def _servers(soak: Soak, there: bool) -> None:
    # The one that is never killed stays.
    wanted = [str(one.endpoint) for one in soak.servers[:2]][1 if not there else 0 :]
    soak.rewrite(lambda document: document["clusters"][0]["upstream"].update(servers=wanted))


def _ranges(soak: Soak, there: bool) -> None:
    soak.rewrite(lambda document: document["clusters"][0].update(allow=["127.0.0.0/8", *(["192.0.2.0/24"] if not there else [])]))


def _limits(soak: Soak, there: bool) -> None:
    soak.rewrite(lambda document: document["clusters"][0]["limits"].update(connections=5000 if there else 4000))


def _new_cluster(soak: Soak, there: bool) -> None:
    def change(document: Document) -> None:
        del document["clusters"][1:]
        if not there:
            document["clusters"].append(cluster(soak.folder, "two", soak.servers[2]))

    soak.rewrite(change)


def _host(soak: Soak, there: bool) -> None:
    soak.rewrite(lambda document: document["clusters"][0].update(hosts=["one.test", *(["also.test"] if not there else [])]))


def _timeout(soak: Soak, there: bool) -> None:
    soak.rewrite(lambda document: document["clusters"][0].update(timeouts={"request": "5m" if there else "6m"}))


def _eventually(condition: Callable[[], object], what: str, seconds: float = _PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    if not condition():
        print(f"waited in vain until {what}", file=sys.stderr)


def soak(seconds: float, watches: int) -> Iterator[Finding]:
    """Run it and look. Every finding has to be good."""
    with contextlib.ExitStack() as stack:
        person = stack.enter_context(home())
        servers = (
            stack.enter_context(ApiServer()),
            stack.enter_context(ApiServer()),
            stack.enter_context(ApiServer()),
        )
        declared = cluster(
            person.path, "one", *servers[:2], limits={"connections": 5000}, allow=["127.0.0.0/8"], timeouts={"request": "5m"}
        )
        bound = {"maxOldWorkers": _OLD_WORKERS, "oldWorkerWait": "2s"}
        gate = stack.enter_context(run(gate_file(person.path, declared, dataPlane=bound), person))
        gate.until_up("one", 2)
        files, descriptors = len(person.left()), open_files(gate.process.pid)
        with Held(gate, watches) as held:
            found = Soak(gate, person, servers, held, gate.document, seconds)
            try:
                found.run()
                yield from found.findings()
            finally:
                stack.callback(found.gate.end)
        yield from found.left(files, descriptors)


def main() -> None:
    """Print what was found; exits with 1 if something is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=600, help="how long (default: 600)")
    parser.add_argument("--watches", type=int, default=500, help="open at one time (default: 500)")
    given = parser.parse_args()
    machine.open_files()
    print(machine.describe())
    good = True
    for finding in soak(given.seconds, given.watches):
        print(finding, flush=True)
        good = good and finding.good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
