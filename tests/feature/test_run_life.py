"""What happens to the control plane, to HAProxy or to the machine: somebody takes over, or starts again."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kubegate.system.network import free_port
from tests.support.expose import Home
from tests.support.rawhttp import request
from tests.support.run import Document, Running, cluster, gate_file, refused, run
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as api:
        yield api


def wider(document: Document) -> None:
    document["clusters"][0]["allow"] = ["127.0.0.0/8", "192.0.2.0/24"]


def processes(gate: Running) -> list[tuple[int, float]]:
    """HAProxy's master and its workers, by pid and start time."""
    return [(one.pid, one.create_time()) for one in (gate.haproxy, *gate.haproxy.children())]


def test_killed_the_control_plane_is_missed_by_nobody_and_the_next_one_takes_over(person: Home, upstream: Upstream) -> None:
    with run(gate_file(person.path, cluster(person.path, "one", upstream)), person) as gate, gate.dial() as client:
        gate.edit(wider)
        before, generation = processes(gate), gate.status().generation
        gate.kill()
        assert client.ask(request(host="one.test")).status == 200
        heir = gate.again()
        try:
            assert processes(heir) == before
            assert (heir.status().generation, heir.status().reloads) == (generation, 0)
            assert heir.edit(lambda document: document["clusters"][0].pop("allow")) > generation
            assert heir.status().reloads == 0
            assert processes(heir) == before
            assert client.ask(request(host="one.test")).status == 200
            assert heir.stop() == 0
        finally:
            heir.end()
    assert not person.processes()


def test_asked_to_leave_it_leaves_haproxy_running(person: Home, upstream: Upstream) -> None:
    with run(gate_file(person.path, cluster(person.path, "one", upstream)), person) as gate:
        before = processes(gate)
        assert gate.stop(signal.SIGUSR2) == 0
        assert processes(gate) == before
        assert gate.ask().status == 200
        heir = gate.again()
        try:
            assert processes(heir) == before
        finally:
            heir.end()


@pytest.mark.parametrize("which", ["master", "worker"])
def test_haproxy_killed_is_back_with_what_was_changed_while_it_ran(person: Home, upstream: Upstream, which: str) -> None:
    with run(gate_file(person.path, cluster(person.path, "one", upstream)), person) as gate:
        gate.edit(lambda document: document["clusters"].append(cluster(person.path, "two", upstream)))
        assert gate.status().reloads == 0
        victim = gate.haproxy if which == "master" else psutil.Process(gate.workers()[0])
        victim.kill()
        gate.wait_for("HAProxy is back")
        assert gate.ask(name="two.test").status == 200
        assert gate.edit(wider)


def test_after_a_reboot_a_broken_file_means_the_last_good_generation(person: Home, upstream: Upstream) -> None:
    with run(gate_file(person.path, cluster(person.path, "one", upstream)), person) as gate:
        good = gate.file.read_text()
        assert gate.stop() == 0
        shutil.rmtree(person.runtime)
        gate.file.write_text(f"{good}nonsense: true\n")
        heir = gate.again()
        try:
            assert heir.ask().status == 200
            assert heir.status().from_last_good
            assert heir.status().refused
            gate.file.write_text(good)
            eventually(lambda: not heir.status().refused, "the mended file is taken")
            assert not heir.status().from_last_good
        finally:
            heir.end()


def test_at_the_first_start_a_broken_file_is_refused_with_every_problem(person: Home) -> None:
    declared = {"apiVersion": "kubegate.dev/v1alpha1", "kind": "Gate", "clusters": [{"name": "Bad Name", "colour": "red"}]}
    found = refused(declared, person, "run")
    assert len(found) >= 2
    assert all(one["where"].startswith(f"{person.path}/kubegate.yaml:") and one["hint"] for one in found)
    assert not person.processes()


def test_one_dead_cluster_of_two_is_said_and_keeps_nobody_up(person: Home, upstream: Upstream) -> None:
    with Upstream() as dead:
        declared = gate_file(person.path, cluster(person.path, "one", upstream), cluster(person.path, "two", dead))
    with run(declared, person) as gate:
        assert gate.ask().status == 200
        assert gate.ask(name="two.test").status == 503
        assert any("two" in warning.message or str(dead.port) in warning.message for warning in gate.status().warnings)


def later(gate: Running) -> list[str]:
    """What is said to count from the next start of HAProxy only."""
    return [one.message for one in gate.status().warnings if one.code == "gate.later"]


def test_another_program_is_taken_at_the_next_start_and_that_is_said(person: Home, upstream: Upstream) -> None:
    with run(gate_file(person.path, cluster(person.path, "one", upstream)), person) as gate:
        assert not later(gate)
        # With the libraries that it finds beside itself.
        package = Path(gate.haproxy.exe()).parents[1]
        shutil.copytree(package, person.path / package.name)
        named = person.path / package.name / "bin" / "haproxy"
        runs = gate.status().haproxy
        heir = None
        try:
            assert gate.stop(signal.SIGUSR2) == 0
            gate.rewrite(gate.document | {"dataPlane": {"haproxy": str(named)}})
            heir = gate.again()
            [said] = later(heir)
            assert str(named) in said
            # Of the same version, and yet another program.
            assert heir.status().haproxy != str(named)
            assert "embedded" in runs
            heir.haproxy.kill()
            heir.wait_for("HAProxy is back")
            assert not later(heir)
            assert str(named) in heir.status().haproxy
        finally:
            (heir or gate).end()


def test_another_access_log_is_taken_at_the_next_start_and_that_is_said(person: Home, upstream: Upstream) -> None:
    with run(gate_file(person.path, cluster(person.path, "one", upstream), accessLog="first.log"), person) as gate:
        assert not later(gate)
        gate.edit(
            lambda document: document.update(accessLog="second.log", metrics={"address": f"127.0.0.1:{free_port('127.0.0.1')}"})
        )
        [said] = later(gate)
        assert "first.log" in said
        assert "second.log" in said
