"""What is measured, with which peers, and in which unit. Each measurement of a round is one number."""

from collections.abc import Callable
from dataclasses import dataclass

from bench import clients, load
from bench.peers import Peer
from bench.upstream import LISTS, Bench, Fixed

ALL = ("kubegate", "seed", "envoy", "nginx", "kubectl", "passthrough")
OPENING = ("kubegate", "seed", "envoy", "nginx")
STEADY_SECONDS = 1.0


@dataclass(frozen=True)
class Place:
    """Where a measurement happens: the run, and the API server with fixed answers."""

    bench: Bench
    upstream: Fixed


@dataclass(frozen=True)
class Workload:
    """One line of work. `fresh` gates are started for each round, for memory is not given back."""

    name: str
    title: str
    unit: str
    peers: tuple[str, ...]
    measure: Callable[[Place, Peer], float]
    rounds: int
    streams: bool = False
    fresh: bool = False


def _steady(http2: bool) -> Callable[[Place, Peer], float]:
    return lambda at, peer: load.steady(at.bench, peer, at.upstream, STEADY_SECONDS, http2=http2).microseconds


def _list(size: str, requests: int, http2: bool) -> Callable[[Place, Peer], float]:
    return lambda at, peer: load.fixed_number(at.bench, peer, LISTS[size][0], requests, http2=http2).microseconds / 1000


WORKLOADS = (
    Workload("small-get-h1", "Small GET, HTTP/1.1, 32 kept connections", "µs CPU", ALL, _steady(False), 11),
    Workload(
        "small-get-h2",
        "Small GET, HTTP/2, 4 connections with 8 streams each",
        "µs CPU",
        (*OPENING, "passthrough"),
        _steady(True),
        11,
    ),
    Workload("list-1mb-h1", "LIST of 1 MB, HTTP/1.1", "ms CPU", ALL, _list("1 MB", 200, False), 7),
    Workload("list-1mb-h2", "LIST of 1 MB, HTTP/2", "ms CPU", (*OPENING, "passthrough"), _list("1 MB", 200, True), 7),
    Workload("list-50mb-h1", "LIST of 50 MB, HTTP/1.1", "ms CPU", ALL, _list("50 MB", 8, False), 5),
    Workload("list-50mb-h2", "LIST of 50 MB, HTTP/2", "ms CPU", (*OPENING, "passthrough"), _list("50 MB", 8, True), 5),
    Workload(
        "connect",
        "New TLS connection with one request",
        "µs CPU",
        (*OPENING, "passthrough"),
        lambda _, peer: clients.connections(peer, 200, resumed=False),
        5,
    ),
    Workload(
        "connect-resumed",
        "New TLS connection that resumes a session, with one request",
        "µs CPU",
        (*OPENING, "passthrough"),
        lambda _, peer: clients.connections(peer, 200, resumed=True),
        5,
    ),
    Workload(
        "keystroke",
        "Keystroke of an exec and its echo (WebSocket)",
        "µs",
        (*ALL, "direct"),
        lambda _, peer: clients.keystrokes(peer, 500),
        5,
        streams=True,
    ),
    Workload(
        "watch-event",
        "Event of a watch, from the API server to the client",
        "µs",
        (*ALL, "direct"),
        lambda _, peer: clients.events(peer, 100),
        5,
        streams=True,
    ),
    Workload(
        "watches",
        "5,000 open watches, HTTP/1.1, with their connections to the API server",
        "KiB each",
        ALL,
        lambda _, peer: clients.watches(peer, 5000),
        1,
        streams=True,
        fresh=True,
    ),
    Workload(
        "idle-h1",
        "5,000 idle TLS connections, HTTP/1.1",
        "KiB each",
        OPENING,
        lambda _, peer: clients.idle(peer, 5000, http2=False),
        1,
        fresh=True,
    ),
    Workload(
        "idle-h2",
        "5,000 idle TLS connections, HTTP/2",
        "KiB each",
        OPENING,
        lambda _, peer: clients.idle(peer, 5000, http2=True),
        1,
        fresh=True,
    ),
)
