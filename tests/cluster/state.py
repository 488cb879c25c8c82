"""What is needed to take a cluster away again, on disk before it is needed: `state.json` in the work folder."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from tests.cluster.layout import Site
from tests.cluster.processes import Process


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _me() -> Process:
    process = Process.seen(" ".join([Path(sys.executable).name, *sys.orig_argv[1:]]), os.getpid())
    assert process is not None
    return process


@dataclass
class State:
    """A cluster's traces on this machine.  Of a process that a crash kept out of it, the mark tells."""

    site: Site
    owner: Process = field(default_factory=_me)
    boot: str = field(default_factory=_boot)
    since: str = field(default_factory=lambda: time.strftime("%Y-%m-%d %H:%M:%S"))
    ready: bool = False
    kept: bool = False
    """The cluster shall outlive its owner: a person asked for it."""
    binaries: str = ""
    version: str = ""
    processes: dict[str, Process] = field(default_factory=dict)

    def program(self, name: str) -> Path:
        """One of the Kubernetes programs."""
        return Path(self.binaries, name)

    def add(self, process: Process) -> Process:
        """Records a process that was started, under its name."""
        self.processes[process.name] = process
        self.save()
        return process

    def forget(self, name: str) -> None:
        """Records that a process ended for good."""
        self.processes.pop(name, None)
        self.save()

    def save(self) -> None:
        draft = self.site.state.with_suffix(".new")
        draft.write_text(json.dumps({name: value for name, value in asdict(self).items() if name != "site"}, indent=1))
        draft.replace(self.site.state)

    @classmethod
    def load(cls, site: Site) -> State | None:
        try:
            data = json.loads(site.state.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        data["owner"] = Process(**data["owner"])
        # After a reboot the pids mean nothing; only the files are left.
        same_boot = data["boot"] == _boot()
        data["processes"] = {n: Process(**p) for n, p in data["processes"].items()} if same_boot else {}
        known = {entry.name for entry in fields(cls)}
        return cls(site, **{name: value for name, value in data.items() if name in known})

    def running(self) -> bool:
        """Whether the cluster came up and everything that was started then still runs."""
        return self.ready and bool(self.processes) and all(p.alive() for p in self.processes.values())

    def describe(self) -> str:
        return f"`{self.owner.name}` (pid {self.owner.pid}) at {self.since}"
