"""Load by h2load, and what a request costs a gate in the midst of it."""

import contextlib
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import on_core
from bench.peers import Peer
from bench.upstream import LOOPBACK, POD, Bench, Fixed

# What kubectl sends with each request. h2load never compresses `authorization`, which clients in Go do, so the length of a
# service account's token is in a header of another name.
HEADERS = {
    "user-agent": "kubectl/v1.37.2 (linux/amd64) kubernetes/8e4f1f1",
    "accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "accept-encoding": "identity",
    "authorization": "Bearer t",
    "x-token": "eyJhbGciOiJSUzI1NiIsImtpZCI6IkpXVCJ9" * 28,
}
_WARM_REQUESTS = 1000
_WAKE_SECONDS = 0.03
_WINDOW_SECONDS = 0.2
_FEWEST = 50
_TRIES = 3
_A_DAY = 86400
_MOST_SECONDS = 120


@dataclass(frozen=True)
class Cost:
    """What was used by how many requests, in how long a time."""

    cpu_ns: int
    requests: int
    seconds: float

    @property
    def microseconds(self) -> float:
        """CPU time of the gate for each request."""
        return self.cpu_ns / self.requests / 1000

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


class Steady:
    """Small requests without end over 32 kept connections (or 4 with 8 streams each), asleep but for the measured windows.

    Windows are so short, and take turns so quickly, that a slow moment of the machine meets every gate alike.
    """

    def __init__(self, bench: Bench, peer: Peer, upstream: Fixed, shape: Sequence[str]) -> None:
        self._bench = bench
        self._peer = peer
        self._upstream = upstream
        self._shape = shape
        self._begin()

    @classmethod
    @contextlib.contextmanager
    def open(cls, bench: Bench, peer: Peer, upstream: Fixed, *, http2: bool) -> Iterator["Steady"]:
        """The load, begun and put to sleep."""
        steady = cls(bench, peer, upstream, ["-c4", "-m8"] if http2 else ["-c32", "--h1"])
        try:
            yield steady
        finally:
            steady.end()

    def _begin(self) -> None:
        self._opened = contextlib.ExitStack()
        self._load = self._opened.enter_context(_h2load(self._bench, self._peer, POD, *self._shape, f"-D{_A_DAY}"))
        begun = self._upstream.count()
        while self._upstream.count() < begun + _WARM_REQUESTS:
            time.sleep(0.02)
            if self._load.poll() is not None:
                assert self._load.stdout is not None
                raise SystemExit(f"the load on {self._peer.name} ended: {self._load.stdout.read()}")
        self._load.send_signal(signal.SIGSTOP)

    def end(self) -> None:
        """No more load."""
        self._load.kill()
        self._opened.close()

    def window(self) -> Cost:
        """What requests cost for a moment.

        A gate may end a connection after so many requests, which clients answer with another one and h2load with silence.
        """
        for _ in range(_TRIES):
            cost = self._window()
            # A kernel may credit a moment's CPU time to the next one; what is nothing or less was measured wrongly.
            if cost.requests >= _FEWEST and cost.cpu_ns > 0:
                return cost
            self.end()
            self._begin()
        raise SystemExit(f"{self._peer.name} carried {cost.requests} requests only")

    def _window(self) -> Cost:
        self._load.send_signal(signal.SIGCONT)
        time.sleep(_WAKE_SECONDS)
        cpu, count, began = self._peer.cpu_ns(), self._upstream.count(), time.monotonic()
        time.sleep(_WINDOW_SECONDS)
        # One of them has asked for the count.
        cost = Cost(self._peer.cpu_ns() - cpu, self._upstream.count() - count - 1, time.monotonic() - began)
        self._load.send_signal(signal.SIGSTOP)
        return cost


def latencies(bench: Bench, peer: Peer, connections: int, requests: int) -> list[float]:
    """How long each of so many requests took over kept connections, in microseconds."""
    with tempfile.NamedTemporaryFile() as file:
        with _h2load(bench, peer, POD, f"-c{connections}", "--h1", f"-n{requests}", f"--log-file={file.name}") as load:
            load.wait(_MOST_SECONDS)
            _check(load)
        return [float(line.split()[2]) for line in Path(file.name).read_text().splitlines()]


def fixed_number(bench: Bench, peer: Peer, path: str, requests: int, *, http2: bool) -> Cost:
    """So many requests over 4 kept connections."""
    cpu, began = peer.cpu_ns(), time.monotonic()
    with _h2load(bench, peer, path, "-c4", *([] if http2 else ["--h1"]), f"-n{requests}") as load:
        load.wait(_MOST_SECONDS)
        _check(load)
    return Cost(peer.cpu_ns() - cpu, requests, time.monotonic() - began)


@contextlib.contextmanager
def _h2load(bench: Bench, peer: Peer, path: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    url = f"http{'s' if peer.tls else ''}://{LOOPBACK}:{peer.port}{path}"
    sent = {name: value for name, value in HEADERS.items() if not (peer.local and name in ("authorization", "x-token"))}
    headers = [f"--header={name}: {value}" for name, value in sent.items()]
    command = [*on_core(bench.cores.load), "h2load", "-t1", *arguments, *headers, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as load:
        try:
            yield load
        finally:
            load.kill()


def _check(load: subprocess.Popen[str]) -> None:
    assert load.stdout is not None
    said = load.stdout.read()
    found = re.search(r"(\d+) succeeded, (\d+) failed", said)
    if not found or int(found[1]) == 0 or int(found[2]) > 0 or not re.search(r"\d+ 2xx, 0 3xx, 0 4xx, 0 5xx", said):
        raise SystemExit(f"requests failed: {said}")
