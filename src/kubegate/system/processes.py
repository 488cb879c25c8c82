"""Processes known by pid and start time: a pid alone may belong to someone else by now."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from kubegate.system.files import write_atomically


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid with the start time of its process, in seconds since the epoch."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "ProcessId":
        """The identity of a process that runs now. Raises psutil.NoSuchProcess."""
        return cls(pid, psutil.Process(pid).create_time())

    def alive(self) -> bool:
        """Whether this very process still runs."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def save(self, path: Path) -> None:
        """Remember it in a file."""
        write_atomically(path, json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, path: Path) -> "ProcessId | None":
        """What `save` remembered, None if there is nothing readable."""
        try:
            found = json.loads(path.read_bytes())
            return cls(int(found["pid"]), float(found["started"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
