"""One run: workloads one after another, and within each the gates in turn, round by round."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench import reloads, upstream, variants
from bench.figures import Figure
from bench.peers import PEERS, Start
from bench.upstream import Bench
from bench.variants import Configuration
from bench.workloads import Place, Workload, steady

Say = Callable[[str], None]
T = TypeVar("T")

PARTS = Workload("parts", "Parts of the configuration, small GET, HTTP/1.1", "µs", (), steady(http2=False), 40)
RULES = Workload("rules", f"Each rule {variants.TIMES} times more, small GET, HTTP/1.1", "µs", (), steady(http2=False), 20)
# Both come of the same reloads.
RELOADS = Workload("reloads", f"Reload under load, one of {reloads.RELOADS}", "ms", (), steady(http2=False), 3)
LOST = Workload("reloads-lost", f"Requests lost in {reloads.RELOADS} reloads under load", "requests", (), steady(http2=False), 3)


@dataclass(frozen=True)
class Result:
    """What a workload gave: the name of each gate and its figure. Rounds stand in the same order for all of them."""

    workload: Workload
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Run:
    """`rounds` and `peers` are None where each workload decides."""

    place: Place
    streams: int
    say: Say
    rounds: int | None = None
    peers: Sequence[str] | None = None

    @classmethod
    @contextlib.contextmanager
    def open(cls, bench: Bench, say: Say, rounds: int | None, peers: Sequence[str] | None) -> Iterator["Run"]:
        """With the API servers running."""
        with upstream.fixed(bench) as fixed, upstream.streams(bench) as streams:
            yield cls(Place(bench, fixed), streams, say, rounds, peers)

    def workload(self, workload: Workload) -> Result:
        """The workload with each of its gates."""
        return self._measure(workload, [PEERS[name] for name in workload.peers if self.peers is None or name in self.peers])

    def parts(self) -> Result:
        """kubegate's configuration with one thing changed, beside the one written by hand."""
        taken = Configuration.taken(self.place.bench, self.place.upstream.port)
        starts = [taken.with_edit(name, edit) for name, edit in variants.wholes().items()]
        return self._measure(PARTS, [PEERS["seed"], *starts])

    def rules(self) -> Result:
        """kubegate's configuration with each rule written more often."""
        taken = Configuration.taken(self.place.bench, self.place.upstream.port)
        edits = {variants.label(rule): variants.more_often(rule) for rule in taken.rules()}
        starts = [taken.with_edit(name, edit) for name, edit in ({variants.AS_IT_IS: variants.as_it_is} | edits).items()]
        return self._measure(RULES, starts)

    def reloads(self) -> tuple[Result, Result]:
        """What a reload costs, and what is lost, by gates that are reloaded under load."""
        self.say(f"{RELOADS.title}, in {RELOADS.unit}, and requests lost of those sent")
        found: dict[str, list[reloads.Reloads]] = {}
        for number in range(self.rounds or RELOADS.rounds):
            for start in _turned(reloads.STARTS, number):
                with start(self.place.bench, self.place.upstream.port) as gate:
                    one = reloads.measure(gate)
                    found.setdefault(gate.name, []).append(one)
                    self.say(f"  {one.milliseconds:9.1f}  {one.lost} of {one.answered + one.lost} lost  {gate.name}")
        costs = {name: Figure(tuple(one.milliseconds for one in all_)) for name, all_ in found.items()}
        lost = {name: Figure(tuple(float(one.lost) for one in all_)) for name, all_ in found.items()}
        return Result(RELOADS, costs), Result(LOST, lost)

    def _measure(self, workload: Workload, starts: Sequence[Start]) -> Result:
        self.say(f"{workload.title}, in {workload.unit}")
        rounds = self.rounds or workload.rounds
        values: dict[str, list[float]] = {}
        for name, value in (_fresh if workload.fresh else _kept)(workload, self._at(workload), self.place, starts, rounds):
            values.setdefault(name, []).append(value)
        figures = {name: Figure(tuple(found)) for name, found in values.items()}
        for name, figure in figures.items():
            self.say(f"  {figure.least:9.1f} {figure.quartile:9.1f} {figure.median:9.1f}  ±{figure.spread:<7.1f} {name}")
        return Result(workload, figures)

    def _at(self, workload: Workload) -> int:
        return self.streams if workload.streams else self.place.upstream.port


def _kept(workload: Workload, port: int, place: Place, starts: Sequence[Start], rounds: int) -> Iterator[tuple[str, float]]:
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(start(place.bench, port)) for start in starts]
        opened = [(peer.name, stack.enter_context(workload.open(place, peer))) for peer in peers]
        for number in range(rounds):
            # Whoever is first finds the machine as the last round has left it, so that nobody is so each time.
            for name, measure in _turned(opened, number):
                yield name, measure()


def _fresh(workload: Workload, port: int, place: Place, starts: Sequence[Start], rounds: int) -> Iterator[tuple[str, float]]:
    for number in range(rounds):
        for start in _turned(starts, number):
            with start(place.bench, port) as peer, workload.open(place, peer) as measure:
                yield peer.name, measure()


def _turned(items: Sequence[T], number: int) -> list[T]:
    first = number % len(items)
    return [*items[first:], *items[:first]]
