"""What is needed to take the cluster away again, on disk before it is needed: `state.json` in the work folder."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from tests.cluster.layout import STATE
from tests.cluster.processes import Process


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _me() -> Process:
    process = Process.seen(" ".join([Path(sys.executable).name, *sys.orig_argv[1:]]), os.getpid())
    assert process is not None
    return process


@dataclass
class State:
    """The traces on this machine.  Each is recorded before it is made, so that a crash in between loses nothing."""

    owner: Process = field(default_factory=_me)
    boot: str = field(default_factory=_boot)
    since: str = field(default_factory=lambda: time.strftime("%Y-%m-%d %H:%M:%S"))
    ready: bool = False
    kept: bool = False
    """The cluster shall outlive its owner: a person asked for it."""
    binaries: str = ""
    version: str = ""
    addresses: list[str] = field(default_factory=list)
    sysctls: dict[str, str] = field(default_factory=dict)
    tables: dict[str, list[str]] | None = None
    """Per packet filter command (iptables, ip6tables): the tables before the cluster changed any."""
    processes: dict[str, Process] = field(default_factory=dict)

    def save(self) -> None:
        draft = STATE.with_suffix(".new")
        draft.write_text(json.dumps(asdict(self), indent=1))
        draft.replace(STATE)

    @classmethod
    def load(cls) -> State | None:
        try:
            data = json.loads(STATE.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        data["owner"] = Process(**data["owner"])
        # After a reboot the pids mean nothing, nor do the addresses; only the files are left.
        same_boot = data["boot"] == _boot()
        data["processes"] = {n: Process(**p) for n, p in data["processes"].items()} if same_boot else {}
        known = {entry.name for entry in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})

    def running(self) -> bool:
        """Whether the cluster came up and everything that was started then still runs."""
        return self.ready and bool(self.processes) and all(p.alive() for p in self.processes.values())

    def describe(self) -> str:
        return f"`{self.owner.name}` (pid {self.owner.pid}) at {self.since}"
