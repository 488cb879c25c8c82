"""The control groups below which all pods run: one folder per hierarchy, named after the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.cluster import processes
from tests.cluster.layout import CGROUP
from tests.cluster.processes import Process

_ROOT = Path("/sys/fs/cgroup")


def prepare() -> None:
    """The kubelet wants its root group to exist in every hierarchy."""
    for hierarchy in _hierarchies():
        (hierarchy / CGROUP).mkdir(exist_ok=True)
        for folder in (hierarchy, hierarchy / CGROUP):
            _pass_controllers_on(folder)


def members() -> list[Process]:
    """Every process of every pod."""
    pids = {int(pid) for group in _groups() for pid in (group / "cgroup.procs").read_text().split()}
    return [process for pid in pids if (process := Process.seen("pod process", pid))]


def remove() -> None:
    while found := members():
        processes.kill(found)
    for group in _groups():
        group.rmdir()


def _groups() -> list[Path]:
    """All groups of the cluster, the deepest first."""
    tops = [hierarchy / CGROUP for hierarchy in _hierarchies() if (hierarchy / CGROUP).is_dir()]
    groups = [group for top in tops for group in (top, *(path for path in top.rglob("*") if path.is_dir()))]
    return sorted(groups, key=lambda group: len(group.parts), reverse=True)


def _hierarchies() -> Iterator[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        yield _ROOT  # version 2: one hierarchy
        return
    for folder in _ROOT.iterdir():
        if (folder / "cgroup.procs").exists() and not folder.is_symlink():
            yield folder


def _pass_controllers_on(folder: Path) -> None:
    available = folder / "cgroup.controllers"
    if available.exists():
        for controller in available.read_text().split():
            with suppress(OSError):
                (folder / "cgroup.subtree_control").write_text(f"+{controller}")
