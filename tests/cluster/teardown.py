"""Taking the cluster away: the same for one that ran well, one that came up halfway and one whose owner was killed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.cluster import cgroups, network, processes
from tests.cluster.errors import ClusterError
from tests.cluster.layout import WORK
from tests.cluster.state import State

MAIN_FIRST = ("kubelet", "containerd")
"""These two start processes of their own; once they are gone nothing new appears."""


def remove(progress: Callable[[str], None]) -> None:
    """Removes every trace on this machine.  What is already gone is passed over."""
    if not WORK.exists():
        return
    state = State.load() or State()
    known = state.processes
    processes.kill(known[name] for name in MAIN_FIRST if name in known)
    processes.kill(known.values())
    while found := processes.marked():
        processes.kill(found)
    progress("processes ended")
    cgroups.remove()
    network.restore(state)
    for mount in _mounts():
        subprocess.run(["umount", mount], check=True)
    _delete_folder()
    progress("control groups, addresses, packet filter rules and files removed")


def _mounts() -> list[str]:
    """Mount points below the work folder, the deepest first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines]
    return sorted((point for point in points if point.startswith(f"{WORK}/")), key=len, reverse=True)


def _delete_folder() -> None:
    if not WORK.is_mount():
        shutil.rmtree(WORK)
        return
    for path in WORK.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if any(WORK.iterdir()):
        raise ClusterError(f"{WORK} could not be emptied.")
