"""What the machine must offer, said in one sentence when it does not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.processes import SYSTEM_PATH

CNI_PLUGINS = Path("/usr/lib/cni")
PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    str(CNI_PLUGINS / "ptp"): "containernetworking-plugins",
    str(CNI_PLUGINS / "host-local"): "containernetworking-plugins",
    "iptables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "mount": "mount",
    "hostname": "hostname",
    "/lib/systemd/systemd": "systemd",
    "systemd-sysusers": "systemd",
    "faketime": "faketime",
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf": "fonts-dejavu-core",
}

GO_WISH = (
    "Go to build Kubernetes once: 1.21 or newer, which fetches the version it needs unless GOTOOLCHAIN says local "
    "(apt-get install -t bookworm-backports golang-go)"
)


def check(*, go: bool) -> None:
    """Raises unless this is root on a machine with the Debian packages, and with Go where something must be built."""
    missing = sorted({package for program, package in PACKAGES.items() if not found(program)})
    if busybox() is None:
        missing.append("busybox-static")
    wishes = []
    if os.geteuid() != 0:
        wishes.append("root (run it with sudo)")
    if missing:
        wishes.append(f"Debian packages (apt-get install {' '.join(missing)})")
    if go and shutil.which("go") is None:
        wishes.append(GO_WISH)
    if wishes:
        raise ClusterError(f"The test cluster needs {' and '.join(wishes)}.")


def busybox() -> Path | None:
    """The static busybox, which runs in a container without any library; a dynamic one names its loader."""
    found = shutil.which("busybox", path=SYSTEM_PATH)
    return Path(found) if found and b"/ld-linux" not in Path(found).read_bytes() else None


def found(program: str) -> bool:
    """Whether a program, or a file by its whole path, is there."""
    return Path(program).exists() if program.startswith("/") else shutil.which(program, path=SYSTEM_PATH) is not None
