"""Fifty changes of each kind, under load, with two hundred watches and a tunnel open: nothing fails and nothing is cut."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support.expose import Home, home
from tests.support.load import Load
from tests.support.rawhttp import Client, request
from tests.support.run import Document, Running, cluster, front_leaf, gate_file, run, write_pair
from tests.support.tls import authority, cluster_authority
from tests.support.upstream import Exchange, Upstream, eventually

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(300)]

TIMES = 50
WATCHES = 200
SPARE = authority("next CA")


class Streams:
    """Watches and a tunnel, open from the beginning to the end: what is written upstream arrives, all of it."""

    def __init__(self, gate: Running, upstreams: Sequence[Upstream]) -> None:
        self._gate = gate
        self._may_end = threading.Event()
        before = sum(len(one.seen("/watched")) for one in upstreams)
        for upstream in upstreams:
            upstream.at("/watched", self._watch)
            upstream.at("/exec", self._echo)
        self._watches = [self._open("GET", "/watched?watch=1") for _ in range(WATCHES)]
        self._tunnel = self._open("POST", "/exec", "Connection: Upgrade", "Upgrade: SPDY/3.1")
        assert self._tunnel.head().status == 101
        eventually(lambda: sum(len(one.seen("/watched")) for one in upstreams) == before + WATCHES, "all watches are open")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._may_end.set()
        for client in (*self._watches, self._tunnel):
            client.wire.close()

    def _open(self, method: str, target: str, *headers: str) -> Client:
        client = self._gate.dial()
        client.wire.send(request(method, target, *headers, host="one.test"))
        return client

    def _watch(self, exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"first")
        self._may_end.wait(280)
        exchange.chunk(b"last")
        exchange.chunk(b"")

    def _echo(self, exchange: Exchange) -> None:
        exchange.switch("SPDY/3.1")
        while data := exchange.receive():
            exchange.wire.send(data)

    def echo(self, text: bytes) -> None:
        """What is typed into the tunnel comes back."""
        self._tunnel.wire.send(text)
        found = b""
        while len(found) < len(text):
            found += self._tunnel.wire.receive(len(text) - len(found))
        assert found == text

    def finish(self) -> None:
        """Let them end, and see that nothing of them was lost."""
        self._may_end.set()
        for client in self._watches:
            with client:
                assert client.answer().body == b"firstlast"
        self.echo(b"the last word")
        self._tunnel.wire.close()


@dataclass
class Site:
    """A gate, its API servers, and where its files are."""

    gate: Running
    folder: Path
    upstreams: tuple[Upstream, Upstream]
    numbers: dict[str, int] = field(default_factory=dict)

    def edit(self, change: Callable[[Document], object]) -> None:
        self.gate.edit(change)

    def put(self, name: str, content: bytes) -> None:
        """Replace a file that is declared, and wait until that runs."""
        before = self.gate.status().generation
        fresh = self.folder / f"{name}.new"
        fresh.write_bytes(content)
        fresh.replace(self.folder / name)
        self.gate.next_generation(before)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with home() as person, Upstream() as first, Upstream() as second:
        declared = cluster(person.path, "one", first, second, limits={"connections": 5000}, allow=["127.0.0.0/8"])
        with run(gate_file(person.path, declared), person) as gate:
            gate.until_up("one", 2)
            yield Site(gate, person.path, (first, second))


def certificate(site: Site, _: bool) -> None:
    """The key first: for a moment it does not belong to the certificate, and nothing comes of that."""
    before = site.gate.status().generation
    write_pair(site.folder, "one", front_leaf("one.test", "127.0.0.1"))
    site.gate.next_generation(before)


def upstream_authority(site: Site, there: bool) -> None:
    site.put("one-ca.crt", cluster_authority().pem + SPARE.pem * there)


def servers(site: Site, there: bool) -> None:
    wanted = [str(one.endpoint) for one in site.upstreams[: 1 if there else 2]]
    site.edit(lambda document: document["clusters"][0]["upstream"].update(servers=wanted))


def ranges(site: Site, there: bool) -> None:
    wanted = ["127.0.0.0/8", "192.0.2.0/24"] if there else ["127.0.0.0/8"]
    site.edit(lambda document: document["clusters"][0].update(allow=wanted))


def limits(site: Site, there: bool) -> None:
    site.edit(lambda document: document["clusters"][0]["limits"].update(connections=4000 if there else 5000))


def new_cluster(site: Site, there: bool) -> None:
    def change(document: Document) -> None:
        del document["clusters"][1:]
        if there:
            document["clusters"].append(cluster(site.folder, "two", site.upstreams[1]))

    site.edit(change)
    assert site.gate.ask("/", name="two.test", verify=False).status == (200 if there else 421)


def timeout(site: Site, there: bool) -> None:
    site.edit(lambda document: document["clusters"][0].update(timeouts={"request": "6m" if there else "5m"}))


@contextlib.contextmanager
def load(gate: Running) -> Iterator[list[Load]]:
    """Requests on connections that stay, of either version; and on connections of their own."""
    plain = ("GET", "/", ())
    with (
        Load(gate, lambda _: plain, clients=2) as kept,
        Load(gate, lambda _: plain, clients=2, version="h2") as second,
        Load(gate, lambda _: plain, clients=1, keep=False) as single,
    ):
        loads = [kept, second, single]
        yield loads
        for one in loads:
            one.until(20)
    for one in loads:
        failed = [asked for asked in one.asked if asked.status != 200]
        assert not failed, f"{len(failed)} of {len(one.asked)}: {failed[:5]}"


@pytest.mark.parametrize("change", [certificate, upstream_authority, servers, ranges, limits, new_cluster])
def test_what_haproxy_can_take_is_changed_without_a_reload(site: Site, change: Callable[[Site, bool], None]) -> None:
    before, workers = site.gate.status(), site.gate.workers()
    with Streams(site.gate, site.upstreams) as streams:
        with load(site.gate):
            for number in range(1, TIMES + 1):
                change(site, bool(number % 2))
                streams.echo(f"after change {number}".encode())
        after = site.gate.status()
        assert site.gate.workers() == workers
        assert after.reloads == before.reloads
        assert after.live_changes >= before.live_changes + TIMES
        assert after.streams_ended == before.streams_ended
        streams.finish()


def test_what_it_cannot_take_is_changed_by_reloads_that_lose_nothing(site: Site) -> None:
    """Half of the fifty are written without waiting for the one before: those are fewer reloads."""
    before = site.gate.status()
    with Streams(site.gate, site.upstreams) as streams:
        with load(site.gate):
            for number in range(1, TIMES // 2 + 1):
                timeout(site, bool(number % 2))
                streams.echo(f"after reload {number}".encode())
            settled = site.gate.status()
            document = site.gate.document
            for number in range(TIMES // 2):
                document["clusters"][0]["timeouts"] = {"request": f"{number + 10}m"}
                site.gate.rewrite(document)
            site.gate.next_generation(settled.generation)
            eventually(lambda: f"timeout server {TIMES // 2 + 9}m" in config(site), "the last of them runs")
        after = site.gate.status()
        assert settled.reloads == before.reloads + TIMES // 2
        assert settled.reloads < after.reloads < settled.reloads + TIMES // 2
        assert after.streams_ended == before.streams_ended
        # The one that was current when the streams began carries them, and no other has a reason to live.
        eventually(lambda: len(site.gate.status().old_workers) == 1, "one old worker is left")
        streams.finish()
        eventually(lambda: not site.gate.status().old_workers, "it ends with its last stream")


def config(site: Site) -> str:
    """The configuration of the generation that is current."""
    return (site.gate.folders.kept / "current" / "haproxy.cfg").read_text()


def test_nothing_is_left_of_all_that(site: Site) -> None:
    assert Home(site.folder).path == site.folder
    eventually(lambda: len(list(site.gate.folders.kept.glob("generation-*"))) == 1, "one generation is kept")
    eventually(lambda: site.gate.status().leaving_servers == 0, "no server is on its way out")
    assert len(site.gate.workers()) == 1
