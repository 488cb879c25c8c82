"""What is to be reached, and whether a run reached it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench import variants
from bench.figures import times
from bench.run import Result

GATE, SEED, ENVOY = "kubegate", "HAProxy by hand", "Envoy"


@dataclass(frozen=True)
class Verdict:
    """One target: at most `most`; `found` in this run, give or take `spread`."""

    what: str
    most: float
    found: float
    spread: float
    unit: str

    @property
    def reached(self) -> bool:
        return self.found <= self.most


# What is compared: words, workload, the gate, the one beside it, and how many times that it may cost.
_RATIOS = (
    ("all guards, without retries, against HAProxy by hand", "parts", variants.WITHOUT_RETRIES, SEED, 1.10),
    ("all guards with retries and an access log, against HAProxy by hand", "parts", variants.WITH_LOG, SEED, 1.25),
    ("small GET, HTTP/1.1, against Envoy", "small-get-h1", GATE, ENVOY, 0.50),
    ("small GET, HTTP/2, against Envoy", "small-get-h2", GATE, ENVOY, 0.50),
    ("LIST of 1 MB, HTTP/1.1, against Envoy", "list-1mb-h1", GATE, ENVOY, 1.0),
    ("LIST of 1 MB, HTTP/2, against Envoy", "list-1mb-h2", GATE, ENVOY, 1.0),
)
_MEMORY = (
    ("idle TLS connection, HTTP/1.1", "idle-h1", 21.0),
    ("idle TLS connection, HTTP/2", "idle-h2", 21.0),
    ("open watch with its connection to the API server", "watches", 52.0),
)


def verdicts(results: Mapping[str, Result]) -> Iterator[Verdict]:
    """A verdict on each target for which this run has the figures."""
    for what, workload, gate, beside, most in _RATIOS:
        figures = results[workload].figures if workload in results else {}
        if gate in figures and beside in figures:
            found = times(figures[gate], figures[beside])
            yield Verdict(what, most, found.median, found.spread, "x")
    for what, workload, most in _MEMORY:
        if workload in results and GATE in results[workload].figures:
            figure = results[workload].figures[GATE]
            yield Verdict(what, most, figure.median, figure.spread, " KiB")
