"""Taking a cluster away: the same for one that ran well, one that came up halfway and one whose owner was killed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.cluster import cgroups, network, processes
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Site
from tests.cluster.state import State

MAIN_FIRST = ("kubelet", "containerd")
"""These two start processes of their own; once they are gone nothing new appears."""


def remove(site: Site, progress: Callable[[str], None]) -> None:
    """Removes every trace on this machine.  What is already gone is passed over."""
    if not site.work.exists():
        return
    state = State.load(site) or State(site)
    known = state.processes
    processes.kill(known[name] for name in MAIN_FIRST if name in known)
    processes.kill(known.values())
    while found := processes.marked(site):
        processes.kill(found)
    progress("processes ended")
    network.remove(site)
    cgroups.remove(site)
    for mount in _mounts(site.work):
        subprocess.run(["umount", mount], check=True)
    _delete_folder(site.work)
    progress("network, control groups and files removed")


def _mounts(work: Path) -> list[str]:
    """Mount points below the work folder, the deepest first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines]
    return sorted((point for point in points if point.startswith(f"{work}/")), key=len, reverse=True)


def _delete_folder(work: Path) -> None:
    if not work.is_mount():
        shutil.rmtree(work)
        return
    for path in work.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if any(work.iterdir()):
        raise ClusterError(f"{work} could not be emptied.")
