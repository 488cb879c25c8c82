"""What the HAProxy that runs was started with, as the kernel knows it (proc(5)): its program and its access log.

A gate may have taken it over, and its declaration or what is installed may have changed since.
"""

import functools
import os
from pathlib import Path

from kubegate.model.config import Config
from kubegate.model.problem import Problem
from kubegate.runtime.binary import Binary, NoHAProxy, ask

_RESTART = "stop the gate and start it again when its streams may end"


def program_of(pid: int | None, usual: Binary) -> Binary:
    """The program that a process runs; `usual` where that cannot be found out."""
    if pid is None:
        return usual
    running = Path(f"/proc/{pid}/exe")
    try:
        found, name = running.stat(), os.readlink(running)  # noqa: PTH115 - a name that may be followed by " (deleted)"
        if os.path.samestat(found, usual.path.stat()):
            return usual
    except OSError:
        return usual
    return _program(running, name, usual, (found.st_dev, found.st_ino, found.st_mtime_ns))


@functools.lru_cache(maxsize=4)
def _program(running: Path, name: str, usual: Binary, _: tuple[int, int, int]) -> Binary:
    try:
        asked = ask(running, embedded=False)
    except NoHAProxy:
        return usual
    return Binary(Path(name), asked.version, embedded=name == str(usual.path) and usual.embedded, build=asked.build)


def gone(pid: int | None) -> Path | None:
    """The program that a process would execute again, if it is not there any more: then it cannot be reloaded."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
    except OSError:
        return None
    program = Path(os.fsdecode(command))
    return program if program.is_absolute() and not program.exists() else None


def log_of(pid: int) -> Path | None:
    """The file that a process has as its standard output, None if that is no file."""
    try:
        name = os.readlink(f"/proc/{pid}/fd/1")  # noqa: PTH115 - see above
    except OSError:
        return None
    return Path(name) if name.startswith("/") and name != os.devnull else None


def later(config: Config, pid: int | None, usual: Binary) -> list[Problem]:
    """Warnings about what is declared or installed, and counts from HAProxy's next start only (code `gate.later`)."""
    if pid is None:
        return []
    found = []
    runs = program_of(pid, usual)
    if runs is not usual:
        found.append(Problem("dataPlane.haproxy", "gate.later", f"{runs} runs until it is started again, as {usual}", _RESTART))
    log, declared = log_of(pid), config.access_log.resolve() if config.access_log else None
    if log != declared:
        until = f"to {log}" if log else "nowhere"
        what = f"to {declared}" if declared else "nowhere"
        message = f"the access log goes {until} until HAProxy is started again, and {what} from then on"
        found.append(Problem("accessLog", "gate.later", message, _RESTART))
    return found
