"""The life of a gate that runs: asked to stop, killed in part or whole, and never anything left behind."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from kubegate.runtime.declare import Flags
from kubegate.runtime.expose import Exposure
from kubegate.runtime.signals import Stop
from kubegate.system.network import listening_pids
from tests.support.expose import Exposed, Home, expose, grants, home, kubeconfig, kubegate, problems
from tests.support.rawhttp import Client, NoAnswer, request
from tests.support.upstream import Exchange, Upstream, eventually

pytestmark = pytest.mark.haproxy

TOKEN_PATH = "/api/v1/namespaces/dev/serviceaccounts/robot/token"


@pytest.fixture
def api() -> Iterator[Upstream]:
    """An API server for one test alone."""
    with Upstream() as api:
        yield api


def flags(person: Home, api: Upstream, *more: str, **options: Any) -> tuple[str, ...]:
    """Flags for an API server, a free port and a client kubeconfig."""
    config = kubeconfig(person.path / "config.yaml", f"https://127.0.0.1:{api.port}", **options)
    return "--kubeconfig", str(config), "--listen", "127.0.0.1:0", "--out", str(person.path / "out.yaml"), *more


def asked(gate: Exposed) -> int:
    """The status of a request on a connection of its own."""
    with gate.dial() as client:
        return client.ask(request()).status


def refuses(gate: Exposed) -> bool:
    """Whether nobody listens any more."""
    try:
        socket.create_connection(("127.0.0.1", gate.port), 5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # queued at a listener that is being closed this very moment
        return False
    return False


class Watch:
    """A watch through a gate, which goes on until `finish`."""

    def __init__(self, gate: Exposed, api: Upstream) -> None:
        self._may_end = threading.Event()
        api.at("/watched", self._write)
        self.client: Client = gate.dial()
        self.client.wire.send(request("GET", "/watched?watch=1"))
        assert self.client.head().status == 200
        self.assert_open()

    def _write(self, exchange: Exchange) -> None:
        with contextlib.suppress(OSError):
            exchange.begin()
            exchange.chunk(b"ping")
            while not self._may_end.wait(0.05):
                exchange.chunk(b"ping")
            exchange.chunk(b"")

    def assert_open(self) -> None:
        assert self.client.chunk() == b"ping"

    def until_cut(self) -> None:
        """Read until the connection ends, which it must not do in an orderly way."""
        with pytest.raises((NoAnswer, OSError)):
            while self.client.chunk() == b"ping":
                pass
        self._may_end.set()
        self.client.wire.close()

    def finish(self) -> None:
        """End it in an orderly way."""
        self._may_end.set()
        while self.client.chunk():
            pass
        self.client.wire.close()


# Half a minute, spent beside the other tests.


@dataclass
class LongEnd:
    """A gate that was asked to stop while a watch was open that does not end."""

    seconds: float = 0
    said: str = ""
    code: int | None = None
    left: tuple[Path, ...] = ()
    trouble: BaseException | None = None


def end_slowly(found: LongEnd) -> None:
    try:
        with home() as person, Upstream() as api, expose(*flags(person, api), home=person) as gate:
            watch = Watch(gate, api)
            began = time.monotonic()
            gate.process.send_signal(signal.SIGTERM)
            watch.until_cut()
            found.said, found.seconds, found.code = gate.end(), time.monotonic() - began, gate.process.returncode
            found.left = (*person.runtime.iterdir(),)
    except BaseException as trouble:  # noqa: BLE001 - told by the test
        found.trouble = trouble


@pytest.fixture(scope="module", autouse=True)
def long_end() -> Iterator[tuple[LongEnd, threading.Thread]]:
    """The end that takes longest, begun first."""
    found = LongEnd()
    thread = threading.Thread(target=end_slowly, args=[found])
    thread.start()
    yield found, thread
    thread.join()


# Asked to stop.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
def test_it_ends_at_once_where_nothing_is_open(person: Home, api: Upstream, number: signal.Signals) -> None:
    """Connections that are only kept alive do not hold it up."""
    with expose(*flags(person, api), home=person) as gate, gate.dial() as used, gate.dial():
        assert used.ask(request()).status == 200
        began = time.monotonic()
        assert gate.stop(number).endswith(" stopped\n")
        assert time.monotonic() - began < 5
        assert gate.process.returncode == 0
    person.assert_nothing_left()


def test_open_streams_may_end_by_themselves(person: Home, api: Upstream) -> None:
    with expose(*flags(person, api), home=person) as gate:
        watch = Watch(gate, api)
        gate.process.send_signal(signal.SIGTERM)
        assert "1 open" in gate.wait_for("stopping")
        eventually(lambda: refuses(gate))
        watch.assert_open()
        assert gate.process.poll() is None
        watch.finish()
        assert gate.end().endswith(" stopped\n")
        assert gate.process.returncode == 0
    person.assert_nothing_left()


def test_asked_twice_it_ends_at_once(person: Home, api: Upstream) -> None:
    with expose(*flags(person, api), home=person) as gate:
        watch = Watch(gate, api)
        gate.process.send_signal(signal.SIGINT)
        gate.wait_for("stopping")
        began = time.monotonic()
        gate.process.send_signal(signal.SIGINT)
        watch.until_cut()
        assert gate.end().endswith("what was still open was ended\n")
        assert time.monotonic() - began < 6
        assert gate.process.returncode == 0
    person.assert_nothing_left()


@pytest.mark.parametrize(("name", "number"), [("HUP", signal.SIGHUP), ("INT", signal.SIGINT)])
def test_a_signal_that_it_was_started_to_ignore_stays_ignored(
    person: Home, api: Upstream, name: str, number: signal.Signals
) -> None:
    """So do nohup, and shells with the background jobs of scripts."""
    before = ("sh", "-c", f'trap "" {name}; exec "$@"', "sh")
    with expose(*flags(person, api), home=person, before=before) as gate:
        gate.process.send_signal(number)
        time.sleep(0.3)
        assert asked(gate) == 200
        assert gate.stop(signal.SIGTERM).endswith(" stopped\n")
        assert gate.process.returncode == 0


# Killed.


@pytest.mark.parametrize("victim", ["worker", "master"])
def test_haproxy_is_back_when_it_was_killed(person: Home, api: Upstream, victim: str) -> None:
    with expose(*flags(person, api), home=person) as gate:
        for _ in range(2):
            master = gate.haproxy()
            (master.children()[0] if victim == "worker" else master).kill()
            assert "HAProxy ended (by SIGKILL); starting it again" in gate.wait_for("HAProxy ended")
            gate.wait_for("HAProxy is back")
            assert asked(gate) == 200
    person.assert_nothing_left()


@contextlib.contextmanager
def port_lost(gate: Exposed) -> Iterator[None]:
    """Kill HAProxy, and have its port before it is back; it is free again after the block."""
    gate.process.send_signal(signal.SIGSTOP)
    master = gate.haproxy()
    family = [master, *master.children()]
    master.kill()
    psutil.wait_procs(family[1:], 10)
    with socket.create_server(("127.0.0.1", gate.port)):
        gate.process.send_signal(signal.SIGCONT)
        yield


def test_haproxy_that_does_not_start_is_tried_again(person: Home, api: Upstream) -> None:
    with expose(*flags(person, api), home=person) as gate:
        with port_lost(gate):
            said = gate.wait_for("HAProxy did not start")
            assert "Address already in use" in said
            assert f"(pid {os.getpid()}) listens there" in said
            assert "trying again" in said
        gate.wait_for("HAProxy is back")
        assert asked(gate) == 200


def test_damaged_files_of_what_runs_are_written_again(person: Home, api: Upstream) -> None:
    with expose(*flags(person, api), home=person) as gate:
        [file] = person.runtime.rglob("current/haproxy.cfg")
        file.write_bytes(b"nonsense\n")
        gate.haproxy().kill()
        gate.wait_for("HAProxy is back")
        assert asked(gate) == 200


@pytest.mark.parametrize("seconds", [0, 0.05, 0.5])
def test_asked_to_stop_while_haproxy_is_down(person: Home, api: Upstream, seconds: float) -> None:
    with expose(*flags(person, api), home=person) as gate, port_lost(gate):
        time.sleep(seconds)
        began = time.monotonic()
        gate.stop()
        assert time.monotonic() - began < 5
        assert gate.process.returncode == 0
    person.assert_nothing_left()


def test_kubegate_killed_haproxy_serves_on_and_is_taken_over(person: Home, api: Upstream) -> None:
    with expose(*flags(person, api), home=person) as gate:
        orphan, watch = gate.haproxy(), Watch(gate, api)
        gate.process.kill()
        gate.process.wait()
        assert asked(gate) == 200
        watch.assert_open()
        again = flags(person, api, "--listen", f"127.0.0.1:{gate.port}")
        # Who fails to take over leaves everything as it is.
        api.at(TOKEN_PATH, lambda exchange: exchange.reply(403))
        failed = kubegate("expose", "--output", "json", *again, "--account", "dev/robot", home=person)
        assert failed.returncode == 1
        assert "refused a token" in problems(failed)[0]["message"]
        assert asked(gate) == 200
        with expose(*again, home=person) as heir:
            assert f"taking over from HAProxy {orphan.pid}," in heir.wait_for("left running")
            assert heir.facts["certificate"]["sha256"] == gate.facts["certificate"]["sha256"]
            assert asked(heir) == 200
            assert {process.ppid() for process in listeners(heir)} == {heir.haproxy().pid}
            # What was open goes on in the old one, which ends with it.
            watch.assert_open()
            watch.finish()
            eventually(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE)
            assert asked(heir) == 200
    person.assert_nothing_left()


def listeners(gate: Exposed) -> list[psutil.Process]:
    """The processes that listen on the gate's port."""
    return [psutil.Process(pid) for pid in listening_pids(gate.port)]


def test_no_client_finds_the_port_closed_while_it_is_taken_over(person: Home, api: Upstream) -> None:
    refused: list[str] = []
    done = threading.Event()

    def knock(port: int) -> None:
        while not done.is_set():
            try:
                with socket.create_connection(("127.0.0.1", port), 5):
                    pass
            except ConnectionRefusedError as error:
                refused.append(str(error))
            except OSError:
                continue

    with expose(*flags(person, api), home=person) as gate:
        gate.process.kill()
        gate.process.wait()
        knocking = threading.Thread(target=knock, args=[gate.port])
        knocking.start()
        try:
            with expose(*flags(person, api, "--listen", f"127.0.0.1:{gate.port}"), home=person) as heir:
                assert asked(heir) == 200
                done.set()
                knocking.join()
        finally:
            done.set()
    assert refused == []
    person.assert_nothing_left()


def test_what_a_dead_haproxy_left_is_cleared(person: Home, api: Upstream) -> None:
    with expose(*flags(person, api), home=person) as gate:
        orphan = gate.haproxy()
        gate.process.kill()
        gate.process.wait()
        for process in (*orphan.children(), orphan):
            process.kill()
        eventually(lambda: refuses(gate))
        [left] = person.runtime.iterdir()
        (left / "generation-7").mkdir()
        (left / "generation-7" / "gate.pem").write_text("an old key")
        with expose(*flags(person, api, "--listen", f"127.0.0.1:{gate.port}"), home=person) as heir:
            assert asked(heir) == 200
            assert not (left / "generation-7").exists()
            assert "taking over" not in "".join(heir.events)
    person.assert_nothing_left()


# Nothing is lost on the way.


def test_descriptors_and_warnings(person: Home, api: Upstream) -> None:
    """Python's development mode tells of everything that was not closed or awaited."""
    api.at(TOKEN_PATH, grants("granted", "2099-01-01T00:00:00Z"))
    more = ("--account", "dev/robot")
    with expose(*flags(person, api, *more), home=person, extra={"PYTHONDEVMODE": "1"}) as gate:
        numbers = []
        for _ in range(4):
            gate.haproxy().kill()
            gate.wait_for("HAProxy is back")
            time.sleep(0.1)
            numbers.append(psutil.Process(gate.process.pid).num_fds())
        assert max(numbers) == min(numbers)
        said = gate.stop()
    assert not [words for words in ("Warning", "Traceback", "never retrieved", "was destroyed") if words in said], said


def test_a_caller_in_python_that_gives_up(person: Home, api: Upstream) -> None:
    """Cancelled like any other work, a gate ends and leaves nothing."""
    said: list[str] = []
    config = kubeconfig(person.path / "config.yaml", f"https://127.0.0.1:{api.port}")

    async def run() -> None:
        flags = Flags(kubeconfig=config, listen="127.0.0.1:0", out=person.path / "out.yaml")
        async with await Exposure.open(flags, person.environ(), said.append) as exposure:
            assert exposure.status.pid == os.getpid()
            assert person.processes()
            async with asyncio.timeout(0.3):
                await exposure.serve(Stop())

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    assert said == []
    person.assert_nothing_left()


def test_a_stream_that_does_not_end_is_cut_after_half_a_minute(long_end: tuple[LongEnd, threading.Thread]) -> None:
    found, thread = long_end
    thread.join(60)
    if found.trouble:
        raise found.trouble
    assert 28 < found.seconds < 36
    assert "1 open, waiting at most 30 s" in found.said
    assert found.said.endswith("what was still open was ended\n")
    assert (found.code, found.left) == (0, ())
