"""`kubegate expose` as a person runs it: a process of its own, its facts as JSON, stopped by a signal."""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_START_SECONDS = 40.0


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


@contextlib.contextmanager
def home() -> Iterator[Home]:
    """A fresh home that goes away again."""
    path = Path(tempfile.mkdtemp(prefix="kg-"))
    (path / "run").mkdir(mode=0o700)
    try:
        yield Home(path)
    finally:
        shutil.rmtree(path)


@dataclass
class Exposed:
    """A gate that runs. `facts` is what `--output json` printed."""

    process: subprocess.Popen[str]
    facts: dict[str, Any]
    home: Home
    events: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where clients reach the gate."""
        return str(self.facts["url"])

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.facts["listen"].rsplit(":", 1)[1])

    def stop(self, number: signal.Signals = signal.SIGTERM, wait: float = 60) -> str:
        """Ask it to stop and wait for the end; returns everything that was said on standard error."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=wait)
        return said

    def wait_for(self, words: str, seconds: float = 30) -> str:
        """Wait until a line with `words` is said on standard error, and return it."""
        assert self.process.stderr is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.process.stderr], [], [], 0.2)
            if ready and (line := self.process.stderr.readline()):
                self.events.append(line)
                if words in line:
                    return line
            elif self.process.poll() is not None:
                break
        raise AssertionError(f"{words!r} was not said, but: {''.join(self.events)}")


def kubegate(*arguments: str, home: Home, extra: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a kubegate command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "kubegate", *arguments],
        env=home.environ(extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@contextlib.contextmanager
def expose(*arguments: str, home: Home, extra: Mapping[str, str] | None = None) -> Iterator[Exposed]:
    """`kubegate expose` with these arguments, running and answering; stopped at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kubegate", "expose", "--output", "json", *arguments],
        env=home.environ(extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
        line = process.stdout.readline() if ready else ""
        if not line.startswith("{") or '"problems"' in line[:20]:
            process.kill()
            raise AssertionError(f"kubegate expose did not start: {line}{process.communicate()[1]}")
        yield Exposed(process, json.loads(line), home)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(ValueError):
            process.communicate(timeout=60)
