"""The order in which a cluster comes up; each step waits for what the next one needs, and for nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.cluster import accounts, approval, cgroups, control_plane, images, network, node, pki, wait
from tests.cluster.api import Api, attempt
from tests.cluster.layout import Site
from tests.cluster.pki import Leaf
from tests.cluster.state import State


def bring_up(state: State, progress: Callable[[str], None]) -> None:
    """Brings up everything that `state` does not know yet, and records it there."""
    site = state.site
    network.prepare(state)
    cgroups.prepare(site)
    pki.create(site)
    control_plane.prepare(site)
    accounts.prepare(site)
    accounts.write_kubeconfigs(site)
    node.prepare(site)
    site.home.mkdir()
    progress("network, certificates and configuration made")

    etcd = control_plane.start_etcd(state)
    containerd = node.start_containerd(state)
    etcd_api = Api(site.etcd_url, ca=site.pki / "etcd-ca.crt", client=Leaf.at(site.pki / "apiserver-etcd-client"))
    wait.until(lambda: etcd_api.ready("/health"), "etcd is healthy", process=etcd)
    control_plane.start_apiserver(state, 0)
    progress("etcd is healthy")

    archive = images.build(site)
    wait.until(site.containerd_socket.exists, "containerd listens", process=containerd)
    images.load(site, archive)
    progress("containerd has the images")

    await_apiserver(state, 0)
    progress("the first API server is ready")
    api = admin(site, site.api_url(0))
    accounts.create_objects(api, site)
    kubelet = node.start_kubelet(state, containerd)
    control_plane.start_controller_manager(state)
    others = range(1, len(site.api_addresses))
    for index in others:
        control_plane.start_apiserver(state, index)
    control_plane.start_scheduler(state)
    proxy = node.start_kube_proxy(state)

    wait.until(lambda: approval.approve_serving_certificate(api, site), "the kubelet asks for a certificate", process=kubelet)
    progress("the kubelet's serving certificate is approved")
    for index in others:
        await_apiserver(state, index)
        progress(f"API server {index} is ready")
    path = f"/api/v1/nodes/{site.node_name}"
    wait.until(lambda: _ready(attempt(lambda: api.json("GET", path))), "the node is ready", process=kubelet)
    progress("the node is ready")
    service = admin(site, f"https://{site.service_address}")
    wait.until(service.ready, "the kubernetes service answers", process=proxy)
    wait.until(
        lambda: attempt(lambda: api.json("GET", "/api/v1/namespaces/dev/serviceaccounts/default")),
        "namespace dev has its default service account",
    )
    progress("services answer")


def admin(site: Site, url: str) -> Api:
    """The API as the admin, at one address of the site."""
    return Api(url, ca=site.pki / "ca.crt", client=Leaf.at(site.pki / "admin"))


def await_apiserver(state: State, index: int) -> None:
    api = admin(state.site, state.site.api_url(index))
    process = state.processes[control_plane.apiserver_name(index)]
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
