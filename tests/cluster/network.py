"""The cluster's own network: a namespace with the addresses of its servers, and one link that leads there.

Whatever Kubernetes does to a network (packet filter rules, routes, kernel settings, links of pods) happens in there, so
that clusters do not meet.  The namespace is no file: it is there while a process is in it, and the link goes with it.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cluster import wait
from tests.cluster.errors import ClusterError
from tests.cluster.layout import PREFIX_LENGTH, Site
from tests.cluster.processes import Process, environment, spawn
from tests.cluster.state import State

HOLDER = "network"
_HOLD = "echo 1 > /proc/sys/net/ipv4/ip_forward; exec sleep infinity"
_CLONE_NEWNET = 0x40000000


def prepare(state: State) -> None:
    """Makes the namespace, its addresses and the way there, also to pods and services."""
    site = state.site
    holder = state.add(spawn(site, HOLDER, ["unshare", "--net", "sh", "-c", _HOLD]))
    wait.until(lambda: _namespace(holder.pid) != _namespace(os.getpid()), "there is a network namespace", process=holder)
    _ip(site, [f"link add {site.link} type veth peer name eth0 netns {holder.pid}"])
    addresses = [*site.every_api_address, site.node_address]
    inside = [
        "link set lo up",
        *(f"address add {address}/{PREFIX_LENGTH} dev eth0" for address in addresses),
        "link set eth0 up",
        f"route add default via {site.host_address}",
    ]
    _ip(site, inside, _enter(state))
    outside = [
        f"address add {site.host_address}/{PREFIX_LENGTH} dev {site.link}",
        f"link set {site.link} up",
        *(f"route add {network} via {site.node_address}" for network in (site.pod_network, site.service_network)),
    ]
    _ip(site, outside)


def remove(site: Site) -> None:
    """Takes the link away at once; the kernel would do so some moments after the last process of the namespace."""
    link = Path("/sys/class/net", site.link)
    try:
        if link.exists():
            _ip(site, [f"link delete {site.link}"])
    except ClusterError:
        if link.exists():  # else the kernel was faster
            raise


def start(state: State, name: str, argv: Sequence[str | Path]) -> Process:
    """Starts a daemon in the cluster's network, and records it."""
    return state.add(spawn(state.site, name, [*_enter(state), *argv]))


def listen(state: State, address: str, port: int) -> socket.socket:
    """A listening socket in the cluster's network: a socket stays in the namespace of the thread that made it."""

    def make() -> socket.socket:
        with Path(f"/proc/{state.processes[HOLDER].pid}/ns/net").open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "the cluster's network could not be entered")
        return socket.create_server((address, port), backlog=50)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(make).result()


def _enter(state: State) -> list[str]:
    return ["nsenter", f"--net=/proc/{state.processes[HOLDER].pid}/ns/net"]


def _namespace(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/ns/net").readlink()
    except OSError:
        return None


def _ip(site: Site, lines: Sequence[str], enter: Sequence[str] = ()) -> None:
    done = subprocess.run(
        [*enter, "ip", "-batch", "-"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=False,
        env=environment(site),
    )
    if done.returncode:
        raise ClusterError(f"`ip -batch` with {'; '.join(lines)} failed: {done.stderr.strip()}")
