"""Load by h2load, and what a request costs a gate in the midst of it."""

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.machine import on_core
from bench.peers import Peer
from bench.upstream import LOOPBACK, POD, Bench, Fixed

# What kubectl sends with each request, the token of a service account among it.
HEADERS = {
    "user-agent": "kubectl/v1.37.2 (linux/amd64) kubernetes/8e4f1f1",
    "accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "accept-encoding": "identity",
    "authorization": "Bearer " + "eyJhbGciOiJSUzI1NiIsImtpZCI6IkpXVCJ9" * 28,
}
_WARM_REQUESTS = 1000
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


def steady(bench: Bench, peer: Peer, upstream: Fixed, seconds: float, *, http2: bool, path: str = POD) -> Cost:
    """Small requests over 32 kept connections (or 4 with 8 streams each); looked at when all of them are warm."""
    shape = ["-c4", "-m8"] if http2 else ["-c32", "--h1"]
    with _h2load(bench, peer, path, *shape, f"-D{seconds + 3:.0f}") as load:
        begun = upstream.count()
        while upstream.count() < begun + _WARM_REQUESTS:
            if load.poll() is not None:
                _check(load)
            time.sleep(0.02)
        cpu, count, began = peer.cpu_ns(), upstream.count(), time.monotonic()
        time.sleep(seconds)
        return Cost(peer.cpu_ns() - cpu, upstream.count() - count - 1, time.monotonic() - began)


def fixed_number(bench: Bench, peer: Peer, path: str, requests: int, *, http2: bool) -> Cost:
    """So many requests over 4 kept connections."""
    cpu, began = peer.cpu_ns(), time.monotonic()
    with _h2load(bench, peer, path, "-c4", *([] if http2 else ["--h1"]), f"-n{requests}") as load:
        load.wait(_MOST_SECONDS)
    return Cost(peer.cpu_ns() - cpu, requests, time.monotonic() - began)


@contextlib.contextmanager
def _h2load(bench: Bench, peer: Peer, path: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    url = f"http{'s' if peer.tls else ''}://{LOOPBACK}:{peer.port}{path}"
    headers = [f"--header={name}: {value}" for name, value in HEADERS.items()]
    command = [*on_core(bench.cores.load), "h2load", "-t1", *arguments, *headers, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as load:
        try:
            yield load
            load.wait(_MOST_SECONDS)
            _check(load)
        finally:
            load.kill()


def _check(load: subprocess.Popen[str]) -> None:
    assert load.stdout is not None
    said = load.stdout.read()
    found = re.search(r"(\d+) succeeded, (\d+) failed", said)
    if not found or int(found[1]) == 0 or int(found[2]) > 0 or not re.search(r"\d+ 2xx, 0 3xx, 0 4xx, 0 5xx", said):
        raise SystemExit(f"requests failed: {said}")
