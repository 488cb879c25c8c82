"""A credential of the local proxy changes: no request carries the old one any more, no stream is cut, and none is on a disk."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubegate.model.filters import default_filters
from kubegate.model.proxy_plan import Listener, ProxyPlan, Target
from kubegate.render.haproxy.live import Command
from kubegate.runtime.binary import find
from kubegate.runtime.generation import Store
from kubegate.runtime.local_plane import LocalPlane
from kubegate.system import listeners
from tests.support.expose import Home
from tests.support.forge import CLIENT, Forged, forge
from tests.support.gate import VERIFIED
from tests.support.proxy import name_of
from tests.support.rawhttp import Client, request
from tests.support.tls import api_leaf, authority, server_context, whole
from tests.support.upstream import Exchange, Upstream

pytestmark = pytest.mark.haproxy
USERS = authority("users")


def client_leaf(name: str) -> Forged:
    return forge(name, USERS, usages=[CLIENT])


class Running:
    """A data plane in a loop of its own."""

    def __init__(self, folder: Path, target: Target) -> None:
        self.said: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.store = Store(folder / "run")
        self.store.acquire()
        self.listening = listeners.tcp("127.0.0.1", 0)
        self.target = target
        self.plane = self.do(self._open)

    async def _open(self) -> LocalPlane:
        plane = LocalPlane(find(), self.store, [self.listening], self.said.append)
        await plane.start(self._plan())
        return plane

    def _plan(self) -> ProxyPlan:
        host = "127.0.0.1"
        listener = Listener("proxy", self.listening.descriptor, "c0", (host,), self.listening.port)
        return ProxyPlan((listener,), (self.target,), default_filters(), f"{self.store.sockets}ask.sock")

    def do(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(30)

    def change(self, **fields: Any) -> bool:
        """Whether it took a reload."""
        self.target = replace(self.target, **fields)
        return bool(self.do(lambda: self.plane.apply(self._plan())))

    def dial(self) -> Client:
        return Client.connect("127.0.0.1", self.listening.port)

    def get(self, path: str = "/api/v1/pods") -> int:
        with self.dial() as client:
            return client.ask(request("GET", path, host="127.0.0.1")).status

    def files(self) -> dict[Path, bytes]:
        """What is in files on a disk, links left out."""
        return {one: one.read_bytes() for one in self.store.folder.rglob("*") if one.is_file() and not one.is_symlink()}

    def close(self) -> None:
        self.do(lambda: self.plane.stop(0))
        self.plane.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def server() -> Iterator[Upstream]:
    """An API server that asks for client certificates."""

    def stream(exchange: Exchange) -> None:
        exchange.begin()
        while data := exchange.receive():
            exchange.chunk(data)
        exchange.leave()

    with Upstream(context=server_context(api_leaf(), USERS)) as upstream:
        upstream.at("/api/v1/stream/proxy", stream)
        yield upstream


@pytest.fixture
def running(person: Home, server: Upstream) -> Iterator[Running]:
    """A plane in front of it, with a token and a certificate."""
    pair = whole(client_leaf("first"))
    target = Target(
        "c0",
        "dev",
        "api.test",
        True,
        (server.endpoint,),
        verification=VERIFIED,
        authorization="Bearer first-token",
        pair=pair,
    )
    plane = Running(person.path, target)
    yield plane
    plane.close()


def shown(server: Upstream) -> str:
    """The name in the client certificate of the last request."""
    return name_of(server.requests[-1])


def held_in_memory() -> int:
    """How many files this process keeps in memory for HAProxy."""
    count = 0
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(FileNotFoundError):
            count += "memfd:kubegate" in str(descriptor.readlink())
    return count


def test_a_token_and_a_certificate_are_live_at_once_also_for_pooled_connections(running: Running, server: Upstream) -> None:
    with running.dial() as client:
        for number in range(5):
            assert client.ask(request("GET", "/api/v1/pods", "User-Agent: a", host="127.0.0.1")).status == 200
            token = f"token;{number}" if number else "first-token"
            assert server.requests[-1].values("authorization") == [f"Bearer {token}"]
            assert shown(server) == ("first" if not number else f"user-{number}")
            number += 1
            # A semicolon would begin another command of the Runtime API.
            assert not running.change(authorization=f"Bearer token;{number}", pair=whole(client_leaf(f"user-{number}")))
    assert running.get() == 200
    assert shown(server) == "user-5"
    # What was replaced is not kept in memory either: the map and the pair of now.
    assert held_in_memory() == 2


def test_under_load_nothing_fails_and_nothing_old_comes_after_a_second(running: Running, server: Upstream) -> None:
    stop, failed = threading.Event(), []

    def load() -> None:
        with running.dial() as client:
            while not stop.is_set():
                if client.ask(request("GET", "/api/v1/pods", host="127.0.0.1")).status != 200:
                    failed.append(1)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(4):
            assert not running.change(authorization=f"Bearer {number}", pair=whole(client_leaf(f"user-{number}")))
            seen = len(server.requests)
            time.sleep(0.4)
            running.do(running.plane.collect)
            # What was on its way at that moment.
            late = server.requests[seen + 8 :]
            assert late
            assert {one.values("authorization")[0] for one in late} == {f"Bearer {number}"}
            assert {name_of(one) for one in late} == {f"user-{number}"}
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []


def test_a_stream_goes_on_and_its_server_goes_with_it(running: Running, server: Upstream) -> None:
    with running.dial() as client:
        client.wire.send(request("POST", "/api/v1/stream/proxy", "Transfer-Encoding: chunked", host="127.0.0.1"))
        client.wire.send(b"0\r\n\r\n")
        assert client.head().status == 200
        assert not running.change(pair=whole(client_leaf("second")))
        assert running.get() == 200
        assert shown(server) == "second"
        running.do(running.plane.collect)
        servers = running.do(lambda: running.plane.workers.tell(command("show servers conn c0:stream")))
        assert servers.count("c0:stream/") == 2
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        running.do(running.plane.collect)
        answer = running.do(lambda: running.plane.workers.tell(command("show servers conn")))
        certificates = running.do(lambda: running.plane.workers.tell(command("show ssl cert")))
        if answer.count("c0:stream/") == 1 and certificates.count("client-") == 1:
            break
        time.sleep(0.1)
    assert (answer.count("c0:stream/"), certificates.count("client-")) == (1, 1)


def test_a_401_does_not_tie_a_connection_to_the_old_server(running: Running, server: Upstream) -> None:
    server.at("/api/v1/401", lambda exchange: exchange.reply(401, "WWW-Authenticate: Negotiate"))
    with running.dial() as client:
        assert client.ask(request("GET", "/api/v1/401", host="127.0.0.1")).status == 401
        assert not running.change(authorization="Bearer second", pair=whole(client_leaf("second")))
        assert client.ask(request("GET", "/api/v1/pods", host="127.0.0.1")).status == 200
    assert server.requests[-1].values("authorization") == ["Bearer second"]
    assert shown(server) == "second"


def test_no_secret_is_in_a_file(running: Running) -> None:
    running.change(authorization="Bearer second-token")
    assert running.get() == 200
    files = running.files()
    assert any(path.name == "haproxy.cfg" for path in files)
    for path, content in files.items():
        assert b"-token" not in content and b"PRIVATE KEY" not in content, path


def test_a_credential_that_is_gone_is_503_and_may_come_back(running: Running, server: Upstream) -> None:
    assert running.get() == 200
    assert not running.change(gone="the entry was removed")
    before = len(server.requests)
    assert running.get() == 503
    assert len(server.requests) == before
    assert not running.change(gone="")
    assert running.get() == 200


def test_another_server_is_a_live_change_and_another_identity_a_reload(running: Running, server: Upstream) -> None:
    with Upstream() as other:
        assert not running.change(servers=(other.endpoint,))
        assert running.get() == 200
        assert len(other.requests) == 1
    assert not running.change(servers=(server.endpoint,))
    assert running.change(impersonation=(("Impersonate-User", "jane"), ("Impersonate-Extra-a%2fb", "100%")))
    assert running.get() == 200
    assert server.requests[-1].values("impersonate-user") == ["jane"]
    assert server.requests[-1].values("impersonate-extra-a%2fb") == ["100%"]


def test_a_new_start_of_haproxy_has_the_newest_credential(running: Running, server: Upstream) -> None:
    running.change(authorization="Bearer second", pair=whole(client_leaf("second")))
    keeping = asyncio.run_coroutine_threadsafe(running.plane.keep_running(), running._loop)
    pid = running.plane.haproxy.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while "HAProxy is back" not in running.said and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running.get() == 200
    assert server.requests[-1].values("authorization") == ["Bearer second"]
    assert shown(server) == "second"
    running.do(lambda: running.plane.stop(0))
    keeping.result(10)


def command(text: str) -> Command:
    return Command(text)
