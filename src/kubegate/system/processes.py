"""Processes known by pid and start time: a pid alone may belong to someone else by now."""

import ctypes
import json
import os
import signal
import socket
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from kubegate.system.files import write_atomically

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_GONE = ("Z", "X", "x")
# struct ucred (unix(7)): pid, uid, gid.
_CREDENTIALS = struct.Struct("3i")
_CONNECT_SECONDS = 1.0
# prctl(2); it stays through execve, and is of the thread that forks: the main one, which ends last.
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid, when its process began in clock ticks since the boot, and which boot that was: no clock change touches them."""

    pid: int
    began: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "ProcessId":
        """The identity of a process that runs now. Raises OSError if there is none."""
        return cls(pid, _state(pid)[1], _BOOT.read_text().strip())

    @classmethod
    def listening_on(cls, path: Path) -> "ProcessId | None":
        """Who listens on a unix socket, as the kernel has it; None if nobody does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(_CONNECT_SECONDS)
            try:
                asking.connect(str(path))
                pid, _, _ = _CREDENTIALS.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
                return cls.of(pid)
            except OSError:
                return None

    def alive(self) -> bool:
        """Whether this very process still runs."""
        try:
            state, began = _state(self.pid)
            return began == self.began and state not in _GONE and _BOOT.read_text().strip() == self.boot
        except OSError:
            return False

    def save(self, path: Path) -> None:
        """Remember it in a file. Raises OSError."""
        write_atomically(path, json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, path: Path) -> "ProcessId | None":
        """What `save` remembered, None if there is nothing readable."""
        try:
            found = json.loads(path.read_bytes())
            return cls(int(found["pid"]), int(found["began"]), str(found["boot"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def ending_with(parent: int) -> Callable[[], None]:
    """What a child of `parent` does between fork and exec so that it is killed when its parent ends, in whatever way."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def bind() -> None:
        # Where the parent has ended meanwhile, nobody would send the signal.
        if prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(1)

    return bind


def _state(pid: int) -> tuple[str, int]:
    """State letter and start time (proc(5), /proc/pid/stat): the fields after the name, which may hold anything."""
    text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])
