"""The unit that is shipped, under the real systemd: started, crashed, hung, reloaded, upgraded and stopped."""

import contextlib
import ctypes
import itertools
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.expose import home
from tests.support.machine import SERVICE, Machine, machine
from tests.support.rawhttp import Answer, Client, NoAnswer, request
from tests.support.run import Document, client, cluster, gate_file, run
from tests.support.upstream import Exchange, Upstream, eventually

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(300)]

# A port that only root may have, or who was given the right.
PORT = 443
_NUMBERS = itertools.count(1)
FILE = "/etc/kubegate/kubegate.yaml"
PROGRAM = "/opt/kubegate/bin/kubegate"
# So that nobody has to wait for it.
SHORT = "TimeoutStopSec=4s\n"
# ptrace(2)
_PTRACE_ATTACH, _WALL = 16, 0x40000000


class Service:
    """The service on a machine, its file, and the API server behind it."""

    def __init__(self, machine: Machine, upstream: Upstream) -> None:
        self.machine = machine
        self.upstream = upstream
        self.folder = machine.file("/etc/kubegate")
        # Several of these machines share one network.
        self.address = f"127.77.0.{next(_NUMBERS)}"
        upstream.at("/watch", self._watch)
        self.may_end = threading.Event()
        self.write(gate_file(self.folder, cluster(self.folder, "one", upstream)))

    def _watch(self, exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"first")
        with contextlib.suppress(OSError):
            while not self.may_end.wait(0.05):
                exchange.chunk(b"more")
            exchange.chunk(b"last")
            exchange.chunk(b"")

    def write(self, document: Document) -> None:
        """Put this declaration there, readable by the service and by nobody else."""
        document["listeners"][0]["address"] = f"{self.address}:{PORT}"
        fresh = self.folder / "fresh"
        fresh.write_text(yaml.safe_dump(document))
        fresh.replace(self.folder / "kubegate.yaml")
        assert self.machine.do("chown", "-R", "root:kubegate", "/etc/kubegate").returncode == 0
        assert self.machine.do("chmod", "-R", "u=rwX,g=rX,o=", "/etc/kubegate").returncode == 0

    @property
    def document(self) -> Document:
        """The declaration as it is."""
        found: Document = yaml.safe_load((self.folder / "kubegate.yaml").read_text())
        return found

    def start(self) -> None:
        """Start it; it is started when it serves."""
        self.machine.done("start", SERVICE)

    def dial(self) -> Client:
        """A client's connection."""
        return Client.connect(self.address, PORT, client(), "one.test")

    def ask(self) -> Answer:
        """A client's request."""
        with self.dial() as connection:
            return connection.ask(request("GET", "/", host="one.test"))

    @contextlib.contextmanager
    def stream(self) -> Iterator[Client]:
        """A watch that goes on until it may end."""
        self.may_end.clear()
        with self.dial() as connection:
            connection.wire.send(request("GET", "/watch?watch=1", host="one.test"))
            assert connection.head().status == 200
            assert connection.chunk() == b"first"
            yield connection
        self.may_end.set()

    def until_another(self, before: int) -> int:
        """Wait until another control plane serves; returns its pid."""
        eventually(lambda: self.machine.kubegate() not in (0, before), "another one is started")
        eventually(lambda: self.machine.show("ActiveState") == "active", "it serves")
        return self.machine.kubegate()

    def is_gone(self) -> bool:
        """Whether nobody listens any more."""
        try:
            self.dial().wire.close()
        except OSError:
            return True
        return False


@contextlib.contextmanager
def service(drop_in: str = SHORT) -> Iterator[Service]:
    with Upstream() as upstream, machine(drop_in=drop_in) as booted:
        made = Service(booted, upstream)
        try:
            yield made
        finally:
            made.may_end.set()


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    """The unit as it is shipped, started once for tests after which it runs."""
    with service("") as made:
        made.start()
        yield made


def finish(stream: Client) -> None:
    """The rest of a watch, which must be whole."""
    chunk = b""
    while following := stream.chunk():
        chunk = following
    assert chunk == b"last"


def test_it_is_started_when_it_serves_as_a_user_with_the_right_to_low_ports_alone(running: Service) -> None:
    machine = running.machine
    assert running.ask().status == 200
    assert machine.show("StatusText") == f"1 cluster at {running.address}:{PORT}, generation 1"
    user = machine.do("id", "-u", "kubegate").stdout.strip()
    for pid in machine.processes():
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["Uid"].split() == [user] * 4
        assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {1 << 10}
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        [limit] = [line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max open files")]
        # More than this machine may have, systemd cannot give.
        assert int(limit.split()[4]) in (524288, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    # HAProxy with PCRE2 JIT, as distributions build it, would refuse every configuration.
    assert machine.show("MemoryDenyWriteExecute") == "no"
    for folder in ("/run/kubegate", "/var/lib/kubegate"):
        found = machine.file(folder).stat()
        assert (str(found.st_uid), found.st_mode & 0o777) == (user, 0o700)
    # An operator who is root needs to say nothing of where it is.
    shown = machine.do(PROGRAM, "status", "--check")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "every user of this machine" not in machine.said()


def test_a_killed_control_plane_is_started_again_and_takes_haproxy_over(running: Service) -> None:
    machine = running.machine
    before, haproxy = machine.kubegate(), machine.haproxy()
    with running.stream() as stream:
        os.kill(before, signal.SIGKILL)
        running.until_another(before)
        assert machine.haproxy() == haproxy
        assert "taking over HAProxy" in machine.said()
        assert '"reloads":0' in machine.do(PROGRAM, "status", "--output", "json").stdout.replace(" ", "")
        running.may_end.set()
        finish(stream)
    assert running.ask().status == 200


def test_asked_to_leave_it_is_started_again_which_is_how_it_is_upgraded(running: Service) -> None:
    machine = running.machine
    before, haproxy = machine.kubegate(), machine.haproxy()
    with running.stream() as stream:
        machine.done("kill", "--kill-whom=main", "--signal=USR2", SERVICE)
        running.until_another(before)
        assert machine.haproxy() == haproxy
        running.may_end.set()
        finish(stream)


def test_a_reload_tells_what_became_of_the_file(running: Service) -> None:
    machine, document = running.machine, running.document
    before = machine.kubegate()
    running.write(document | {"clusters": [document["clusters"][0] | {"colour": "red"}]})
    refused = machine.systemctl("reload", SERVICE)
    assert refused.returncode != 0
    assert machine.show("ActiveState") == "active"
    assert "the file as it is now is refused: is no key that stands here" in machine.show("StatusText"), machine.show(
        "StatusText"
    )
    assert running.ask().status == 200
    running.write(document | {"clusters": [document["clusters"][0] | {"timeouts": {"request": "6m"}}]})
    machine.done("reload", SERVICE)
    assert machine.kubegate() == before
    assert "refused" not in machine.show("StatusText")
    assert running.ask().status == 200


def test_haproxy_that_is_killed_is_brought_back_and_systemd_does_not_mind(running: Service) -> None:
    machine = running.machine
    before, haproxy = machine.kubegate(), machine.haproxy()
    for pid in haproxy:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: machine.haproxy() and not machine.haproxy() & haproxy and not running.is_gone(), "it is back")
    assert running.ask().status == 200
    assert machine.kubegate() == before


def test_a_control_plane_that_hangs_is_replaced_and_haproxy_is_not() -> None:
    with service("WatchdogSec=4s\n") as made:
        made.start()
        before, haproxy = made.machine.kubegate(), made.machine.haproxy()
        with made.stream() as stream:
            os.kill(before, signal.SIGSTOP)
            made.until_another(before)
            assert made.machine.haproxy() == haproxy
            made.may_end.set()
            finish(stream)
        assert int(made.machine.show("NRestarts")) >= 1


def test_stopped_it_lets_streams_end_however_long_that_was_allowed_to_take() -> None:
    """Longer than the unit itself would wait."""
    with service() as made:
        made.write(made.document | {"dataPlane": {"drain": "30s"}})
        made.start()
        with made.stream() as stream:
            made.machine.done("stop", "--no-block", SERVICE)
            eventually(made.is_gone, "nobody new gets in")
            time.sleep(5)
            assert made.machine.show("ActiveState") == "deactivating"
            made.may_end.set()
            finish(stream)
        eventually(lambda: made.machine.show("ActiveState") == "inactive", "it has ended")
        assert made.machine.show("Result") == "success"
        assert not made.machine.processes()
        assert list(made.machine.file("/run/kubegate").iterdir()) == []
        assert list(made.machine.file("/var/lib/kubegate/gates").iterdir())


def test_stopped_it_ends_streams_that_do_not_end() -> None:
    with service() as made:
        made.write(made.document | {"dataPlane": {"drain": "1s"}})
        made.start()
        with made.stream() as stream:
            made.machine.done("stop", SERVICE)
            with pytest.raises((OSError, NoAnswer)):
                finish(stream)
        assert not made.machine.processes()
        assert made.machine.show("Result") == "success"


def test_stopped_while_it_hangs_haproxy_ends_all_the_same() -> None:
    with service("WatchdogSec=0\nTimeoutStopSec=2s\n") as made:
        made.start()
        with held(made.machine.kubegate()):
            made.machine.done("stop", SERVICE)
        assert made.machine.show("Result") == "timeout"
        eventually(lambda: not made.machine.processes(), "nothing is left")
        made.start()
        assert made.ask().status == 200


def test_stopped_while_it_cannot_be_started_again_it_serves_until_it_is_killed() -> None:
    """systemd has nobody then whom it could ask to stop; so docs/operations.md says what to type."""
    with service() as made:
        made.start()
        program, before = made.machine.file(PROGRAM), made.machine.kubegate()
        program.rename(program.with_suffix(".gone"))
        os.kill(before, signal.SIGKILL)
        eventually(lambda: made.machine.show("ExecMainStatus") == "203", "it cannot be started")
        made.machine.done("stop", SERVICE)
        assert made.ask().status == 200
        made.machine.done("kill", SERVICE)
        eventually(lambda: not made.machine.processes(), "nothing is left")


def test_a_file_that_cannot_be_used_is_tried_again_until_it_can() -> None:
    with service() as made:
        good = made.document
        made.write(good | {"clusters": []})
        assert made.machine.systemctl("start", SERVICE).returncode != 0
        eventually(lambda: int(made.machine.show("NRestarts")) > 6, "it is tried more often than systemd would by itself")
        made.write(good)
        eventually(lambda: made.machine.show("ActiveState") == "active", "it serves")
        assert made.ask().status == 200


def test_enabled_it_is_wanted_by_the_system() -> None:
    with machine() as booted:
        booted.done("enable", SERVICE)
        assert booted.systemctl("is-enabled", SERVICE).stdout == "enabled\n"
        verified = booted.do("systemd-analyze", "verify", f"/etc/systemd/system/{SERVICE}")
        assert (verified.returncode, verified.stderr) == (0, "")


def test_any_supervisor_is_told_the_same_by_its_socket() -> None:
    """As sd_notify(3) has it, word for word."""
    with home() as person, Upstream() as upstream, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(person.path / "notify"))
        supervisor.settimeout(30)

        def told(first: str) -> dict[str, str]:
            while True:
                lines = dict(line.split("=", 1) for line in supervisor.recv(4096).decode().splitlines())
                if first in lines:
                    return lines

        extra = {"NOTIFY_SOCKET": str(person.path / "notify"), "WATCHDOG_USEC": "1000000"}
        document = gate_file(person.path, cluster(person.path, "one", upstream), dataPlane={"drain": "5s"})
        with run(document, person, extra=extra) as gate:
            summary = f"1 cluster at 127.0.0.1:{gate.port}, generation "
            assert told("READY") == {"READY": "1", "STATUS": f"{summary}1"}
            assert [told("WATCHDOG") for _ in range(3)] == [{"WATCHDOG": "1"}] * 3
            gate.edit(lambda document: document["clusters"][0].update(allow=["127.0.0.0/8"]))
            assert told("STATUS") == {"STATUS": f"{summary}2"}
            before = time.monotonic_ns() // 1000
            gate.process.send_signal(signal.SIGHUP)
            reloading = told("RELOADING")
            assert reloading["RELOADING"] == "1"
            assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
            assert told("READY") == {"READY": "1"}
            assert gate.stop() == 0
            assert told("STOPPING") == {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "25000000"}


@contextlib.contextmanager
def held(pid: int) -> Iterator[None]:
    """A process that does nothing until it is killed, whatever other signal it gets: it hangs."""
    library = ctypes.CDLL(None, use_errno=True)
    assert library.ptrace(_PTRACE_ATTACH, pid, None, None) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(pid, _WALL)
    # Its parent learns of its end only once this process does.
    reaper = threading.Thread(target=os.waitpid, args=(pid, _WALL), daemon=True)
    reaper.start()
    yield
    reaper.join(20)
    assert not reaper.is_alive()
