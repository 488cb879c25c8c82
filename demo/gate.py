"""`kubegate expose` as a process of its own, and the signals that end it."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from kubegate.system.network import why_not_bindable

HOST, PORT = "127.0.0.1", 6443
_PORTS_TRIED = 100


def free_port() -> int:
    """6443, or the next port on which nobody listens."""
    for port in range(PORT, PORT + _PORTS_TRIED):
        if why_not_bindable(HOST, port) is None:
            return port
    raise SystemExit(f"Every port of {HOST} from {PORT} to {PORT + _PORTS_TRIED - 1} is taken.")


def shown(arguments: list[str]) -> str:
    """The command as a person can type it here."""
    installed = Path(sys.executable).with_name("kubegate")
    program = "kubegate" if shutil.which("kubegate") or not installed.exists() else os.path.relpath(installed)
    return shlex.join([program, "expose", *arguments])


def run(arguments: list[str], folder: Path, at_end: Callable[[], None]) -> int:
    """Run `kubegate expose` until it ends or Ctrl-C ends it; returns its exit code. What it keeps is kept in `folder`."""
    environ = os.environ | {"STATE_DIRECTORY": str(folder / "state"), "RUNTIME_DIRECTORY": str(folder / "run")}
    # In a process group of its own a Ctrl-C in the terminal reaches it once, from here.
    with subprocess.Popen(
        [sys.executable, "-m", "kubegate", "expose", *arguments], stdin=subprocess.DEVNULL, env=environ, process_group=0
    ) as gate:

        def end(number: int, _frame: FrameType | None) -> None:
            at_end()
            gate.send_signal(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, end)
        return gate.wait()
