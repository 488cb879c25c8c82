"""`kubegate expose` as a person runs it: a process of its own, its facts as JSON, stopped by a signal."""

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import yaml

from tests.support.rawhttp import Client
from tests.support.tls import api_leaf, cluster_authority
from tests.support.upstream import Script, eventually

_START_SECONDS = 40.0
_END_SECONDS = 60.0
T = TypeVar("T")
# Made here, for two threads at once would make two of it.
api_leaf()


@dataclass
class Home:
    """A person's own folders, so that a test finds nothing of another. The path is short: unix sockets live below it."""

    path: Path

    def environ(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a command that runs here."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TERM", "VIRTUAL_ENV") if name in os.environ}
        own = {
            "HOME": str(self.path),
            "XDG_RUNTIME_DIR": str(self.path / "run"),
            "XDG_STATE_HOME": str(self.path / "state"),
            "COLUMNS": "200",
        }
        return kept | own | dict(extra or {})

    @property
    def runtime(self) -> Path:
        """Where working copies are."""
        return self.path / "run" / "kubegate"

    @property
    def state(self) -> Path:
        """Where lasting things are."""
        return self.path / "state" / "kubegate"

    def left(self) -> list[Path]:
        """What kubegate keeps here at this moment; without gates running that is what has to last."""
        kept = [self.runtime, self.path / "state"]
        return sorted(path for folder in kept if folder.exists() for path in folder.rglob("*") if not path.is_dir())

    def processes(self) -> list[psutil.Process]:
        """Every process that has to do with gates of this home."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if str(self.path) in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def assert_nothing_left(self) -> None:
        """No process, no working copy; only certificates are kept."""
        eventually(lambda: not self.processes())
        assert not self.runtime.exists() or list(self.runtime.iterdir()) == []
        assert {path.name for path in self.left()} <= {"self-signed.pem", "certificate.pem"}


@contextlib.contextmanager
def home() -> Iterator[Home]:
    """A fresh home that goes away again."""
    path = Path(tempfile.mkdtemp(prefix="kg-"))
    (path / "run").mkdir(mode=0o700)
    try:
        yield Home(path)
    finally:
        shutil.rmtree(path)


def kubeconfig(
    path: Path,
    server: str,
    *,
    ca: bytes | None = b"",
    cluster: Mapping[str, object] | None = None,
    user: Mapping[str, object] | None = None,
    context: str = "dev",
) -> Path:
    """A kubeconfig with one context; its CA is that of the tests' clusters unless another one, or None, is given."""
    entry: dict[str, object] = {"server": server}
    if ca is not None:
        entry["certificate-authority-data"] = base64.b64encode(ca or cluster_authority().pem).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": "here", "cluster": entry | dict(cluster or {})}],
        "contexts": [{"name": context, "context": {"cluster": "here", "user": "me"}}],
        "users": [{"name": "me", "user": dict(user if user is not None else {"token": "token-of-the-person"})}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def grants(token: str, expires: str) -> Script:
    """An API server's answer to a TokenRequest."""
    status = {"token": token, "expirationTimestamp": expires}
    body = json.dumps({"kind": "TokenRequest", "status": status}).encode()
    return lambda exchange: exchange.reply(201, "Content-Type: application/json", body=body)


@dataclass
class Exposed:
    """A gate that runs. `facts` is what `--output json` printed, `events` what was said on standard error so far."""

    process: subprocess.Popen[str]
    facts: dict[str, Any]
    home: Home
    events: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._heard = 0
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def url(self) -> str:
        """Where clients reach the gate."""
        return str(self.facts["url"])

    @property
    def warnings(self) -> list[dict[str, Any]]:
        """What it warned about, without the word on self-signed certificates that comes with each of them."""
        return [warning for warning in self.facts["warnings"] if warning["code"] != "certificate.self-signed"]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.facts["listen"].rsplit(":", 1)[1])

    @property
    def codes(self) -> set[str]:
        """The codes of all warnings and notes."""
        return {remark["code"] for remark in (*self.facts["warnings"], *self.facts["notes"])}

    @property
    def ca_pem(self) -> bytes:
        """The CA in the client kubeconfig that it wrote."""
        return base64.b64decode(self.cluster()["certificate-authority-data"])

    def config(self) -> dict[str, Any]:
        """The client kubeconfig that it wrote."""
        found: dict[str, Any] = yaml.safe_load(Path(self.facts["kubeconfig"]).read_text())
        return found

    def cluster(self) -> dict[str, str]:
        """The one cluster in it."""
        [entry] = self.config()["clusters"]
        return dict(entry["cluster"])

    def dial(self, name: str | None = None) -> Client:
        """A connection as the client kubeconfig has it: to its host, verified by its CA and its name."""
        host = self.url.removeprefix("https://").rpartition(":")[0].strip("[]")
        wanted = name or self.cluster().get("tls-server-name", host)
        return Client.connect(host, self.port, ssl.create_default_context(cadata=self.ca_pem.decode()), wanted)

    def haproxy(self) -> psutil.Process:
        """The master process of its HAProxy."""
        return next(child for child in psutil.Process(self.process.pid).children() if child.name() == "haproxy")

    def stop(self, number: signal.Signals = signal.SIGTERM, wait: float = _END_SECONDS) -> str:
        """Ask it to stop and wait for the end; returns everything that was said on standard error."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.end(wait)

    def end(self, wait: float = _END_SECONDS) -> str:
        """Wait for the end; returns everything that was said on standard error."""
        self.process.wait(wait)
        self._listener.join(wait)
        return "".join(self.events)

    def wait_for(self, words: str, seconds: float = 30) -> str:
        """Wait until a line with `words` is said on standard error, after what was waited for before, and return it."""
        deadline = time.monotonic() + seconds
        while True:
            ended = not self._listener.is_alive()
            while self._heard < len(self.events):
                line, self._heard = self.events[self._heard], self._heard + 1
                if words in line:
                    return line
            assert not ended and time.monotonic() < deadline, f"{words!r} was not said, but: {''.join(self.events)}"
            time.sleep(0.02)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with contextlib.suppress(ValueError):
            self.events.extend(self.process.stderr)


def command(*arguments: str) -> list[str]:
    """The command line of kubegate."""
    return [sys.executable, "-m", "kubegate", *arguments]


def kubegate(
    *arguments: str, home: Home, extra: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a kubegate command to its end; `before` is a program that runs it."""
    return subprocess.run(
        [*before, *command(*arguments)],
        env=home.environ(extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def problems(done: subprocess.CompletedProcess[str]) -> list[dict[str, str]]:
    """The problems of a command with `--output json`, which says nothing else."""
    assert done.stderr == "", done.stderr
    [line] = done.stdout.splitlines()
    found: list[dict[str, str]] = json.loads(line)["problems"]
    return found


def at_once(work: Mapping[str, Callable[[], T]]) -> dict[str, T]:
    """Do things beside one another, for most of them wait."""
    with ThreadPoolExecutor(8) as pool:
        running = {name: pool.submit(one) for name, one in work.items()}
        return {name: one.result() for name, one in running.items()}


@contextlib.contextmanager
def expose(*arguments: str, home: Home, extra: Mapping[str, str] | None = None, before: Sequence[str] = ()) -> Iterator[Exposed]:
    """`kubegate expose` with these arguments, running and answering; stopped at the end if it still runs."""
    process = subprocess.Popen(
        [*before, *command("expose", "--output", "json", *arguments)],
        env=home.environ(extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert process.stdout is not None
    gate: Exposed | None = None
    try:
        ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
        line = process.stdout.readline() if ready else ""
        if not line.startswith("{") or '"problems"' in line[:20]:
            process.kill()
            raise AssertionError(f"kubegate expose did not start: {line}{process.communicate()[1]}")
        gate = Exposed(process, json.loads(line), home)
        yield gate
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
        process.wait(_END_SECONDS)
        if gate is not None:
            gate.end()
        with process:
            pass
