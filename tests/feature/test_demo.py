"""The demo as a person meets it: what it says, the commands that it prints, and nothing left when it ends."""

import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from demo import standin
from demo.callers import ANONYMOUS, VISITOR, Callers
from tests.cluster import build
from tests.support.expose import Home, home

pytestmark = pytest.mark.haproxy
ROOT = Path(__file__).parents[2]
LASTING = {"default", "demo", "kube-system"}


@pytest.fixture
def person() -> Iterator[Home]:
    """Someone with an empty home and an empty folder for temporary files."""
    with home() as person:
        (person.path / "tmp").mkdir()
        yield person


@pytest.fixture(params=["kubectl", "curl"])
def tool(request: pytest.FixtureRequest, person: Home) -> str:
    """With what the person speaks to API servers: the only programs that are found besides are the shell's."""
    (person.path / "bin").mkdir()
    for name in ("awk", "bash", "curl"):
        (person.path / "bin" / name).symlink_to(needed(name))
    if request.param == "kubectl":
        built = build.cached()
        (person.path / "bin" / "kubectl").symlink_to(built / "kubectl" if built else needed("kubectl"))
    return str(request.param)


def needed(name: str) -> str:
    """Where a program is."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed: make test installs what the tests need")
    return found


def until(check: Callable[[], bool], seconds: float = 40) -> bool:
    """Whether something comes true in time."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@dataclass(frozen=True)
class Demo:
    """A demo that runs."""

    process: subprocess.Popen[bytes]
    output: Path
    environ: dict[str, str]

    @property
    def said(self) -> str:
        """Everything that it has said so far."""
        return self.output.read_text()

    @property
    def commands(self) -> list[str]:
        """The commands to try, as printed."""
        tried = self.said.partition("\nTry\n")[2].partition("\n\n")[0]
        return [line.strip() for line in tried.splitlines() if not line.lstrip().startswith("#")]

    def run(self, command: str) -> str:
        """Run one of them to its end."""
        done = subprocess.run(["bash", "-c", command], env=self.environ, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def watch(self, command: str, seen: Callable[[str], bool]) -> bool:
        """Run one that has no end, until its output holds something."""
        output = self.output.with_name("watched")
        with output.open("wb") as file:
            watch = subprocess.Popen(["bash", "-c", command], env=self.environ, stdout=file, stderr=file, start_new_session=True)
        try:
            return until(lambda: seen(output.read_text()), seconds=20)
        finally:
            for process in psutil.Process(watch.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.terminate()
            watch.terminate()
            watch.wait(10)

    def stop(self) -> int:
        """Press Ctrl-C; returns the exit code once all its processes are gone."""
        processes = psutil.Process(self.process.pid).children(recursive=True)
        assert len(processes) > 1, "kubegate and HAProxy"
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(30)
        assert until(lambda: not any(map(runs, processes)), 5)
        return code


def runs(process: psutil.Process) -> bool:
    """Whether a process has not ended yet."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@contextlib.contextmanager
def demo(person: Home, **extra: str) -> Iterator[Demo]:
    """A demo that exposes something."""
    own = {"PATH": str(person.path / "bin"), "TMPDIR": str(person.path / "tmp")}
    environ, output = person.environ(own | extra), person.path / "said"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo"], cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    running = Demo(process, output, environ)
    try:
        assert until(lambda: "Running" in running.said or process.poll() is not None)
        assert process.poll() is None, running.said
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def test_the_printed_commands_work_and_nothing_is_left(person: Home, tool: str) -> None:
    with demo(person) as running:
        assert "STAND-IN, not a cluster" in running.said.partition("\n$ ")[0]
        anonymous, namespaces, watch = running.commands
        assert (tool in namespaces, tool in watch) == (True, True)

        refused = json.loads(running.run(anonymous))
        assert (refused["kind"], refused["code"], refused["reason"]) == ("Status", 403, "Forbidden")
        assert f'forbidden: User "{ANONYMOUS}" cannot list resource "namespaces"' in refused["message"]

        assert set(re.findall(r"[a-z-]+", running.run(namespaces))) >= LASTING
        # Of a guest that comes, changes and goes, a list has one line and a watch has more.
        assert running.watch(watch, lambda text: any(named_in_lines(text, name) > 1 for name in guests(text)))

        assert running.stop() in (0, 130)
        assert list((person.path / "tmp").iterdir()) == []
        assert "Traceback" not in running.said


def guests(text: str) -> set[str]:
    """The namespaces that come and go."""
    return set(re.findall(r"guest-\d+", text))


def named_in_lines(text: str, name: str) -> int:
    """How many whole lines name something."""
    return sum(bool(re.search(rf"{name}\b", line)) for line in text.splitlines(keepends=True) if line.endswith("\n"))


def test_your_own_cluster_is_named_first_and_nothing_is_created_in_it(person: Home, tool: str, tmp_path: Path) -> None:
    with standin.running(tmp_path) as cluster, demo(person, KUBECONFIG=str(cluster.kubeconfig)) as running:
        assert running.said.startswith(f"Context stand-in of your kubeconfig: {cluster.url}\n")
        assert "--account NAMESPACE/NAME" in running.said
        anonymous, *others = running.commands
        assert json.loads(running.run(anonymous))["code"] == 403
        assert len(others) == (2 if tool == "kubectl" else 0)
        if others:
            assert set(re.findall(r"[a-z-]+", running.run(others[0]))) >= LASTING
        assert running.stop() in (0, 130)
        assert cluster.who.granted == {}
    assert list((person.path / "tmp").iterdir()) == []


@pytest.mark.usefixtures("tool")
@pytest.mark.parametrize("tool", ["curl"], indirect=True)
def test_a_kubeconfig_that_cannot_be_used_gives_way_to_the_stand_in(person: Home, tmp_path: Path) -> None:
    with standin.running(tmp_path) as ended:
        pass
    with port_taken(), demo(person, KUBECONFIG=str(ended.kubeconfig)) as running:
        assert running.said.startswith("Context stand-in of your kubeconfig")
        assert "cannot be used here: " in running.said
        assert "STAND-IN, not a cluster" in running.said
        assert "127.0.0.1:6443 is taken" in running.said
        assert json.loads(running.run(running.commands[0]))["code"] == 403


@contextlib.contextmanager
def port_taken() -> Iterator[None]:
    """Somebody listens where the demo would."""
    with contextlib.ExitStack() as stack:
        # It may be that another program does so already.
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", 6443)))
        yield


def test_the_stand_in_forgets_a_token_when_its_time_is_over() -> None:
    clock = [datetime(2026, 1, 1, tzinfo=UTC)]
    who = Callers(now=lambda: clock[0])
    token, expires = who.grant(600)
    assert who.name(f"Bearer {token}") == VISITOR
    assert expires - clock[0] == timedelta(seconds=600)
    clock[0] = expires
    assert who.name(f"Bearer {token}") is None
    assert who.name("Bearer another") is None
    assert who.name(None) == ANONYMOUS
