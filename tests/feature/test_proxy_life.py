"""How `kubegate proxy` begins and ends: places that are taken, signals, a kill, and that nothing of it is left."""

import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kubegate.system.network import free_port
from tests.support.commands import watch
from tests.support.expose import Home, kubeconfig, kubegate
from tests.support.proxy import Proxying, alive, proxying
from tests.support.rawhttp import Client, request
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy
_WITHIN_SECONDS = 1.0


@pytest.fixture
def config(person: Home, upstream: Upstream) -> str:
    """A kubeconfig of `upstream`."""
    upstream.at("/api/v1/watched", watch)
    return str(kubeconfig(person.path / "config", f"https://127.0.0.1:{upstream.port}"))


def watching(proxy: Proxying, at: int = 0) -> Client:
    """A watch that is open."""
    client = proxy.dial(at)
    client.wire.send(request("GET", "/api/v1/watched?watch=true", host="localhost"))
    assert client.head().status == 200
    assert client.chunk() == b"begun"
    return client


def refuses(proxy: Proxying) -> bool:
    """Whether nobody listens any more."""
    try:
        proxy.dial().wire.close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_start_line_is_all_of_standard_output(person: Home, config: str) -> None:
    port = free_port("127.0.0.1")
    with proxying("--kubeconfig", config, f"--port={port}", home=person) as proxy:
        assert proxy.where == f"127.0.0.1:{port}"
        assert proxy.stop() == 0
        assert proxy.process.stdout is not None
        assert proxy.process.stdout.read() == ""


def test_an_occupied_port_is_one_clear_error(person: Home, config: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = kubegate("proxy", "--kubeconfig", config, f"--port={taken.getsockname()[1]}", home=person)
    assert (done.returncode, done.stdout) == (2, "")
    [line, hint] = done.stderr.splitlines()
    assert line.startswith("error: --port: ")
    assert "listens there already" in line
    assert "--port=0" in hint


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSEGV])
def test_however_it_ends_haproxy_ends(person: Home, config: str, number: signal.Signals) -> None:
    with proxying("--kubeconfig", config, "--port=0", home=person) as proxy:
        processes = proxy.haproxy()
        assert len(processes) == 2
        proxy.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGSEGV):
            began = time.monotonic()
            proxy.process.wait(5)
            eventually(lambda: not alive(processes))
            assert time.monotonic() - began < _WITHIN_SECONDS
        else:
            assert proxy.process.wait(10) == 0
            assert not alive(processes)
        with pytest.raises(ConnectionRefusedError):
            proxy.dial()


def test_a_kill_ends_streams_and_every_worker(person: Home, config: str) -> None:
    with Upstream() as other, proxying("--kubeconfig", config, "--port=0", home=person) as proxy, watching(proxy) as first:
        # Another API server is a reload, and the worker before it stays with its stream.
        other.at("/api/v1/watched", watch)
        kubeconfig(Path(config), f"https://127.0.0.1:{other.port}", user={"token": "t", "as": "jane"})
        eventually(lambda: len(proxy.haproxy()) == 3, "two workers run")
        with watching(proxy) as second:
            processes = proxy.haproxy()
            proxy.process.kill()
            began = time.monotonic()
            eventually(lambda: not alive(processes))
            assert time.monotonic() - began < _WITHIN_SECONDS
            first.rest()
            second.rest()


def test_a_stop_lets_streams_end_and_a_second_one_ends_them(person: Home, config: str) -> None:
    with proxying("--kubeconfig", config, "--port=0", home=person) as proxy, watching(proxy) as client:
        proxy.process.send_signal(signal.SIGTERM)
        proxy.wait_for("1 open")
        eventually(lambda: refuses(proxy), "nobody listens any more")
        assert proxy.process.poll() is None
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(10) == 0
        assert client.rest() == b""
        person.assert_nothing_left()


def test_a_stop_ends_when_the_last_stream_does(person: Home, config: str) -> None:
    with proxying("--kubeconfig", config, "--port=0", home=person) as proxy:
        with watching(proxy):
            proxy.process.send_signal(signal.SIGTERM)
            proxy.wait_for("1 open")
        assert proxy.process.wait(10) == 0
        person.assert_nothing_left()


def test_haproxy_comes_back_when_it_dies(person: Home, config: str) -> None:
    with proxying("--kubeconfig", config, "--port=0", home=person) as proxy:
        proxy.haproxy()[0].kill()
        proxy.wait_for("HAProxy is back")
        assert proxy.ask("/version").status == 200


def test_the_folder_of_one_that_was_killed_is_removed_by_the_next(person: Home, config: str) -> None:
    with proxying("--kubeconfig", config, "-p0", home=person) as proxy:
        proxy.process.kill()
        proxy.process.wait()
        assert len(list(person.runtime.iterdir())) == 1
        with proxying("--kubeconfig", config, "-p0", home=person) as other:
            eventually(lambda: [one.name for one in person.runtime.iterdir()] == [f"proxy-{other.process.pid}"])
            with proxying("--kubeconfig", config, "-p0", home=person):
                assert other.ask("/version").status == 200
    person.assert_nothing_left()


class TestUnixSocket:
    """`--unix-socket`."""

    def test_it_is_the_owners_and_gone_at_the_end(self, person: Home, config: str, upstream: Upstream) -> None:
        path = person.path / "proxy.sock"
        with proxying("--kubeconfig", config, f"--unix-socket={path}", home=person) as proxy:
            assert proxy.where == str(path)
            found = path.stat()
            assert (stat.S_IMODE(found.st_mode) & 0o077, found.st_uid) == (0, os.geteuid())
            # Any name will do for whoever may use it.
            assert proxy.ask("/api/v1/by-socket", host="anything.example").status == 200
            assert upstream.seen("/api/v1/by-socket")[0].values("x-forwarded-for") == []
            with watching(proxy):
                proxy.process.send_signal(signal.SIGTERM)
                proxy.wait_for("1 open")
            assert proxy.process.wait(10) == 0
        assert not path.exists()

    def test_one_that_is_left_is_replaced(self, person: Home, config: str) -> None:
        path = person.path / "proxy.sock"
        with proxying("--kubeconfig", config, "-u", str(path), home=person) as proxy:
            proxy.process.kill()
            proxy.process.wait()
        assert path.exists()
        with proxying("--kubeconfig", config, "-u", str(path), home=person) as proxy:
            assert proxy.ask("/version").status == 200

    def test_a_live_one_is_refused_and_lives_on(self, person: Home, config: str) -> None:
        path = person.path / "proxy.sock"
        with proxying("--kubeconfig", config, "-u", str(path), home=person) as proxy:
            done = kubegate("proxy", "--kubeconfig", config, "-u", str(path), home=person)
            assert done.returncode == 2
            assert "somebody listens there already" in done.stderr
            assert proxy.ask("/version").status == 200

    def test_a_file_is_refused_and_stays(self, person: Home, config: str) -> None:
        path = person.path / "notes"
        path.write_text("mine")
        done = kubegate("proxy", "--kubeconfig", config, "-u", str(path), home=person)
        assert done.returncode == 2
        assert path.read_text() == "mine"

    def test_a_path_longer_than_a_socket_may_have(self, person: Home, config: str) -> None:
        folder = person.path / ("f" * 120)
        folder.mkdir()
        with proxying("--kubeconfig", config, "-u", str(folder / "s"), home=person) as proxy:
            assert proxy.where == str(folder / "s")


@pytest.fixture
def background(person: Home, config: str) -> Iterator[subprocess.Popen[bytes]]:
    """A proxy whose output nobody reads."""
    from tests.support.expose import command

    port = free_port("127.0.0.1")
    process = subprocess.Popen(
        [*command("proxy", "--kubeconfig", config, f"--port={port}")],
        env=person.environ() | {"PORT": str(port)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    yield process
    with process:
        process.terminate()
        process.wait(20)


def test_it_serves_though_nobody_reads_what_it_says(background: subprocess.Popen[bytes]) -> None:
    assert background.stdout is not None and background.stderr is not None
    background.stdout.close()
    background.stderr.close()
    port = int(psutil.Process(background.pid).environ()["PORT"])

    def answers() -> bool:
        try:
            with Client.connect("127.0.0.1", port) as client:
                return client.ask(request("GET", "/version", host="localhost")).status == 200
        except ConnectionRefusedError:
            return False

    eventually(answers)
    assert background.poll() is None
