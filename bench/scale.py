"""A gate with 1,000 clusters: how fast it starts and changes, and what it costs. `python -m bench.scale [CLUSTERS]`.

Times begin at the moment at which the gate is executed, or a file has its new content, and end when a client sees it.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench import machine, many, processes
from bench.many import Fleet
from kubegate.system.network import free_port
from kubegate.system.processes import ProcessId
from tests.support.expose import Home, home, kubegate
from tests.support.rawhttp import Answer, Client, NoAnswer, request
from tests.support.run import Running, client, front_leaf, write_pair

# What is declared beside the clusters that run at first, so that some can be added.
_MORE = 12
_IDLE_SECONDS = 60.0
_REQUESTS = 20_000
_CHANGES = 300
_PATIENCE_SECONDS = 120.0
_MIB = 1 << 20


@dataclass(frozen=True)
class Figure:
    """One figure, and what it may be at most."""

    what: str
    value: float
    unit: str
    most: float | None = None

    @property
    def good(self) -> bool:
        """Whether it is within its bound."""
        return self.most is None or self.value <= self.most

    def __str__(self) -> str:
        bound = "" if self.most is None else f"  (at most {self.most:g}{'' if self.good else ': MISSED'})"
        return f"{self.what:72} {self.value:9.2f} {self.unit}{bound}"


class Scale:
    """A gate with so many clusters of a fleet."""

    def __init__(self, fleet: Fleet, number: int, person: Home) -> None:
        self.fleet = fleet
        self.home = person
        self.declared = fleet.document(number)
        self.port = int(self.declared["listeners"][0]["address"].rpartition(":")[2])
        self.last = fleet.names[number - 1]
        self.some = fleet.names[number // 2]
        self.file = fleet.folder / f"gate-{number}.yaml"
        self.file.write_text(many.dump(self.declared))
        self.gate: Running | None = None

    @property
    def running(self) -> Running:
        """The gate; it must have been started."""
        assert self.gate is not None
        return self.gate

    def start(self) -> float:
        """Start the gate; seconds until the last cluster answers."""
        began = time.monotonic()
        self.gate = Running(self.file, self.home)
        self._until(lambda: self.ask(self.last).status == 200, "the gate answers")
        return time.monotonic() - began

    def ask(self, name: str | None, port: int | None = None) -> Answer:
        """A request to a cluster, or to none in particular, on a connection of its own, to the first listener or a port."""
        host = f"{name}.test" if name else None
        with Client.connect("127.0.0.1", port or self.port, client(verify=name is not None), host) as connection:
            return connection.ask(request("GET", "/api/v1/namespaces", host=host or f"127.0.0.1:{self.port}"))

    def serial(self, name: str) -> str:
        """The serial number of the certificate that is shown for a cluster."""
        with Client.connect("127.0.0.1", self.port, client(), f"{name}.test") as connection:
            return str(connection.wire.peer["serialNumber"])

    def declare(self, change: Callable[[dict[str, Any]], object], seen: Callable[[], bool]) -> float:
        """Change the file; seconds until `seen` by a client."""
        change(self.declared)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(many.dump(self.declared))
        began = time.monotonic()
        fresh.replace(self.file)
        self._until(seen, "the change is seen")
        return time.monotonic() - began

    def entry(self, name: str) -> dict[str, Any]:
        """The declaration of a cluster as it is now."""
        return next(one for one in self.declared["clusters"] if one["name"] == name)

    def _until(self, seen: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            with contextlib.suppress(OSError, NoAnswer):
                if seen():
                    return
            if time.monotonic() > deadline or self.running.process.poll() is not None:
                raise SystemExit(f"waited in vain until {what}; the gate said: {self.running.said[-3000:]}")
            time.sleep(0.01)

    def haproxy(self) -> int:
        """The pid of HAProxy's master."""
        found = ProcessId.load(self.running.folders.run / "haproxy.json")
        assert found is not None
        return found.pid

    def settle(self) -> None:
        """Wait until nothing happens any more that a start or a change has begun."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while len(processes.tree(self.haproxy())) > 2 and time.monotonic() < deadline:
            time.sleep(0.1)

    def end(self) -> None:
        """Stop it."""
        if self.gate is not None:
            self.gate.end()


def starts(one: Scale, many_of_them: Scale) -> Iterator[Figure]:
    """From exec to the first answer."""
    for gate, most in ((one, None), (many_of_them, 5)):
        what = f"first start, {_count(gate)} cluster{'s' if gate is many_of_them else ''}"
        yield Figure(what, gate.start(), "s", most)
        yield Figure(f"{what}, CPU of both processes", processes.cpu_ns(gate.running.process.pid) / 1e9, "s")
        gate.running.until_running()


def takeover(gate: Scale) -> Iterator[Figure]:
    """A killed control plane, and the next one until it answers."""
    gate.running.kill()
    began = time.monotonic()
    gate.gate = Running(gate.file, gate.home)
    gate.running.until_running()
    yield Figure("the next control plane takes over after kill -9", time.monotonic() - began, "s")


def live_changes(gate: Scale) -> Iterator[Figure]:
    """Changes that need no reload."""
    name = gate.some
    leaf = front_leaf(f"{name}.test")
    pair = write_pair(gate.fleet.folder, "renewed", leaf)
    began = time.monotonic()
    for kind, suffix in (("key", "key"), ("cert", "crt")):
        (gate.fleet.folder / pair[kind]).replace(gate.fleet.folder / f"{name}.{suffix}")
    gate._until(lambda: int(gate.serial(name), 16) == leaf.certificate.serial_number, "the new certificate is shown")
    yield Figure("certificate renewed on disk", time.monotonic() - began, "s", most=1)
    entry = gate.entry(name)
    took = gate.declare(lambda _: entry.update(allow=["10.0.0.0/8"]), lambda: gate.ask(name).status == 403)
    yield Figure("source ranges narrowed", took, "s", most=1)
    took = gate.declare(lambda _: entry.pop("allow"), lambda: gate.ask(name).status == 200)
    yield Figure("source ranges widened", took, "s", most=1)
    first, second = many.addresses(name)
    servers = entry["upstream"]["servers"]
    took = gate.declare(lambda _: servers.pop(), lambda: {gate.ask(name).json["server"] for _ in range(3)} == {first})
    yield Figure("API server removed", took, "s", most=1)
    took = gate.declare(lambda _: servers.append(f"{second}:{gate.fleet.port}"), lambda: gate.ask(name).json["server"] == second)
    yield Figure("API server added", took, "s", most=1)
    listener = gate.declared["listeners"][0]
    took = gate.declare(lambda _: listener.update(defaultCluster=name), lambda: gate.ask(None).status == 200)
    yield Figure("default cluster", took, "s", most=1)
    new = gate.fleet.names[len(gate.declared["clusters"])]
    took = gate.declare(lambda all_: all_["clusters"].append(gate.fleet.cluster(new)), lambda: gate.ask(new).status == 200)
    yield Figure("new cluster in a spare place", took, "s", most=1)


def reloads(gate: Scale) -> Iterator[Figure]:
    """Changes that need a reload."""
    port = free_port("127.0.0.1")
    took = gate.declare(
        lambda all_: all_["listeners"].append({"name": "second", "address": f"127.0.0.1:{port}"}),
        lambda: gate.ask(gate.last, port).status == 200,
    )
    yield Figure("another listener, by a reload", took, "s", most=8)
    have = len(gate.declared["clusters"])
    new = gate.fleet.names[have : have + 8]
    took = gate.declare(
        lambda all_: all_["clusters"].extend(gate.fleet.cluster(one) for one in new), lambda: gate.ask(new[-1]).status == 200
    )
    yield Figure("8 new clusters and 4 spare places, by a reload", took, "s", most=8)


def asked(gate: Scale) -> Iterator[Figure]:
    """How quickly it says how it is."""
    for words in (("status",), ("status", "--output", "json")):
        began = time.monotonic()
        done = kubegate(*words, "-c", str(gate.file), home=gate.home)
        assert done.returncode == 0, done.stderr
        yield Figure(f"kubegate {' '.join(words)}", time.monotonic() - began, "s")


def at_rest(gate: Scale) -> Iterator[Figure]:
    """What it costs while nothing happens."""
    gate.settle()
    seconds = gate.running.cluster(gate.some).check_seconds
    # HAProxy checks a server sooner until it has been found alive for the first time, and all of them one soon after another.
    time.sleep(seconds)
    control, haproxy = gate.running.process.pid, gate.haproxy()
    before, began = [_own_cpu(control), processes.cpu_ns(haproxy)], time.monotonic()
    time.sleep(max(_IDLE_SECONDS, seconds))
    after, span = [_own_cpu(control), processes.cpu_ns(haproxy)], time.monotonic() - began
    used = [(then - now) / span / 1e7 for now, then in zip(before, after, strict=True)]
    yield Figure("control plane at rest", used[0], "% of a core", most=1)
    yield Figure(f"HAProxy at rest, health checks every {seconds:g} s", used[1], "% of a core", most=5)
    yield Figure("control plane, resident", psutil.Process(control).memory_info().rss / _MIB, "MiB", most=200)
    for process in processes.tree(haproxy):
        role = "master" if process.pid == haproxy else "worker"
        yield Figure(f"HAProxy {role}, resident", process.memory_info().rss / _MIB, "MiB")


def _own_cpu(pid: int) -> int:
    times = psutil.Process(pid).cpu_times()
    return round((times.user + times.system) * 1e9)


def requests(one: Scale, many_of_them: Scale, rounds: int = 7) -> Iterator[Figure]:
    """What a request costs HAProxy, in turns; what HAProxy uses at rest in the same time is taken off."""
    idle = {gate: _rate(gate) for gate in (one, many_of_them)}
    costs: dict[Scale, list[float]] = {one: [], many_of_them: []}
    for _ in range(rounds):
        for gate, found in costs.items():
            cpu, began = processes.cpu_ns(gate.haproxy()), time.monotonic()
            _load(gate)
            found.append((processes.cpu_ns(gate.haproxy()) - cpu - idle[gate] * (time.monotonic() - began)) / _REQUESTS / 1000)
    least = {gate: min(found) for gate, found in costs.items()}
    yield Figure("CPU of a request, 1 cluster", least[one], "us")
    yield Figure(f"CPU of a request, {_count(many_of_them)} clusters", least[many_of_them], "us")
    yield Figure("the same as a part of that with 1 cluster", least[many_of_them] / least[one], "", most=1.1)


def _rate(gate: Scale) -> float:
    """CPU of HAProxy at rest, in ns for each second."""
    before, began = processes.cpu_ns(gate.haproxy()), time.monotonic()
    time.sleep(10)
    return (processes.cpu_ns(gate.haproxy()) - before) / (time.monotonic() - began)


def _load(gate: Scale) -> None:
    url = f"https://{gate.some}.test:{gate.port}/api/v1/namespaces"
    command = ["h2load", "-t1", "-c32", "--h1", f"-n{_REQUESTS}", f"--connect-to=127.0.0.1:{gate.port}", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE_SECONDS)
    if f"{_REQUESTS} 2xx" not in done.stdout:
        raise SystemExit(f"requests failed: {done.stdout}")


def memory(gate: Scale) -> Iterator[Figure]:
    """Whether the control plane grows over many changes."""
    entry = gate.entry(gate.some)
    process = psutil.Process(gate.running.process.pid)
    sizes = []
    for number in range(_CHANGES):
        if number % (_CHANGES // 3) == 0:
            sizes.append(process.memory_info().rss)
        if number % 2:
            gate.declare(lambda _: entry.pop("allow"), lambda: gate.ask(gate.some).status == 200)
        else:
            gate.declare(lambda _: entry.update(allow=["10.0.0.0/8"]), lambda: gate.ask(gate.some).status == 403)
    sizes.append(process.memory_info().rss)
    yield Figure("control plane, resident, after 100 changes", sizes[1] / _MIB, "MiB", most=200)
    yield Figure(f"control plane, resident, after {_CHANGES} changes", sizes[-1] / _MIB, "MiB", most=200)
    yield Figure(f"growth from the 100th to the {_CHANGES}th", (sizes[-1] - sizes[1]) / _MIB, "MiB", most=10)


def _count(gate: Scale) -> int:
    return len(gate.declared["clusters"])


def measure(number: int, parts: set[str]) -> Iterator[Figure]:
    """All figures, as they come; of `parts` only, if there are any."""
    with many.fleet(number + _MORE) as fleet, home() as person, home() as other:
        one, all_ = Scale(fleet, 1, other), Scale(fleet, number, person)
        steps: dict[str, Callable[[], Iterator[Figure]]] = {
            "start": lambda: starts(one, all_),
            "rest": lambda: at_rest(all_),
            "status": lambda: asked(all_),
            "live": lambda: live_changes(all_),
            "reload": lambda: reloads(all_),
            "takeover": lambda: takeover(all_),
            "requests": lambda: requests(one, all_),
            "memory": lambda: memory(all_),
        }
        try:
            for name, step in steps.items():
                if not parts or name in parts or name == "start":
                    yield from step()
        finally:
            one.end()
            all_.end()


def main() -> None:
    """Print the figures; exits with 1 if one is not within its bound."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("clusters", nargs="?", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("parts", nargs="*", help="start, rest, status, live, reload, takeover, requests, memory (default: all)")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    given = parser.parse_args()
    print(machine.describe())
    found = []
    for figure in measure(given.clusters, set(given.parts)):
        print(figure, flush=True)
        found.append(figure)
    if given.json:
        given.json.write_text(json.dumps([vars(figure) for figure in found]))
    sys.exit(0 if all(figure.good for figure in found) else 1)


if __name__ == "__main__":
    main()
