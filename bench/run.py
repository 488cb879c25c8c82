"""One run: every gate started once, workloads one after another, and within each the gates in turn, round by round."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench import upstream
from bench.figures import Figure
from bench.peers import PEERS, Peer, Start
from bench.upstream import Bench
from bench.workloads import Place, Workload

Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """What a workload gave: the name of each gate and its figure."""

    workload: Workload
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Run:
    """`rounds` and `peers` are None where each workload decides."""

    bench: Bench
    say: Say
    rounds: int | None = None
    peers: Sequence[str] | None = None

    def measure(self, workloads: Sequence[Workload]) -> Iterator[Result]:
        """Results as they come."""
        with upstream.fixed(self.bench) as fixed, upstream.streams(self.bench) as streams:
            place = Place(self.bench, fixed)
            for workload in workloads:
                port = streams if workload.streams else fixed.port
                starts = [PEERS[name] for name in workload.peers if self.peers is None or name in self.peers]
                yield Result(workload, self._figures(workload, place, port, starts))

    def _figures(self, workload: Workload, place: Place, port: int, starts: Sequence[Start]) -> dict[str, Figure]:
        self.say(workload.title)
        measure = _fresh if workload.fresh else _kept
        values: dict[str, list[float]] = {}
        for peer, value in measure(workload, place, port, starts, self.rounds or workload.rounds):
            values.setdefault(peer.name, []).append(value)
        figures = {name: Figure.of(found) for name, found in values.items()}
        for name, figure in figures.items():
            self.say(
                f"  {name:24} {figure.least:9.1f} {figure.quartile:9.1f} {figure.median:9.1f} ±{figure.spread:.1f} {workload.unit}"
            )
        return figures


def _kept(workload: Workload, place: Place, port: int, starts: Sequence[Start], rounds: int) -> Iterator[tuple[Peer, float]]:
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(start(place.bench, port)) for start in starts]
        for number in range(rounds):
            # Whoever is first finds the machine as the last round has left it, so that nobody is so each time.
            for peer in _turned(peers, number):
                yield peer, workload.measure(place, peer)


def _fresh(workload: Workload, place: Place, port: int, starts: Sequence[Start], rounds: int) -> Iterator[tuple[Peer, float]]:
    for number in range(rounds):
        for start in _turned(starts, number):
            with start(place.bench, port) as peer:
                yield peer, workload.measure(place, peer)


def _turned(items: Sequence[T], number: int) -> list[T]:
    first = number % len(items)
    return [*items[first:], *items[:first]]
