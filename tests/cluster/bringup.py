"""The order in which the cluster comes up; each step waits for what the next one needs, and for nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster import (
    accounts,
    approval,
    cgroups,
    control_plane,
    images,
    layout,
    network,
    node,
    pki,
    wait,
)
from tests.cluster.api import Api, attempt
from tests.cluster.layout import PKI
from tests.cluster.pki import Leaf
from tests.cluster.processes import Process
from tests.cluster.state import State

ADMIN = Leaf(PKI / "admin.crt", PKI / "admin.key")
NODE = f"/api/v1/nodes/{layout.NODE_NAME}"


def bring_up(state: State, progress: Callable[[str], None]) -> None:
    """Brings up everything that `state` does not know yet, and records it there."""
    binaries = Path(state.binaries)
    network.prepare(state)
    cgroups.prepare()
    pki.create()
    control_plane.prepare()
    accounts.prepare()
    accounts.write_kubeconfigs()
    node.prepare()
    layout.HOME.mkdir()
    progress("addresses, certificates and configuration made")

    etcd = started(state, control_plane.start_etcd(binaries))
    containerd = started(state, node.start_containerd(binaries))
    etcd_client = Leaf(PKI / "apiserver-etcd-client.crt", PKI / "apiserver-etcd-client.key")
    etcd_api = Api(layout.ETCD_URL, ca="etcd-ca", client=etcd_client)
    wait.until(lambda: etcd_api.ready("/health"), "etcd is healthy", process=etcd)
    first = started(state, control_plane.start_apiserver(binaries, 0))
    progress("etcd is healthy")

    images.build()
    wait.until(layout.CONTAINERD_SOCKET.exists, "containerd listens", process=containerd)
    images.load()
    progress("containerd has the images")

    api = Api(layout.API_URLS[0], client=ADMIN)
    wait.until(api.ready, "the first API server is ready", process=first)
    progress("the first API server is ready")
    accounts.create_objects(api)
    kubelet = started(state, node.start_kubelet(containerd))
    started(state, control_plane.start_controller_manager(binaries))
    second = started(state, control_plane.start_apiserver(binaries, 1))
    started(state, control_plane.start_scheduler(binaries))
    proxy = started(state, node.start_kube_proxy(binaries))

    wait.until(lambda: approval.approve_serving_certificate(api), "the kubelet asks for a certificate", process=kubelet)
    progress("the kubelet's serving certificate is approved")
    await_apiserver(1, second)
    progress("the second API server is ready")
    wait.until(lambda: _ready(attempt(lambda: api.json("GET", NODE))), "the node is ready", process=kubelet)
    progress("the node is ready")
    service = Api(f"https://{layout.SERVICE_ADDRESS}", client=ADMIN)
    wait.until(service.ready, "the kubernetes service answers", process=proxy)
    wait.until(
        lambda: attempt(lambda: api.json("GET", "/api/v1/namespaces/dev/serviceaccounts/default")),
        "namespace dev has its default service account",
    )
    progress("services answer")


def started(state: State, process: Process) -> Process:
    state.processes[process.name] = process
    state.save()
    return process


def await_apiserver(index: int, process: Process) -> None:
    api = Api(layout.API_URLS[index], client=ADMIN)
    wait.until(api.ready, f"API server {index} is ready", process=process)


def stopwatch(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Progress with the seconds since now in front."""
    start = time.monotonic()
    return lambda text: tell(f"{time.monotonic() - start:6.1f} s  {text}")


def _ready(found: dict[str, Any] | None) -> bool:
    """Ready and open for pods: the taint of a new node goes a moment after it is ready."""
    if not found or found["spec"].get("taints"):
        return False
    conditions = found["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
