"""The machine's network as the cluster needs it: addresses on the loopback link and kernel settings, and back."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.cluster import packetfilter
from tests.cluster.errors import ClusterError
from tests.cluster.layout import ADDRESSES, NODE_ADDRESS, POD_NETWORK, SERVICE_NETWORK
from tests.cluster.processes import environment
from tests.cluster.state import State

SYSCTLS = (
    "net.ipv4.ip_forward",
    # What a kubelet sets at its start.
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
)
SERVICE_ROUTE = (SERVICE_NETWORK, "dev", "lo", "src", NODE_ADDRESS)


def refuse_another_cluster() -> None:
    """Raises where another cluster's kube-proxy is at work, before anything is changed."""
    if found := packetfilter.chains():
        raise ClusterError(
            f"The packet filter has Kubernetes' chains already ({', '.join(found[:3])}...): another cluster's kube-proxy "
            "works on this machine, and the test cluster's would change its rules."
        )


def prepare(state: State) -> None:
    """Adds the addresses and lets packets through, after writing down what was before."""
    state.tables = packetfilter.tables()
    state.addresses = [address for address in ADDRESSES if address not in _on_loopback()]
    state.sysctls = {name: _sysctl(name).read_text().strip() for name in SYSCTLS if _sysctl(name).exists()}
    state.save()
    for address in state.addresses:
        _ip("addr", "add", f"{address}/32", "dev", "lo")
    # Without it the machine's default route decides whether, and from which address, a service is reached.
    _ip("route", "replace", *SERVICE_ROUTE)
    _sysctl("net.ipv4.ip_forward").write_text("1")


def restore(state: State) -> None:
    """Takes back what `prepare` did, and the pods' links that outlived their pods."""
    for route in _routes():
        _ip("link", "del", "dev", route["dev"], check=False)
    if state.tables is not None:
        packetfilter.clean(state.tables)
    _ip("route", "del", *SERVICE_ROUTE, check=False)
    here = _on_loopback()
    for address in state.addresses:
        if address in here:
            _ip("addr", "del", f"{address}/32", "dev", "lo")
    for name, value in state.sysctls.items():
        if _sysctl(name).read_text().strip() != value:
            _sysctl(name).write_text(value)


def _routes() -> list[dict[str, Any]]:
    routes: list[dict[str, Any]] = json.loads(_ip("-json", "-4", "route", "show", "root", POD_NETWORK))
    return routes


def _on_loopback() -> set[str]:
    links = json.loads(_ip("-json", "-4", "addr", "show", "dev", "lo"))
    return {entry["local"] for link in links for entry in link.get("addr_info", [])}


def _sysctl(name: str) -> Path:
    return Path("/proc/sys", *name.split("."))


def _ip(*words: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, env=environment(mark=False))
    if check and done.returncode:
        raise ClusterError(f"`ip {' '.join(words)}` failed: {done.stderr.strip()}")
    return done.stdout or "[]"
