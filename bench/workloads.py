"""What is measured, with which peers, and in which unit. Each measurement of a round is one number."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench import clients, load
from bench.peers import Peer
from bench.upstream import LISTS, Bench, Fixed

OPENING = ("kubegate", "seed", "envoy", "nginx")
ALL = (*OPENING, "kubectl", "passthrough")
TIMED = (*ALL, "direct")
MANY = 5000


@dataclass(frozen=True)
class Place:
    """Where a measurement happens: the run, and the API server with fixed answers."""

    bench: Bench
    upstream: Fixed


Measure = Callable[[], float]
Open = Callable[[Place, Peer], AbstractContextManager[Measure]]


@dataclass(frozen=True)
class Workload:
    """One line of work. `open` gives what is called once a round, and gives one number.

    `fresh` gates are started for each round, for memory is not given back.
    """

    name: str
    title: str
    unit: str
    peers: tuple[str, ...]
    open: Open
    rounds: int
    streams: bool = False
    fresh: bool = False


def steady(*, http2: bool) -> Open:
    """CPU time of a small request in µs."""

    @contextlib.contextmanager
    def opened(at: Place, peer: Peer) -> Iterator[Measure]:
        with load.Steady.open(at.bench, peer, at.upstream, http2=http2) as kept:
            yield lambda: kept.window().microseconds

    return opened


def _list(size: str, requests: int, *, http2: bool) -> Open:
    return _each(lambda at, peer: load.fixed_number(at.bench, peer, LISTS[size], requests, http2=http2).microseconds / 1000)


def _each(measure: Callable[[Place, Peer], float]) -> Open:
    @contextlib.contextmanager
    def opened(at: Place, peer: Peer) -> Iterator[Measure]:
        yield lambda: measure(at, peer)

    return opened


def _connections(*, resumed: bool) -> Callable[[Place, Peer], float]:
    return lambda _, peer: clients.connections(peer, 100, resumed=resumed)


def _keystrokes(_: Place, peer: Peer) -> float:
    return clients.keystrokes(peer, 300)


def _events(_: Place, peer: Peer) -> float:
    return clients.events(peer, 50)


def _watches(_: Place, peer: Peer) -> float:
    return clients.watches(peer, MANY)


def _idle(*, http2: bool) -> Callable[[Place, Peer], float]:
    return lambda _, peer: clients.idle(peer, MANY, http2=http2)


WORKLOADS = (
    Workload("small-get-h1", "Small GET, HTTP/1.1, 32 connections", "µs", ALL, steady(http2=False), 40),
    Workload("small-get-h2", "Small GET, HTTP/2, 4 connections with 8 streams each", "µs", OPENING, steady(http2=True), 40),
    Workload("list-1mb-h1", "LIST of 1 MB, HTTP/1.1", "ms", ALL, _list("1 MB", 100, http2=False), 9),
    Workload("list-1mb-h2", "LIST of 1 MB, HTTP/2", "ms", OPENING, _list("1 MB", 100, http2=True), 9),
    Workload("list-50mb-h1", "LIST of 50 MB, HTTP/1.1", "ms", ALL, _list("50 MB", 4, http2=False), 7),
    Workload("list-50mb-h2", "LIST of 50 MB, HTTP/2", "ms", OPENING, _list("50 MB", 4, http2=True), 7),
    Workload("connect", "New TLS connection with one request", "µs", OPENING, _each(_connections(resumed=False)), 7),
    Workload("connect-resumed", "New TLS connection, session resumed", "µs", OPENING, _each(_connections(resumed=True)), 7),
    Workload("keystroke", "Keystroke of an exec and its echo", "µs", TIMED, _each(_keystrokes), 7, streams=True),
    Workload("watch-event", "Event of a watch, to the client", "µs", TIMED, _each(_events), 7, streams=True),
    Workload("watches", "Open watch, one of 5,000", "KiB", ALL, _each(_watches), 1, streams=True, fresh=True),
    Workload("idle-h1", "Idle TLS connection, HTTP/1.1, one of 5,000", "KiB", OPENING, _each(_idle(http2=False)), 1, fresh=True),
    Workload("idle-h2", "Idle TLS connection, HTTP/2, one of 5,000", "KiB", OPENING, _each(_idle(http2=True)), 1, fresh=True),
)
