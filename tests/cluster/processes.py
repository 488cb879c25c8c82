"""Processes of the cluster: starting, recognising and ending them.

A pid alone proves nothing, since the kernel gives it away again; a `Process` is a pid together with its start time.
Processes that no list knows of (a shim, or one that was started just before a crash) are found by their cluster's mark
in their environment, which they inherit and nobody else has.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.layout import Site

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MARK = "KUBEGATE_TEST_CLUSTER"


@dataclass(frozen=True)
class Process:
    """A process that was seen running: its pid is believed only while its start time is the same."""

    name: str
    pid: int
    started: int
    log: str = ""
    """The file with its output, if it is a daemon's."""

    @classmethod
    def seen(cls, name: str, pid: int, log: str = "") -> Process | None:
        started = _start_time(pid)
        return None if started is None else cls(name, pid, started, log)

    def alive(self) -> bool:
        return _start_time(self.pid) == self.started

    def last_words(self, lines: int = 15) -> str:
        try:
            return "\n".join(Path(self.log).read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def stop(self, number: signal.Signals = signal.SIGKILL, timeout: float = 30) -> None:
        """Sends the signal and waits for the end; SIGKILL follows where the signal did not suffice."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if not self.alive():
                return
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            if not _ended(handle, timeout):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                if not _ended(handle, 10):
                    raise ClusterError(f"{self.name} (pid {self.pid}) survived SIGKILL for 10 s.")
        finally:
            os.close(handle)
            _reap(self.pid)


def environment(site: Site) -> dict[str, str]:
    """What a daemon gets: nothing of the caller's (no proxy settings, no home), so that each run is alike."""
    return {"PATH": SYSTEM_PATH, "HOME": str(site.home), "LANG": "C.UTF-8", MARK: str(site.work)}


def spawn(site: Site, name: str, argv: Sequence[str | Path]) -> Process:
    """Starts a daemon detached from terminal and caller, with its output in `log/<name>.log`.

    Not subprocess.Popen: the daemon outlives this Python where a person brings the cluster up, and a Popen complains
    about that when it is collected.
    """
    site.logs.mkdir(parents=True, exist_ok=True)
    command = [os.fspath(word) for word in argv]
    log = os.fspath(site.logs / f"{name}.log")
    pid = os.posix_spawnp(
        command[0],
        command,
        environment(site),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        # Python ignores these two, and a child would inherit that: `yes | head` in a pod would never end.
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )
    process = Process.seen(name, pid, log)
    if process is None:
        _reap(pid)
        words = Process(name, pid, 0, log).last_words()
        raise ClusterError(f"{name} ended as soon as it was started:\n{words}")
    return process


def marked(site: Site) -> list[Process]:
    """Every running process that carries the mark of this cluster."""
    mark = f"{MARK}={site.work}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        process = Process.seen("process", int(folder.name))
        try:
            words = (folder / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if process and mark in words:
            found.append(process)
    return found


def kill(processes: Iterable[Process]) -> None:
    for process in processes:
        process.stop(signal.SIGKILL)


def _start_time(pid: int) -> int | None:
    """Start time in ticks since boot; nothing for a zombie, which runs no more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name stands in brackets and may itself hold brackets and spaces.
    fields = stat.rpartition(b")")[2].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _ended(handle: int, timeout: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
