"""The HAProxy process: brought back when it dies, drained when it must end, and never left behind."""

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psutil
import pytest

from kubegate.render.bundle import Bundle
from kubegate.render.haproxy import CONFIG_FILE, render
from kubegate.runtime.binary import find
from kubegate.runtime.generation import Refused
from kubegate.runtime.process import StartFailed
from tests.support.gate import Gate, plan
from tests.support.rawhttp import Client, request
from tests.support.upstream import Exchange, Upstream, eventually

pytestmark = pytest.mark.haproxy


@pytest.fixture
def gate(upstream: Upstream) -> Iterator[Gate]:
    """A gate for one test alone."""
    with Gate(plan(upstream.endpoint)) as gate:
        yield gate


def processes(gate: Gate) -> list[psutil.Process]:
    """Master and worker."""
    master = psutil.Process(gate.master.pid)
    return [master, *master.children()]


def gone(process: psutil.Process) -> bool:
    """Whether it has ended; who has to bury it does not matter here."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Stream:
    """A tunnel or a watch that is open until `finish`."""

    def __init__(self, gate: Gate, upstream: Upstream, *, tunnel: bool) -> None:
        self._may_end = threading.Event()
        self._tunnel = tunnel
        path = f"/stream-{id(self)}"
        upstream.at(path, self._echo if tunnel else self._write)
        self.client: Client = gate.h1()
        if tunnel:
            self.client.wire.send(request("POST", path, "Connection: Upgrade", "Upgrade: SPDY/3.1"))
        else:
            self.client.wire.send(request("GET", f"{path}?watch"))
        assert self.client.head().status == (101 if tunnel else 200)
        self.assert_open()

    def _echo(self, exchange: Exchange) -> None:
        exchange.switch("SPDY/3.1")
        with contextlib.suppress(OSError):
            while data := exchange.receive():
                exchange.wire.send(data)

    def _write(self, exchange: Exchange) -> None:
        with contextlib.suppress(OSError):
            exchange.begin()
            exchange.chunk(b"ping")
            while not self._may_end.wait(0.01):
                exchange.chunk(b"ping")
            exchange.chunk(b"")

    def assert_open(self) -> None:
        if self._tunnel:
            self.client.wire.send(b"ping")
            assert self.client.exactly(4) == b"ping"
        else:
            assert self.client.chunk() == b"ping"

    def finish(self) -> None:
        """End it in an orderly way, and see that it was whole up to then."""
        self._may_end.set()
        if self._tunnel:
            self.client.wire.end()
            assert self.client.rest() == b""
        else:
            while chunk := self.client.chunk():
                assert chunk == b"ping"
        self.client.wire.close()


@pytest.mark.parametrize("victim", ["worker", "master", "both"])
def test_haproxy_is_brought_back(gate: Gate, victim: str) -> None:
    before = processes(gate)
    assert len(before) == 2
    assert gate.once(request()).status == 200
    for process in before:
        if victim in ("both", "master" if process is before[0] else "worker"):
            process.kill()
    eventually(lambda: gate.said == ["HAProxy ended (by SIGKILL); starting it again", "HAProxy is back"])
    assert gate.once(request()).status == 200
    eventually(lambda: all(gone(process) for process in before), "the old processes have ended")
    assert not {process.pid for process in before} & {process.pid for process in processes(gate)}


def test_it_is_brought_back_again_and_again(gate: Gate) -> None:
    for number in range(1, 4):
        processes(gate)[1].kill()
        while gate.said.count("HAProxy is back") < number:
            time.sleep(0.01)
        assert gate.once(request()).status == 200


def test_stop_leaves_nothing_behind(upstream: Upstream) -> None:
    with Gate(plan(upstream.endpoint)) as gate:
        before = processes(gate)
        assert gate.stop(10) is True
        assert all(gone(process) for process in before)
        assert not gate.said
        with pytest.raises(OSError):
            gate.h1()


@pytest.mark.parametrize("tunnel", [False, True], ids=["watch", "tunnel"])
def test_a_stream_may_finish_while_the_gate_stops(gate: Gate, upstream: Upstream, tunnel: bool) -> None:
    before = processes(gate)
    stream = Stream(gate, upstream, tunnel=tunnel)
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(gate.stop, 60)
        eventually(lambda: not listens(gate), "nobody new gets in")
        stream.assert_open()
        assert not stopping.done()
        stream.finish()
        assert stopping.result(30) is True
    assert all(gone(process) for process in before)


def listens(gate: Gate) -> bool:
    try:
        gate.h1().wire.close()
    except OSError:
        return False
    return True


def test_a_stream_that_does_not_finish_in_time_is_cut(gate: Gate, upstream: Upstream) -> None:
    before = processes(gate)
    stream = Stream(gate, upstream, tunnel=True)
    assert gate.stop(0.5) is False
    assert stream.client.ended()
    stream.client.wire.close()
    assert all(gone(process) for process in before)


def test_idle_connections_do_not_hold_up_the_end(gate: Gate) -> None:
    """They would for 120 seconds, the time for which HAProxy keeps them."""
    fresh = gate.h1()
    with fresh, gate.h1() as used, gate.h2() as other:
        assert used.ask(request()).status == 200
        assert other.ask().status == 200
        assert gate.do(gate.haproxy.open_streams()) == 0
        assert gate.stop(60) is True


def test_open_streams_are_counted(gate: Gate, upstream: Upstream) -> None:
    with gate.h1() as idle:
        idle.ask(request())
        assert gate.do(gate.haproxy.open_streams()) == 0
        streams = [Stream(gate, upstream, tunnel=tunnel) for tunnel in (False, True)]
        assert gate.do(gate.haproxy.open_streams()) == 2
        with gate.h2() as other:
            upstream.at("/counted", lambda exchange: exchange.begin())
            numbers = [other.start("GET", "/counted?watch") for _ in range(3)]
            for number in numbers:
                other.head(number)
            assert gate.do(gate.haproxy.open_streams()) == 5
        for stream in streams:
            stream.finish()
        eventually(lambda: gate.do(gate.haproxy.open_streams()) == 0)


def test_a_request_on_an_idle_connection_is_still_answered_while_the_gate_stops(gate: Gate, upstream: Upstream) -> None:
    stream = Stream(gate, upstream, tunnel=False)
    with gate.h1() as idle, ThreadPoolExecutor(1) as pool:
        idle.ask(request())
        stopping: Future[bool] = pool.submit(gate.stop, 60)
        eventually(lambda: not listens(gate))
        answer = idle.ask(request())
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert idle.ended()
        stream.finish()
        assert stopping.result(30) is True


def test_a_tunnel_ends_with_the_process_that_carries_it(gate: Gate, upstream: Upstream) -> None:
    """A killed HAProxy takes its streams with it; clients see the end at once and come back."""
    stream = Stream(gate, upstream, tunnel=True)
    processes(gate)[1].kill()
    assert stream.client.ended()
    stream.client.wire.close()
    eventually(lambda: "HAProxy is back" in gate.said)
    again = Stream(gate, upstream, tunnel=True)
    again.finish()


def test_a_configuration_that_haproxy_refuses_leaves_nothing(gate: Gate) -> None:
    files = dict(render(gate.plan).files)
    files[CONFIG_FILE] += b"  nonsense\n"
    before = set(gate.store.folder.iterdir())
    with pytest.raises(Refused, match="unknown keyword 'nonsense'"):
        gate.store.accept(Bundle(files), find())
    assert set(gate.store.folder.iterdir()) == before


def test_a_port_that_is_taken_is_said_so(upstream: Upstream) -> None:
    planned = plan(upstream.endpoint)
    with Upstream(leaf=None, port=planned.frontends[0].listen.port):
        with pytest.raises(StartFailed) as failed:
            Gate(planned)
        assert str(planned.frontends[0].listen.port) in failed.value.message
