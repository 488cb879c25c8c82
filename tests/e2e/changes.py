"""Changes of a declared gate, of every kind that operators make, and what makes them while tests look elsewhere.

Each kind goes there and back: it is given a number, and does with an even one what undoes an odd one.
"""

import functools
import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

from tests.e2e.declared import FIRST_HOST, OTHER_HOST, DeclaredGate, upstream, write_front
from tests.support.forge import Forged
from tests.support.run import Document
from tests.support.tls import authority

_ROUNDS_SECONDS = 90.0
Change = Callable[[DeclaredGate, int], None]


@functools.cache
def _next_authority() -> Forged:
    return authority("next CA")


def _edited(change: Callable[[DeclaredGate, Document, bool], object]) -> Change:
    """A change of the file."""

    def write(gate: DeclaredGate, number: int) -> None:
        document = gate.running.document
        change(gate, document, bool(number % 2))
        gate.running.rewrite(document)

    return write


def _trusted(cluster: str) -> Change:
    """Another CA beside the one that counts, as while a cluster exchanges its CA."""

    def write(gate: DeclaredGate, number: int) -> None:
        path = gate.folder / f"{cluster}-ca.crt"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(gate.clusters[cluster].ca.certificate.read_bytes() + _next_authority().pem * (number % 2))
        fresh.replace(path)

    return write


def _certificate(gate: DeclaredGate, _: int) -> None:
    write_front(gate.folder)


def _server(gate: DeclaredGate, document: Document, there: bool) -> None:
    servers = upstream(gate.clusters["first"])["servers"]
    document["clusters"][0]["upstream"]["servers"] = servers[:1] if there else servers


def _range(_: DeclaredGate, document: Document, there: bool) -> None:
    document["clusters"][0]["allow"] = ["127.0.0.0/8", "192.0.2.0/24"] if there else ["127.0.0.0/8"]


def _limit(_: DeclaredGate, document: Document, there: bool) -> None:
    for cluster in document["clusters"][:2]:
        cluster["limits"]["connections"] = 4000 if there else 5000


def _host(_: DeclaredGate, document: Document, there: bool) -> None:
    document["clusters"][0]["hosts"] = [FIRST_HOST, OTHER_HOST] if there else [FIRST_HOST]


def _cluster(_: DeclaredGate, document: Document, there: bool) -> None:
    third = document["clusters"][0] | {"name": "third", "hosts": ["third.gate.test"]}
    del third["limits"]
    document["clusters"] = document["clusters"][:2] + [third] * there


def _timeout(_: DeclaredGate, document: Document, there: bool) -> None:
    document["clusters"][0]["timeouts"] = {"request": "6m" if there else "5m"}


def _balance(_: DeclaredGate, document: Document, there: bool) -> None:
    document["clusters"][1]["balance"] = "roundrobin" if there else "leastconn"


LIVE: Mapping[str, Change] = {
    "certificate": _certificate,
    "authority": _trusted("first"),
    "server": _edited(_server),
    "range": _edited(_range),
    "limit": _edited(_limit),
    "host": _edited(_host),
    "cluster": _edited(_cluster),
    "authority of what is passed through": _trusted("second"),
}
RELOADING: Mapping[str, Change] = {"timeout": _edited(_timeout), "balance": _edited(_balance)}


def mixed(live: int, reloading: int) -> Iterator[str]:
    """So many kinds of each sort, in turn, with those that reload spread among the others."""
    lives, reloads = itertools.cycle(LIVE), itertools.cycle(RELOADING)
    done = 0
    for number in range(1, live + 1):
        yield next(lives)
        while done < number * reloading // live:
            done += 1
            yield next(reloads)


class Changes:
    """Changes of one gate, counted by kind."""

    def __init__(self, gate: DeclaredGate) -> None:
        self.made: Counter[str] = Counter()
        self._gate = gate

    def start(self, kind: str) -> None:
        """Make a change of this kind."""
        self.made[kind] += 1
        {**LIVE, **RELOADING}[kind](self._gate, self.made[kind])

    def make(self, kind: str) -> None:
        """The same, and wait until it runs."""
        before = self._gate.running.status().generation
        self.start(kind)
        self._gate.running.next_generation(before)

    @property
    def reloading(self) -> int:
        """How many of them need a reload."""
        return sum(self.made[kind] for kind in RELOADING)


class Changing:
    """Changes a gate every second until the end of the block, whether the last change runs or not; every fifth reloads it."""

    def __init__(self, gate: DeclaredGate) -> None:
        self.changes = Changes(gate)
        self._gate = gate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._failure: Exception | None = None

    def _work(self) -> None:
        try:
            for kind in itertools.cycle(mixed(live=4 * len(LIVE), reloading=len(LIVE))):
                if self._stopping.wait(1):
                    return
                self.changes.start(kind)
        except Exception as error:  # noqa: BLE001
            self._failure = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping.set()
        self._thread.join(30)
        if self._failure is not None:
            raise self._failure


class Disturbed:
    """Inside the block the gate is changed, reloaded and taken over by another control plane, again and again."""

    def __init__(self, gate: DeclaredGate, changes: Changes) -> None:
        self._gate = gate
        self._changes = changes
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._failure: Exception | None = None
        self.rounds = 0

    def until(self, rounds: int) -> None:
        """Wait until all of that has happened so many times."""
        deadline = time.monotonic() + _ROUNDS_SECONDS
        while self._failure is None and self.rounds < rounds:
            assert time.monotonic() < deadline, f"only {self.rounds} rounds of changes"
            time.sleep(0.1)

    def _work(self) -> None:
        try:
            while not self._stopping.is_set():
                for kind in ("timeout", "certificate", "balance", "limit"):
                    self._changes.make(kind)
                assert self._gate.running.stop(signal.SIGUSR2) == 0
                self._gate.running = self._gate.running.again()
                self.rounds += 1
        except Exception as error:  # noqa: BLE001 - told where the block ends
            self._failure = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(90)
        if self._failure is not None:
            raise self._failure
