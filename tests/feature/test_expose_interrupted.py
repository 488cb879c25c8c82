"""Asked to stop before the gate runs, at any moment: nothing was exposed, and nothing is left."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import psutil
import pytest

from tests.support.expose import Home, at_once, command, home, kubeconfig
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


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port on which connections are taken and nothing is said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@dataclass
class Starting:
    """A `kubegate expose` that is about to run."""

    process: subprocess.Popen[str]
    person: Home

    def interrupt(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal to the whole group, as a terminal does; returns exit code and standard error."""
        os.killpg(self.process.pid, number)
        printed, said = self.process.communicate(timeout=20)
        assert not printed.strip() or printed.startswith("{")
        return self.process.returncode, said


@contextlib.contextmanager
def starting(person: Home, *arguments: str) -> Iterator[Starting]:
    process = subprocess.Popen(
        command("expose", "--output", "json", *arguments),
        env=person.environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield Starting(process, person)
        finally:
            process.kill()


def while_it_shakes_hands(person: Home, api: Upstream, number: signal.Signals) -> tuple[int, str]:
    with silent() as port:
        config = kubeconfig(person.path / "silent.yaml", f"https://127.0.0.1:{port}")
        arguments = (*flags(person, api)[2:], "--kubeconfig", str(config))
        with starting(person, *arguments) as gate:
            eventually(lambda: any(c.raddr and c.raddr.port == port for c in connections(gate)))
            return gate.interrupt(number)


def connections(gate: Starting) -> list[Any]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(gate.process.pid).net_connections()
    return []


def while_it_asks_for_a_token(person: Home, api: Upstream, number: signal.Signals) -> tuple[int, str]:
    with held(api, TOKEN_PATH), starting(person, *flags(person, api, "--account", "dev/robot")) as gate:
        api.wait_for(TOKEN_PATH)
        return gate.interrupt(number)


def while_a_plugin_runs(person: Home, api: Upstream, number: signal.Signals) -> tuple[int, str]:
    plugin, begun = person.path / "plugin", person.path / "plugin-runs"
    plugin.write_text(f"#!/bin/sh\ntouch {begun}\nsleep 60\n")
    plugin.chmod(0o700)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}}
    with starting(person, *flags(person, api, "--account", "dev/robot", user=user)) as gate:
        eventually(begun.exists)
        return gate.interrupt(number)


def while_it_waits_for_an_answer(person: Home, api: Upstream, number: signal.Signals) -> tuple[int, str]:
    with held(api, "/version"), starting(person, *flags(person, api)) as gate:
        api.wait_for("/version")
        assert any(process.name() == "haproxy" for process in person.processes())
        return gate.interrupt(number)


@contextlib.contextmanager
def held(api: Upstream, path: str) -> Iterator[None]:
    """Requests for this path wait."""
    free = threading.Event()

    def wait(exchange: Exchange) -> None:
        free.wait(30)
        with contextlib.suppress(OSError):
            exchange.reply()

    api.at(path, wait)
    yield
    free.set()


MOMENTS = {
    "while it shakes hands": while_it_shakes_hands,
    "while a plugin runs": while_a_plugin_runs,
    "while it asks for a token": while_it_asks_for_a_token,
    "while it waits for an answer": while_it_waits_for_an_answer,
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("moment", MOMENTS)
def test_stopped_before_it_runs(person: Home, api: Upstream, moment: str, number: signal.Signals) -> None:
    code, said = MOMENTS[moment](person, api, number)
    assert code == 0
    assert said.endswith("stopped before the gate was open\n")
    assert not (person.path / "out.yaml").exists()
    person.assert_nothing_left()


def interrupted_after(seconds: float, number: signal.Signals) -> tuple[int, str]:
    with home() as person, Upstream() as api, starting(person, *flags(person, api)) as gate:
        time.sleep(seconds)
        code, said = gate.interrupt(number)
        person.assert_nothing_left()
        return code, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_stopped_at_any_moment(number: signal.Signals) -> None:
    """Before it can know of signals it ends by them, as any program does; from then on its exit code is 0."""
    # Python itself needs some milliseconds until anything of ours runs.
    moments = [0.06 * n for n in range(2, 18)]
    found = at_once({str(seconds): partial(interrupted_after, seconds, number) for seconds in moments})
    # On a busy machine Python may still be loading its own `site`, where a Ctrl-C ends it with 1.
    ours = [code for code, said in found.values() if not said.startswith("Fatal Python error: init_import_site")]
    assert ours
    assert set(ours) <= {0, -number}
    # What Python says of a Ctrl-C before the first line of ours is its own.
    assert not [said for _, said in found.values() if "Traceback" in said and "kubegate/cli" in said]
