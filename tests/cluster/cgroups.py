"""The control groups below which all pods run: one folder per hierarchy, named after the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.cluster import processes
from tests.cluster.layout import Site
from tests.cluster.processes import Process

_ROOT = Path("/sys/fs/cgroup")


def prepare(site: Site) -> None:
    """The kubelet wants its root group to exist in every hierarchy."""
    for hierarchy in _hierarchies():
        (hierarchy / site.cgroup).mkdir(exist_ok=True)
        for folder in (hierarchy, hierarchy / site.cgroup):
            _pass_controllers_on(folder)


def members(site: Site) -> list[Process]:
    """Every process of every pod."""
    pids = {int(pid) for group in _groups(site) for pid in (group / "cgroup.procs").read_text().split()}
    return [process for pid in pids if (process := Process.seen("pod process", pid))]


def remove(site: Site) -> None:
    while found := members(site):
        processes.kill(found)
    for group in _groups(site):
        group.rmdir()


def _groups(site: Site) -> list[Path]:
    """All groups of the cluster, the deepest first."""
    tops = [top for hierarchy in _hierarchies() if (top := hierarchy / site.cgroup).is_dir()]
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
