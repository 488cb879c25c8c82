"""A machine with the real systemd: pid 1 of namespaces of its own, with its own /etc, /run, /var and /tmp.

Its network is this machine's. Its control groups are below one of this machine's; all of it ends with the process that made it.
"""

import contextlib
import errno
import functools
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.cluster.processes import SYSTEM_PATH
from tests.support.upstream import eventually

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging" / "systemd"
SERVICE = "kubegate.service"
_SYSTEMD = "/lib/systemd/systemd"
# What the unit waits for; a whole system has much more behind these names.
_TARGETS = ("sysinit", "basic", "network-online", "nss-lookup", "multi-user", "shutdown")

# As docs/operations.md has it installed, from this tree.
_PROGRAM = """#!/bin/sh
export PYTHONPATH=/opt/kubegate/src:/opt/kubegate/site LD_LIBRARY_PATH=/opt/kubegate/python/lib PYTHONDONTWRITEBYTECODE=1
exec /opt/kubegate/python/bin/{python} -m kubegate "$@"
"""

_BOOT = """
set -e
echo $$ > {cgroup}/cgroup.procs
exec unshare --mount --pid --cgroup --uts --ipc --fork --kill-child --propagation private sh -c '
set -e
mount -t proc proc /proc
mkdir -p {folder}/opt/kubegate/python {folder}/opt/kubegate/site {folder}/opt/kubegate/src
mount --bind {python} {folder}/opt/kubegate/python
mount --bind {site} {folder}/opt/kubegate/site
mount --bind {root}/src {folder}/opt/kubegate/src
mount --rbind {folder}/opt /opt
mount --bind {folder}/etc /etc
mount --bind {folder}/var /var
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
systemd-sysusers /etc/kubegate.sysusers
exec env -i container=kubegate-test PATH={path} SYSTEMD_UNIT_PATH=/etc/systemd/system \
    {systemd} --system --unit=multi-user.target --log-target=null --show-status=0
'
"""


class Machine:
    """Commands in it, its units, and its files, which are at `/`-paths below `files`."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]") -> None:
        self.folder = folder
        self._process = process
        self.pid = 0
        eventually(self._is_up, "systemd answers")

    def _is_up(self) -> bool:
        assert self._process.poll() is None, (self.folder / "boot.log").read_text()
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children:
            return False
        self.pid = int(children[0])
        return self.systemctl("is-system-running").stdout in ("running\n", "degraded\n")

    def file(self, path: str) -> Path:
        """A file in it."""
        return Path(f"/proc/{self.pid}/root") / path.lstrip("/")

    def do(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as its root, to the end."""
        inside = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--cgroup", "--uts", "--ipc", "--root", "--wd"]
        environ = {"PATH": SYSTEM_PATH, **(env or {})}
        return subprocess.run([*inside, *words], env=environ, capture_output=True, text=True, timeout=100, check=False)

    def systemctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What an operator types."""
        return self.do("systemctl", "--no-pager", *words)

    def done(self, *words: str) -> None:
        """What an operator types, and what must succeed."""
        found = self.systemctl(*words)
        assert found.returncode == 0, f"{words}: {found.stdout}{found.stderr}{self.said()}"

    def show(self, name: str) -> str:
        """A property of the service."""
        return self.systemctl("show", SERVICE, "--value", "--property", name).stdout.strip()

    def said(self) -> str:
        """Everything that kubegate has said."""
        try:
            return self.file("/var/log/said").read_text()
        except FileNotFoundError:
            return ""

    def processes(self) -> dict[int, str]:
        """The processes of the service by pid, which is that of this machine, and their names."""
        group = self.file("/sys/fs/cgroup/system.slice") / SERVICE / "cgroup.procs"
        found = {}
        with contextlib.suppress(FileNotFoundError):
            for pid in group.read_text().split():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    found[int(pid)] = Path(f"/proc/{pid}/comm").read_text().strip()
        return found

    def haproxy(self) -> set[int]:
        """The pids of HAProxy's processes."""
        return {pid for pid, name in self.processes().items() if name == "haproxy"}

    def kubegate(self) -> int:
        """The pid of the control plane, as this machine has it; 0 if there is none."""
        inside = self.show("MainPID")
        for pid in self.processes():
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                if next(line for line in lines if line.startswith("NSpid:")).split()[-1] == inside:
                    return pid
        return 0


@contextlib.contextmanager
def machine(*, drop_in: str = "") -> Iterator[Machine]:
    """A machine on which kubegate is installed as the documentation says, its service not started yet."""
    folder = Path(tempfile.mkdtemp(prefix="kgm-"))
    group = _cgroup(folder.name)
    try:
        _furnish(folder, drop_in)
        places = {
            "cgroup": group,
            "folder": folder,
            "python": sys.base_prefix,
            "site": sysconfig.get_path("purelib"),
            "root": ROOT,
            "path": SYSTEM_PATH,
            "systemd": _SYSTEMD,
        }
        script = _BOOT.format(**places)
        with (folder / "boot.log").open("wb") as log:
            ends_with_this = ["setpriv", "--pdeathsig", "KILL"]
            process = subprocess.Popen(
                [*ends_with_this, "sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": SYSTEM_PATH},
            )
        try:
            yield Machine(folder, process)
        finally:
            process.kill()
            process.wait()
            _remove(group)
    finally:
        shutil.rmtree(folder)


def _furnish(folder: Path, drop_in: str) -> None:
    folder.chmod(0o755)
    shutil.copytree("/etc", folder / "etc", symlinks=True, ignore=lambda *_: {"systemd"}, ignore_dangling_symlinks=True)
    (folder / "etc" / "machine-id").write_text(f"{os.urandom(16).hex()}\n")
    (folder / "etc" / "kubegate").mkdir()
    units = folder / "etc" / "systemd" / "system"
    (units / f"{SERVICE}.d").mkdir(parents=True)
    for target in _TARGETS:
        (units / f"{target}.target").write_text(f"[Unit]\nDescription={target}\nDefaultDependencies=no\n")
    shutil.copy(PACKAGING / SERVICE, units)
    shutil.copy(PACKAGING / "kubegate.sysusers", folder / "etc")
    # There is no journal.
    (units / f"{SERVICE}.d" / "test.conf").write_text(f"[Service]\nStandardError=append:/var/log/said\n{drop_in}")
    for name in ("lib", "log", "tmp", "cache"):
        (folder / "var" / name).mkdir(parents=True)
    (folder / "opt" / "kubegate" / "bin").mkdir(parents=True)
    program = folder / "opt" / "kubegate" / "bin" / "kubegate"
    program.write_text(_PROGRAM.format(python=f"python{sys.version_info.major}.{sys.version_info.minor}"))
    program.chmod(0o755)


def _cgroup(name: str) -> Path:
    """A new control group of this machine's version 2 hierarchy, wherever that is mounted."""
    mounts = [line.split(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    top = next(Path(before.split()[4]) for before, after in mounts if after.startswith("cgroup2 "))
    group = top / name
    group.mkdir()
    return group


def _remove(group: Path) -> None:
    def ended() -> bool:
        return not any(path.read_text() for path in group.rglob("cgroup.procs"))

    for path in group.rglob("cgroup.procs"):
        for pid in path.read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    eventually(ended, "every process of it has ended")
    for path in (*sorted((path for path in group.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts)), group):
        # A process that has ended keeps its group busy until it is gone altogether.
        eventually(functools.partial(_removed, path), f"{path} is empty")


def _removed(path: Path) -> bool:
    try:
        path.rmdir()
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    return True
