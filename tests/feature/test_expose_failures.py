"""What fails later, or is the operating system's doing: a sentence, exit code 1 or 2, and nothing half done."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.expose import Home, at_once, home, kubeconfig, kubegate, problems
from tests.support.forge import forge
from tests.support.tls import API_NAME, authority, cluster_authority, server_context
from tests.support.upstream import Exchange, Upstream

pytestmark = pytest.mark.haproxy

TOKEN_PATH = "/api/v1/namespaces/dev/serviceaccounts"


def arguments(person: Home, api: Upstream, *more: str) -> tuple[str, ...]:
    """Flags that would expose this API server."""
    config = kubeconfig(person.path / "config.yaml", f"https://127.0.0.1:{api.port}")
    return ("expose", "--output", "json", "--kubeconfig", str(config), "--listen", "127.0.0.1:0", *more)


def failed(done: CompletedProcess[str]) -> dict[str, str]:
    """The one failure of a command."""
    assert done.returncode == 1, done
    [found] = problems(done)
    return found


# What an API server does between the moment when it proved itself and the first request through the gate.


def answers_500(api: Upstream) -> None:
    api.at("/version", lambda exchange: exchange.reply(500))


def redirects(api: Upstream) -> None:
    api.at("/version", lambda exchange: exchange.reply(302, "Location: https://elsewhere.test/"))


def dies(api: Upstream) -> None:
    api.wait_until(lambda: api.wires)
    api.close()


def becomes_another(api: Upstream) -> None:
    """The same names, signed by somebody else."""
    api.wait_until(lambda: api.wires)
    api.context = server_context(forge("x", authority("another CA"), names=[API_NAME, "127.0.0.1"]))


def becomes_a_kubelet(api: Upstream) -> None:
    """The same CA, which signs its nodes' certificates too."""
    api.wait_until(lambda: api.wires)
    api.context = server_context(forge("system:node:node-1", cluster_authority(), names=["node-1", "127.0.0.1"]))


TURNS: dict[str, tuple[Callable[[Upstream], None], str]] = {
    "answers 500": (answers_500, "the API server answers 500"),
    "redirects": (redirects, "the API server answers 302"),
    "dies": (dies, "503, the gate finds no API server"),
    "becomes another": (becomes_another, "503, the gate finds no API server"),
    "becomes a kubelet": (becomes_a_kubelet, "503, the gate finds no API server"),
}


@dataclass
class Turned:
    """What became of a gate whose API server did not stay what it was."""

    done: CompletedProcess[str]
    left: list[Path]
    processes: list[object]
    out: bool
    requests: int


def turned(turn: Callable[[Upstream], None]) -> Turned:
    with home() as person, Upstream() as api:
        out = person.path / "client.yaml"
        flags = arguments(person, api, "--out", str(out))

        def run() -> CompletedProcess[str] | None:
            return kubegate(*flags, home=person)

        done, _ = at_once({"run": run, "turn": lambda: turn(api)}).values()
        assert done is not None
        return Turned(done, list(person.runtime.iterdir()), list(person.processes()), out.exists(), len(api.requests))


Turns = Future[dict[str, Turned]]


@pytest.fixture(scope="module", autouse=True)
def turns() -> Iterator[Turns]:
    """All of them beside one another and the other tests, for each takes as long as the gate waits for an answer."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(at_once, {name: partial(turned, turn) for name, (turn, _) in TURNS.items()})


def refuses(status: int, message: str) -> Callable[[Exchange], None]:
    body = f'{{"kind":"Status","message":"{message}","reason":"Forbidden","code":{status}}}'.encode()
    return lambda exchange: exchange.reply(status, "Content-Type: application/json", body=body)


REFUSALS = {
    401: ("Unauthorized", "log in again"),
    403: ("serviceaccounts is forbidden", "create on serviceaccounts/token"),
    404: ("serviceaccounts robot not found", "create serviceaccount robot"),
}


@pytest.mark.parametrize("status", REFUSALS)
def test_a_token_that_is_refused(person: Home, status: int) -> None:
    said, hint = REFUSALS[status]
    out = person.path / "client.yaml"
    with Upstream() as api:
        api.at(TOKEN_PATH, refuses(status, said))
        more = ("--account", "dev/robot", "--out", str(out))
        found = failed(kubegate(*arguments(person, api, *more), home=person))
        assert not api.seen("/version")
    assert f"the API server refused a token of dev/robot: {said}" in found["message"]
    assert hint in found["hint"]
    assert not out.exists()
    assert list(person.runtime.iterdir()) == []
    assert person.processes() == []


def test_a_login_plugin_that_fails(person: Home) -> None:
    plugin = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "/bin/false",
            "interactiveMode": "Never",
            "args": ["--secret=argument-of-the-plugin"],
        }
    }
    with Upstream() as api:
        flags = arguments(person, api, "--account", "dev/robot", "--out", str(person.path / "client.yaml"))
        kubeconfig(person.path / "config.yaml", f"https://127.0.0.1:{api.port}", user=plugin)
        done = kubegate(*flags, home=person)
        found = failed(done)
    assert "exec plugin false: it failed with exit code 1" in found["message"]
    assert "argument-of-the-plugin" not in done.stdout
    assert not (person.path / "client.yaml").exists()
    assert person.left() == []


# Folders that cannot be used. What is seen beforehand counts as input: exit code 2, with every other problem.


def in_a_file(person: Home) -> Path:
    (person.path / "file").write_text("")
    return person.path / "file"


def too_long(person: Home) -> Path:
    return person.path / ("long" * 30)


def shared(person: Home) -> Path:
    (person.path / "shared" / "kubegate").mkdir(parents=True)
    (person.path / "shared" / "kubegate").chmod(0o777)
    return person.path / "shared"


def no_folder(person: Home) -> Path:
    (person.path / "odd").mkdir()
    (person.path / "odd" / "kubegate").symlink_to(person.path)
    return person.path / "odd"


FOLDERS = {
    "in a file": (in_a_file, "not a directory"),
    "shared": (shared, "can be written to by other users"),
    "link": (no_folder, "is not a folder"),
}


@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "XDG_STATE_HOME"])
@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_that_cannot_be_used_is_one_of_the_problems(person: Home, variable: str, case: str) -> None:
    make, why = FOLDERS[case]
    with Upstream() as api:
        flags = arguments(person, api, "--out", "/nowhere/client.yaml")
        done = kubegate(*flags, home=person, extra={variable: str(make(person))})
    assert done.returncode == 2
    [folder, out] = problems(done)
    assert folder["where"].startswith("the runtime folder " if variable == "XDG_RUNTIME_DIR" else "the state folder ")
    assert why in folder["message"]
    assert variable in folder["hint"]
    assert out["where"] == "--out /nowhere/client.yaml"
    assert person.left() == []


def test_a_runtime_folder_with_too_long_a_path(person: Home) -> None:
    with Upstream() as api:
        done = kubegate(*arguments(person, api), home=person, extra={"XDG_RUNTIME_DIR": str(too_long(person))})
    [found] = problems(done)
    assert (done.returncode, found["code"]) == (2, "folder.runtime")
    assert "unix socket" in found["message"]
    assert not too_long(person).exists()


@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "XDG_STATE_HOME"])
def test_a_folder_that_only_looks_as_if_it_could_be_made(person: Home, variable: str) -> None:
    """Root may write into /proc as far as one can ask, and nobody can."""
    with Upstream() as api:
        done = kubegate(*arguments(person, api, "--out", str(person.path / "c")), home=person, extra={variable: "/proc/kubegate"})
    assert done.returncode in (1, 2)
    [found] = problems(done)
    assert "/proc/kubegate" in found["where"] + found["message"]
    assert "Errno" not in found["message"]
    assert found["hint"]
    assert not (person.path / "c").exists()
    assert list(person.runtime.glob("*")) == []


@contextlib.contextmanager
def small_disk(path: Path, size: str) -> Iterator[None]:
    path.mkdir(mode=0o700, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")


@needs_root
@pytest.mark.parametrize(("folder", "size"), [("run", "4k"), ("run", "16k"), ("state", "4k"), ("state", "8k")])
def test_a_full_disk(person: Home, folder: str, size: str) -> None:
    out = person.path / "client.yaml"
    with Upstream() as api, small_disk(person.path / folder, size):
        # A file system takes a page for each file.
        (person.path / folder / "filler").write_bytes(b"f" * 4096)
        done = kubegate(*arguments(person, api, "--out", str(out)), home=person)
        left = person.left()
    assert done.returncode in (1, 2)
    [found] = problems(done)
    assert "no space left on device" in found["message"]
    assert str(person.path / folder) in found["where"] + found["message"]
    assert "space" in found["hint"]
    assert not out.exists()
    assert not [path for path in left if "run" in path.parts[3:4]]


@needs_root
def test_a_full_disk_for_the_client_kubeconfig(person: Home) -> None:
    with Upstream() as api, small_disk(person.path / "full", "4k"):
        (person.path / "full" / "filler").write_bytes(b"f" * 4096)
        found = failed(kubegate(*arguments(person, api, "--out", str(person.path / "full" / "client.yaml")), home=person))
        assert [path.name for path in (person.path / "full").iterdir()] == ["filler"]
    assert "full/client.yaml cannot be written: no space left on device" in found["message"]
    assert person.processes() == []
    assert list(person.runtime.iterdir()) == []


def test_a_limit_on_the_size_of_files(person: Home) -> None:
    """For everybody, root or not: no file may grow beyond 4 KiB, and HAProxy's is larger."""
    before = ["prlimit", f"--fsize={4096}"]
    with Upstream() as api:
        found = failed(kubegate(*arguments(person, api), home=person, before=before))
    assert "cannot be written to: file too large" in found["message"]
    assert list(person.runtime.iterdir()) == []


@pytest.mark.parametrize("limit", [8, 12])
def test_hardly_any_descriptors(person: Home, limit: int) -> None:
    """Whatever the operating system refuses is a sentence."""
    with Upstream() as api:
        done = kubegate(*arguments(person, api), home=person, before=["prlimit", f"--nofile={limit}"])
    assert done.returncode in (1, 2)
    assert any("too many open files" in one["message"] for one in problems(done))
    assert person.processes() == []


# They took long; by now they are done.


@pytest.mark.parametrize("name", TURNS)
def test_without_a_valid_answer_through_the_gate_nothing_is_written(turns: Turns, name: str) -> None:
    found = turns.result()[name]
    assert found.done.returncode == 1
    said = found.done.stderr
    assert not said or "API server" in said
    assert TURNS[name][1] in found.done.stdout
    assert "nothing was written" in found.done.stdout
    assert (found.out, found.left, found.processes) == (False, [], [])


@pytest.mark.parametrize("name", ["becomes another", "becomes a kubelet"])
def test_a_server_that_is_not_verified_gets_no_request(turns: Turns, name: str) -> None:
    assert turns.result()[name].requests == 0
